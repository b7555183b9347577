import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { exactReader } from "../../../protocols/rounds/exact-reader.ts";
import { bytesOf, errorOf } from "../../support/bytes.ts";
import { toHex } from "../../support/vectors.ts";
import { errorWith, watched } from "./sources.ts";

const tooShort = errorWith("TOO_SHORT", "damaged");
const tooLong = errorWith("TOO_LONG", "integrity");

describe("the exact reader", () => {
  it("gives pieces of exactly the length that is asked for, however the source is cut", async () => {
    const lengths = fc.array(fc.nat(20), { maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(lengths, lengths, async (chunks, reads) => {
        const total = chunks.reduce((sum, length) => sum + length, 0);
        const reader = exactReader(watched(chunks));
        let at = 0;
        for (const length of reads) {
          if (at + length > total) {
            expect(await errorOf(reader.read(length))).toEqual(tooShort);
            return;
          }
          const expected = Uint8Array.from({ length }, (_, i) => at + i);
          expect(toHex(await reader.read(length))).toBe(toHex(expected));
          at += length;
        }
        if (at === total) await reader.end();
        else expect(await errorOf(reader.end())).toEqual(tooLong);
      }),
    );
  });

  it("gives what is at hand, and at most what is wanted", async () => {
    const reader = exactReader(watched([0, 5, 0, 3]));
    expect(await reader.readSome(3)).toEqual(Uint8Array.of(0, 1, 2));
    expect(await reader.readSome(10)).toEqual(Uint8Array.of(3, 4));
    expect(await reader.readSome(1)).toEqual(Uint8Array.of(5));
    expect(await reader.read(2)).toEqual(Uint8Array.of(6, 7));
    expect(await errorOf(reader.readSome(1))).toEqual(tooShort);
  });

  it("does not copy what lies in one chunk", async () => {
    const chunk = bytesOf(100, 1);
    async function* one() {
      yield chunk;
    }
    const piece = await exactReader(one()).read(60);
    expect(piece.buffer).toBe(chunk.buffer);
  });

  it("reading nothing touches nothing", async () => {
    const source = watched([1]);
    const reader = exactReader(source);
    expect((await reader.read(0)).length).toBe(0);
    await reader.read(1);
    expect((await reader.read(0)).length).toBe(0);
    await reader.end();
    expect(source.closed()).toBe(1);
  });

  it("an empty source, and one of empty chunks, is too short for a byte and long enough for none", async () => {
    for (const lengths of [[], [0, 0]]) {
      expect(await errorOf(exactReader(watched(lengths)).read(1))).toEqual(tooShort);
      await exactReader(watched(lengths)).end();
    }
  });

  it("passes on what the source throws, in the middle of a piece as well", async () => {
    const error = new Error("the disk is gone");
    const reader = exactReader(watched([3], { error }));
    await reader.read(1);
    expect(await errorOf(reader.read(5))).toBe(error);
    expect(await errorOf(exactReader(watched([], { error })).end())).toBe(error);
  });

  it("frees the source when it is closed early, and only once", async () => {
    const source = watched([5, 5]);
    const reader = exactReader(source);
    await reader.read(1);
    await reader.close();
    await reader.close();
    expect(source.closed()).toBe(1);
  });
});
