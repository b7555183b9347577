import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { MAX_ROUND_BYTES } from "../../../protocols/rounds/constants.ts";
import { MAX_MESSAGE_BYTES, MESSAGE_BLOCK_BYTES } from "../../../protocols/tokens/constants.ts";
import {
  blockCount,
  blockHasher,
  hashBlocks,
  headerBytes,
  layeredBytes,
  layeredMessage,
  messageDigest,
} from "../../../protocols/tokens/message.ts";
import { bytesOf, errorOf, sourceOf } from "../../support/bytes.ts";
import { fromHex, loadVectors, toHex } from "../../support/vectors.ts";

const golden = loadVectors<{
  salt: string;
  vectors: { lengthBytes: number; blockDigests: string; messageDigest: string; sha256OfLayered: string }[];
}>("message/golden");

const BLOCK = MESSAGE_BLOCK_BYTES;
const salt = fromHex(golden.salt);
/** The message of the golden file. */
const all = new Uint8Array(BLOCK + 1).map((_, i) => 31 * i + 7 * (i >> 8) + (i >> 16));
const wrongLength = expect.objectContaining({ code: "SOURCE_LENGTH", status: "cancelled" });
const changed = expect.objectContaining({ code: "SOURCE_CHANGED", status: "cancelled" });

/** SHA-256 and length of what comes, and how it ends. */
async function drain(source: AsyncIterable<Uint8Array>) {
  const hash = createHash("sha256");
  let lengthBytes = 0;
  let error: unknown;
  try {
    for await (const chunk of source) {
      hash.update(chunk);
      lengthBytes += chunk.length;
    }
  } catch (cause) {
    error = cause;
  }
  return { sha256: hash.digest("hex"), lengthBytes, error };
}

describe("the layered message", () => {
  describe.each(golden.vectors)("of $lengthBytes bytes", (vector) => {
    const { lengthBytes } = vector;
    const message = all.subarray(0, lengthBytes);
    const digests = fromHex(vector.blockDigests);

    it.each([1 << 16, 999_983, BLOCK, 2 * BLOCK])(
      "has the golden digests when read in chunks of %i",
      async (chunkBytes) => {
        const hashed = await hashBlocks(salt, lengthBytes, sourceOf(message, chunkBytes));
        expect(toHex(hashed)).toBe(vector.blockDigests);
        expect(toHex(messageDigest(salt, lengthBytes, hashed))).toBe(vector.messageDigest);
        const layered = await drain(layeredMessage(salt, lengthBytes, digests, sourceOf(message, chunkBytes)));
        expect(layered).toEqual({
          sha256: vector.sha256OfLayered,
          lengthBytes: layeredBytes(lengthBytes),
          error: undefined,
        });
      },
    );

    it("of a source that is a byte too short is not made", async () => {
      const short = message.subarray(0, lengthBytes - 1);
      expect(await errorOf(hashBlocks(salt, lengthBytes, sourceOf(short, 1 << 18)))).toEqual(wrongLength);
      const layered = await drain(layeredMessage(salt, lengthBytes, digests, sourceOf(short, 1 << 18)));
      expect(layered.error).toEqual(wrongLength);
      expect(layered.lengthBytes).toBeLessThan(layeredBytes(lengthBytes));
    });

    it.each([1 << 18, 2 * BLOCK])(
      "of a source that is a byte too long is not made, chunks of %i",
      async (chunkBytes) => {
        const long = new Uint8Array(lengthBytes + 1);
        long.set(message);
        expect(await errorOf(hashBlocks(salt, lengthBytes, sourceOf(long, chunkBytes)))).toEqual(wrongLength);
        const { error } = await drain(layeredMessage(salt, lengthBytes, digests, sourceOf(long, chunkBytes)));
        expect(error).toEqual(wrongLength);
      },
    );

    it("stops before the block that has changed since it was hashed", async () => {
      for (const at of new Set([0, Math.floor(lengthBytes / 2), lengthBytes - 1])) {
        const other = message.slice();
        other[at] = (other[at] as number) ^ 1;
        const layered = await drain(layeredMessage(salt, lengthBytes, digests, sourceOf(other, 1 << 18)));
        expect(layered.error).toEqual(changed);
        const whole = Math.floor(at / BLOCK) * BLOCK;
        expect(layered.lengthBytes).toBe(headerBytes(lengthBytes) + whole);
      }
    });
  });

  it("of an empty source is not made", async () => {
    expect(await errorOf(hashBlocks(salt, 1, sourceOf(new Uint8Array(), 1)))).toEqual(wrongLength);
  });

  it("passes on what its source throws, and frees it", async () => {
    let freed = 0;
    const error = new Error("the disk is gone");
    async function* source() {
      try {
        yield all.subarray(0, 10);
        throw error;
      } finally {
        freed += 1;
      }
    }
    expect((await drain(layeredMessage(salt, 20, new Uint8Array(32), source()))).error).toBe(error);
    expect(await errorOf(hashBlocks(salt, 20, source()))).toBe(error);
    // too long: the source is left in the middle
    expect(await errorOf(hashBlocks(salt, 5, source()))).toEqual(wrongLength);
    expect(freed).toBe(3);
  });
});

describe("digests", () => {
  it("of a block are bound to salt and place", async () => {
    const block = bytesOf(BLOCK, 1);
    const twice = Buffer.concat([block, block]);
    const digests = await hashBlocks(salt, 2 * BLOCK, sourceOf(twice, BLOCK));
    expect(toHex(digests.subarray(0, 32))).not.toBe(toHex(digests.subarray(32)));
    const other = await hashBlocks(fromHex("00".repeat(32)), BLOCK, sourceOf(block, BLOCK));
    expect(toHex(other)).not.toBe(toHex(digests.subarray(0, 32)));
  });

  it("of a message are bound to salt, length and all blocks", () => {
    const [blocks, other] = [bytesOf(64, 1), bytesOf(64, 2)];
    const digests = [
      messageDigest(salt, BLOCK + 5, blocks),
      messageDigest(salt, BLOCK + 6, blocks),
      messageDigest(salt, BLOCK + 5, other),
      messageDigest(salt, BLOCK + 5, blocks.subarray(0, 32)),
      messageDigest(bytesOf(32, 3), BLOCK + 5, blocks),
    ];
    expect(new Set(digests.map(toHex)).size).toBe(digests.length);
  });
});

describe("the block hasher", () => {
  it("wants what is left of the block or of the message, and nothing after it", () => {
    const hasher = blockHasher(salt, BLOCK + 10);
    expect([hasher.wantedBytes(), hasher.index()]).toEqual([BLOCK, 0]);
    expect(hasher.add(all.subarray(0, 100))).toBeUndefined();
    expect(hasher.wantedBytes()).toBe(BLOCK - 100);
    expect(hasher.add(all.subarray(100, BLOCK))?.length).toBe(32);
    expect([hasher.wantedBytes(), hasher.index()]).toEqual([10, 1]);
    expect(hasher.add(all.subarray(0, 10))?.length).toBe(32);
    expect([hasher.wantedBytes(), hasher.index()]).toEqual([0, 2]);
  });

  it("goes on from any block", async () => {
    const message = bytesOf(BLOCK + 10, 4);
    const digests = await hashBlocks(salt, BLOCK + 10, sourceOf(message, 1 << 18));
    const second = blockHasher(salt, BLOCK + 10, 1).add(message.subarray(BLOCK));
    expect(toHex(second as Uint8Array)).toBe(toHex(digests.subarray(32)));
  });
});

describe("lengths", () => {
  it.each([
    [1, 1],
    [BLOCK - 1, 1],
    [BLOCK, 1],
    [BLOCK + 1, 2],
    [16 * 1024 * BLOCK, 16 * 1024],
  ])("%i bytes are %i blocks", (lengthBytes, blocks) => {
    expect(blockCount(lengthBytes)).toBe(blocks);
    expect(headerBytes(lengthBytes)).toBe(32 + 32 * blocks);
    expect(layeredBytes(lengthBytes)).toBe(32 + 32 * blocks + lengthBytes);
  });

  it("the longest message fits into a round", () => {
    expect(layeredBytes(MAX_MESSAGE_BYTES)).toBeLessThanOrEqual(MAX_ROUND_BYTES);
  });
});
