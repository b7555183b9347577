import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { scalarKernel, simdKernel } from "../../../protocols/field/index.ts";
import { sum } from "../../../protocols/rounds/sum.ts";
import { bytesOf, collect, errorOf, sourceOf } from "../../support/bytes.ts";
import { toHex } from "../../support/vectors.ts";
import { errorWith, soon, stalled, watched } from "./sources.ts";

const error = new Error("the peer is gone");

describe("the sum", () => {
  it("is the XOR of all, however each is cut", async () => {
    const chunk = fc.integer({ min: 1, max: 120 });
    await fc.assert(
      fc.asyncProperty(fc.nat(300), fc.array(chunk, { minLength: 1, maxLength: 5 }), async (lengthBytes, chunks) => {
        const all = chunks.map((_, i) => bytesOf(lengthBytes, i + 1));
        const expected = all.reduce((a, b) => a.map((byte, i) => byte ^ (b[i] as number)));
        const [first, ...others] = all.map((bytes, i) => sourceOf(bytes.slice(), chunks[i] as number));
        expect(toHex(await collect(sum(first as AsyncIterable<Uint8Array>, others, simdKernel)))).toBe(toHex(expected));
      }),
    );
  });

  it("of one is that one", async () => {
    expect(await collect(sum(watched([2, 0, 3]), [], scalarKernel))).toEqual(Uint8Array.of(0, 1, 2, 3, 4));
  });

  it("notices that another one is shorter or longer than the first", async () => {
    const add = (...lengths: readonly number[]) => {
      const [first, ...others] = lengths.map((length) => watched([length]));
      return collect(sum(first as AsyncIterable<Uint8Array>, others, scalarKernel));
    };
    expect(await errorOf(add(10, 10, 9))).toEqual(errorWith("TOO_SHORT", "damaged"));
    expect(await errorOf(add(10, 10, 11))).toEqual(errorWith("TOO_LONG", "integrity"));
    expect(await errorOf(add(9, 10))).toEqual(errorWith("TOO_LONG", "integrity"));
    expect(await errorOf(add(0, 1))).toEqual(errorWith("TOO_LONG", "integrity"));
    expect((await add(10, 10, 10)).length).toBe(10);
  });

  it("that is left early frees all sources", async () => {
    const sources = [watched([5, 5]), watched([3, 3, 4]), watched([10])] as const;
    for await (const chunk of sum(sources[0], sources.slice(1), scalarKernel)) {
      expect(chunk.length).toBe(5);
      break;
    }
    expect(sources.map((source) => source.closed())).toEqual([1, 1, 1]);
  });

  it.each([0, 1, 2])("fails as source %i fails, and frees all", async (failing) => {
    const sources = [0, 1, 2].map((i) => (i === failing ? watched([2], { error }) : watched([4, 4])));
    const [first, ...others] = sources as [(typeof sources)[number], ...typeof sources];
    expect(await errorOf(collect(sum(first, others, scalarKernel)))).toBe(error);
    expect(sources.map((source) => source.closed())).toEqual([1, 1, 1]);
  });

  it("does not wait for a stalled source when another one has failed", async () => {
    const { source, release } = stalled();
    const adding = collect(sum(watched([4]), [source, watched([2], { error })], scalarKernel));
    expect(await soon(errorOf(adding))).toBe(error);
    release();
  });
});
