import { describe, expect, it } from "vitest";
import { aesKeystream, type Keystream } from "../../../protocols/crypto/keystream.ts";
import { multiply, simdKernel } from "../../../protocols/field/index.ts";
import { type LayerOptions, layer } from "../../../protocols/rounds/layer.ts";
import type { Share } from "../../../protocols/rounds/share.ts";
import { zeros } from "../../../protocols/rounds/zeros.ts";
import { bytesOf, collect, errorOf, sourceOf } from "../../support/bytes.ts";
import { toHex } from "../../support/vectors.ts";
import { seedOf } from "./dealt.ts";
import { errorWith, type WatchedSource, watched } from "./sources.ts";

const tools = { keystream: aesKeystream, kernel: simdKernel };
const expanded = (name: string, lengthBytes: number) => aesKeystream(seedOf(name), 0).xor(new Uint8Array(lengthBytes));

function through(options: Partial<LayerOptions>, source: AsyncIterable<Uint8Array>) {
  return layer({ ...tools, share: undefined, maskKeys: [], offsetBytes: 0, ...options })(source);
}

/** A share with this correction, and how often its source was closed. */
function corrected(correction: WatchedSource): Share {
  return { point: 1, seed: seedOf("seed"), correction: () => correction };
}

describe("a layer", () => {
  it("is coefficient * (expanded seed XOR correction), XOR the masks", async () => {
    const lengthBytes = 1_000;
    const input = bytesOf(lengthBytes, 1);
    const correction = bytesOf(lengthBytes, 2);
    const share = {
      share: { point: 1, seed: seedOf("seed"), correction: (from: number) => sourceOf(correction.slice(from), 64) },
      coefficient: 0x53,
    };
    const [seed, a, b] = ["seed", "a", "b"].map((name) => expanded(name, lengthBytes)) as [Buffer, Buffer, Buffer];
    const expected = input.map((byte, i) => {
      const shareByte = (seed[i] as number) ^ (correction[i] as number);
      return byte ^ multiply(0x53, shareByte) ^ (a[i] as number) ^ (b[i] as number);
    });
    for (const offsetBytes of [0, 1, 15, 16, 17, 999]) {
      const got = await collect(
        through({ share, maskKeys: [seedOf("a"), seedOf("b")], offsetBytes }, sourceOf(input.slice(offsetBytes), 333)),
      );
      expect(toHex(got)).toBe(toHex(expected.subarray(offsetBytes)));
    }
  });

  it("without share and masks is nothing", async () => {
    expect(await collect(through({}, sourceOf(bytesOf(100, 1), 7)))).toEqual(bytesOf(100, 1));
  });

  it("cuts large chunks, so that memory stays small", async () => {
    const lengthBytes = 1_000_003;
    const input = bytesOf(lengthBytes, 1);
    const lengths: number[] = [];
    const parts: Uint8Array[] = [];
    for await (const piece of through({ maskKeys: [seedOf("a")] }, sourceOf(input.slice(), lengthBytes))) {
      lengths.push(piece.length);
      parts.push(piece);
    }
    expect(Math.max(...lengths)).toBe(64 * 1024);
    const mask = expanded("a", lengthBytes);
    expect(
      Buffer.compare(
        Buffer.concat(parts),
        input.map((byte, i) => byte ^ (mask[i] as number)),
      ),
    ).toBe(0);
  });

  it("lets empty chunks pass without a trace", async () => {
    const share = { share: corrected(watched([0, 2, 0, 1])), coefficient: 1 };
    const got = await collect(through({ share }, watched([0, 1, 0, 2, 0])));
    const seed = expanded("seed", 3);
    // the input and the correction count up alike, so that they cancel
    expect(toHex(got)).toBe(toHex(seed));
  });

  it("with a correction that is too short fails instead of going on without it", async () => {
    const correction = watched([9]);
    const share = { share: corrected(correction), coefficient: 1 };
    expect(await errorOf(collect(through({ share }, watched([10]))))).toEqual(errorWith("TOO_SHORT", "damaged"));
    expect(correction.closed()).toBe(1);
  });

  it("frees the correction at the end, when left early, and when the source fails", async () => {
    const error = new Error("the peer is gone");
    const longer = () => watched([4, 4, 4]);
    const used: WatchedSource[] = [];
    const share = () => {
      const correction = longer();
      used.push(correction);
      return { share: { share: corrected(correction), coefficient: 1 } };
    };
    await collect(through(share(), watched([3])));
    const source = watched([2, 2]);
    for await (const _ of through(share(), source)) break;
    expect(source.closed()).toBe(1);
    expect(await errorOf(collect(through(share(), watched([2], { error }))))).toBe(error);
    expect(used.map((correction) => correction.closed())).toEqual([1, 1, 1]);
  });

  it("wipes the bytes of the share once they are in", async () => {
    const given: Uint8Array[] = [];
    const watching: Keystream = (key, offsetBytes) => {
      const stream = aesKeystream(key, offsetBytes);
      return {
        xor(bytes) {
          // part of a larger buffer, which stays readable when the part is released
          const out = new Uint8Array(bytes.length + 1).subarray(0, bytes.length);
          out.set(stream.xor(bytes));
          if (Buffer.compare(key, seedOf("seed")) === 0) given.push(out);
          return out;
        },
      };
    };
    const share = { share: { point: 1, seed: seedOf("seed"), correction: undefined }, coefficient: 7 };
    const got = await collect(through({ share, keystream: watching, maskKeys: [seedOf("a")] }, watched([50, 50])));
    expect(given.map((bytes) => bytes.every((byte) => byte === 0))).toEqual([true, true]);
    expect(got.length).toBe(100);
  });

  it("wipes the mask keys as soon as it has begun", async () => {
    const maskKeys = [seedOf("a"), seedOf("b")];
    const passing = through({ maskKeys }, watched([50, 50]));
    expect(maskKeys).toEqual([seedOf("a"), seedOf("b")]);
    for await (const _ of passing) expect(maskKeys).toEqual([new Uint8Array(32), new Uint8Array(32)]);
  });

  it("opens nothing before somebody reads", () => {
    const correction = () => {
      throw new Error("opened");
    };
    through({ share: { share: { point: 1, seed: seedOf("seed"), correction }, coefficient: 1 } }, watched([1]));
  });
});

describe("zeros", () => {
  it.each([0, 1, 65_535, 65_536, 65_537, 200_000])("%i of them, in steps of at most 64 KiB", async (lengthBytes) => {
    const parts: Uint8Array[] = [];
    for await (const part of zeros(lengthBytes)) parts.push(part);
    expect(parts.every((part) => part.length > 0 && part.length <= 65_536)).toBe(true);
    expect(Buffer.compare(Buffer.concat(parts), Buffer.alloc(lengthBytes))).toBe(0);
  });

  it("stay zeros when a layer is laid on them, with masks and without", async () => {
    const share = { share: { point: 1, seed: seedOf("seed"), correction: undefined }, coefficient: 7 };
    for (const maskKeys of [[], [seedOf("a")], [seedOf("a"), seedOf("b")]]) {
      const laid = await collect(through({ share, maskKeys }, zeros(100)));
      expect(Buffer.compare(laid, Buffer.alloc(100))).not.toBe(0);
      expect(Buffer.compare(await collect(zeros(100)), Buffer.alloc(100))).toBe(0);
    }
  });
});
