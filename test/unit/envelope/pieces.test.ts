/** An envelope that is put together from pieces of several copies, as `get` does it when a keeper fails; and how long its message is. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { CHUNK_BYTES } from "../../../protocols/envelope/constants.ts";
import {
  messageBytesIn,
  openChunks,
  SEALED_CHUNK_BYTES,
  sealEnvelope,
  unlockEnvelope,
} from "../../../protocols/envelope/index.ts";
import { bytesOf, collect, errorOf, sourceOf } from "../../support/bytes.ts";
import { flipBit, loadVectors } from "../../support/vectors.ts";

const { vectors } = loadVectors<{ readonly vectors: readonly { readonly text: string }[] }>("token/golden");
const [tokenText, otherText] = vectors.map(({ text }) => text) as [string, string];
const envelopeKey = bytesOf(32, 1);
let drawn = 100;
const entropy = (lengthBytes: number) => bytesOf(lengthBytes, drawn++);
const sealed = (message: Uint8Array) =>
  collect(sealEnvelope({ envelopeKey, tokenText, entropy }, sourceOf(message, 30_000)));
const unlocked = (file: Uint8Array) => unlockEnvelope({ tokenText, envelopeKey }, sourceOf(file, 10_000));

const message = bytesOf(4 * CHUNK_BYTES + 10, 2);
const file = await sealed(message);

test("it goes on at any chunk, and what is sealed adds up to the file", async () => {
  const { head, key, rest } = await unlocked(file);
  const sealedParts: Uint8Array[] = [head];
  const isLast: boolean[] = [];
  for await (const chunk of openChunks(key, rest, 0)) {
    sealedParts.push(new Uint8Array(chunk.sealed));
    isLast.push(chunk.isLast);
  }
  expect(Buffer.compare(Buffer.concat(sealedParts), file)).toBe(0);
  expect(isLast).toEqual([false, false, false, false, true]);
  for (let first = 0; first <= 4; first += 1) {
    const from = file.subarray(head.length + first * SEALED_CHUNK_BYTES);
    const parts: Uint8Array[] = [];
    for await (const { bytes } of openChunks(key, sourceOf(from.slice(), 9_999), first)) parts.push(bytes);
    expect(Buffer.compare(Buffer.concat(parts), message.subarray(first * CHUNK_BYTES))).toBe(0);
    const elsewhere = collectBytes(openChunks(key, sourceOf(from.slice(), 9_999), first + 1));
    expect(await errorOf(elsewhere)).toMatchObject({
      ...{ code: "FILE_DAMAGED", details: { offsetBytes: (first + 1) * CHUNK_BYTES } },
    });
  }
});

async function collectBytes(chunks: ReturnType<typeof openChunks>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const { bytes } of chunks) parts.push(bytes);
  return Buffer.concat(parts);
}

test("a head with any bit flipped, cut, in armor, or of another deposit is not unlocked", async () => {
  const { head } = await unlocked(file);
  for (let bit = 0; bit < 8 * (head.length - 16); bit += 7) {
    expect(await errorOf(unlocked(flipBit(file, bit)))).toMatchObject({ name: "IntercloudError" });
  }
  expect(await errorOf(unlocked(file.subarray(0, head.length - 1)))).toMatchObject({ code: "HEADER_DAMAGED" });
  const armored = `-----BEGIN AGE ENCRYPTED FILE-----\n${Buffer.from(file).toString("base64")}`;
  expect(await errorOf(unlocked(Buffer.from(armored)))).toMatchObject({ code: "NOT_AN_AGE_FILE" });
  const wrong = unlockEnvelope({ tokenText: otherText, envelopeKey }, sourceOf(file, 10_000));
  expect(await errorOf(wrong)).toMatchObject({ code: "HEADER_DAMAGED" });
  const otherKey = unlockEnvelope({ tokenText, envelopeKey: bytesOf(32, 9) }, sourceOf(file, 10_000));
  expect(await errorOf(otherKey)).toMatchObject({ code: "WRONG_ENVELOPE_KEY" });
});

test("the length of a message shows in that of its envelope", async () => {
  const near = fc.integer({ min: -1, max: 1 });
  const lengths = fc.oneof(
    fc.integer({ min: 0, max: 300_000 }),
    fc.tuple(fc.integer({ min: 1, max: 4 }), near).map(([chunks, more]) => chunks * CHUNK_BYTES + more),
  );
  await fc.assert(
    fc.asyncProperty(lengths, async (lengthBytes) => {
      expect(messageBytesIn((await sealed(bytesOf(lengthBytes, 3))).length, tokenText)).toBe(lengthBytes);
    }),
    { numRuns: 60 },
  );
});
