import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createSimdKernel, scalarKernel, simdKernel, xorInto } from "../../../protocols/field/index.ts";
import { errorCode, patternBytes, referenceMultiply } from "./reference.ts";

const KERNELS = { scalar: scalarKernel, simd: simdKernel };
const EVERY_ELEMENT = Uint8Array.from({ length: 256 }, (_, element) => element);

// The borders of a vector (16), of a short XOR (64), of a block of the WebAssembly memory (16 KiB) and of several blocks.
const LENGTHS = [0, 1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 255, 1000];
const BLOCK_LENGTHS = [16_383, 16_384, 16_385, 32_768, 49_151, 65_535, 65_536, 65_537];

// Comparing with expect(...).toEqual takes longer than all the arithmetic.
const same = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;

describe.each(Object.entries(KERNELS))("%s kernel", (_name, kernel) => {
  it("multiplies all 65,536 pairs as the bitwise reference does", () => {
    for (let coefficient = 0; coefficient < 256; coefficient++) {
      const added = new Uint8Array(256);
      kernel.addScaled(added, EVERY_ELEMENT, coefficient);
      const [combined] = kernel.combine([EVERY_ELEMENT], [[coefficient]]);
      const expected = EVERY_ELEMENT.map((element) => referenceMultiply(coefficient, element));
      expect(added).toEqual(expected);
      expect(combined).toEqual(expected);
    }
  });

  it("adds to the target and leaves the source and the bytes around both alone", () => {
    const targetBuffer = patternBytes(300, 1);
    const sourceBuffer = patternBytes(300, 2);
    const [targetBefore, sourceBefore] = [targetBuffer.slice(), sourceBuffer.slice()];
    kernel.addScaled(targetBuffer.subarray(3, 204), sourceBuffer.subarray(50, 251), 0x57);
    expect(sourceBuffer).toEqual(sourceBefore);
    const changed = targetBefore.slice();
    for (let index = 0; index < 201; index++) {
      changed[index + 3] = (targetBefore[index + 3] ?? 0) ^ referenceMultiply(0x57, sourceBefore[index + 50] ?? 0);
    }
    expect(targetBuffer).toEqual(changed);
  });

  it("adds a buffer to itself", () => {
    const bytes = patternBytes(40_000, 3);
    const expected = bytes.map((byte) => byte ^ referenceMultiply(3, byte));
    kernel.addScaled(bytes, bytes, 3);
    expect(same(bytes, expected)).toBe(true);
    kernel.addScaled(bytes, bytes, 1);
    expect(bytes.every((byte) => byte === 0)).toBe(true);
  });

  it("overwrites what the outputs held, and makes fresh ones", () => {
    const sources = [patternBytes(100, 4), patternBytes(100, 5)];
    const outputs = [patternBytes(100, 6)];
    kernel.combineInto(outputs, sources, [[7, 9]]);
    const first = kernel.combine(sources, [[7, 9]]);
    const second = kernel.combine(sources, [[7, 9]]);
    expect(first).toEqual(outputs);
    expect(second).toEqual(first);
    expect(second[0]?.buffer).not.toBe(first[0]?.buffer);
    kernel.combineInto(outputs, sources, [[0, 0]]);
    expect(outputs).toEqual([new Uint8Array(100)]);
  });

  it("combines nothing into nothing", () => {
    expect(kernel.combine([patternBytes(5, 7)], [])).toEqual([]);
    expect(kernel.combine([new Uint8Array(0)], [[1], [2]])).toEqual([new Uint8Array(0), new Uint8Array(0)]);
  });

  it("refuses lengths and rows that do not fit", () => {
    const [short, long] = [new Uint8Array(4), new Uint8Array(5)];
    expect(errorCode(() => kernel.addScaled(short, long, 2))).toBe("LENGTH_MISMATCH");
    expect(errorCode(() => kernel.addScaled(long, short, 2))).toBe("LENGTH_MISMATCH");
    expect(errorCode(() => kernel.combine([short, long], [[1, 1]]))).toBe("LENGTH_MISMATCH");
    expect(errorCode(() => kernel.combine([short], [[1, 1]]))).toBe("LENGTH_MISMATCH");
    expect(errorCode(() => kernel.combine([short, short], [[1]]))).toBe("LENGTH_MISMATCH");
    expect(errorCode(() => kernel.combine([], [[]]))).toBe("LENGTH_MISMATCH");
    expect(errorCode(() => kernel.combineInto([long], [short], [[1]]))).toBe("LENGTH_MISMATCH");
    expect(errorCode(() => kernel.combineInto([short, short], [short], [[1]]))).toBe("LENGTH_MISMATCH");
  });

  it.each([-1, 256, 0.5, Number.NaN])("refuses %s as a coefficient", (coefficient) => {
    const bytes = new Uint8Array(4);
    expect(errorCode(() => kernel.addScaled(bytes, bytes, coefficient))).toBe("BAD_COEFFICIENT");
    expect(errorCode(() => kernel.combine([bytes], [[coefficient]]))).toBe("BAD_COEFFICIENT");
  });

  it("is linear", () => {
    const element = fc.integer({ min: 0, max: 255 });
    const pair = fc
      .integer({ min: 0, max: 200 })
      .chain((length) =>
        fc.tuple(
          fc.uint8Array({ minLength: length, maxLength: length }),
          fc.uint8Array({ minLength: length, maxLength: length }),
        ),
      );
    const scaled = (bytes: Uint8Array, coefficient: number) => {
      const result = new Uint8Array(bytes.length);
      kernel.addScaled(result, bytes, coefficient);
      return result;
    };
    const sum = (a: Uint8Array, b: Uint8Array) => a.map((byte, index) => byte ^ (b[index] ?? 0));
    fc.assert(
      fc.property(pair, element, element, ([a, b], c, d) => {
        expect(scaled(sum(a, b), c)).toEqual(sum(scaled(a, c), scaled(b, c)));
        expect(scaled(a, c ^ d)).toEqual(sum(scaled(a, c), scaled(a, d)));
        expect(scaled(scaled(a, c), d)).toEqual(scaled(a, referenceMultiply(c, d)));
        expect(kernel.combine([a, b], [[c, d]])).toEqual([sum(scaled(a, c), scaled(b, d))]);
      }),
    );
  });
});

describe("the kernels agree", () => {
  it("for every coefficient at every border of a vector", () => {
    for (const lengthBytes of LENGTHS) {
      const source = patternBytes(lengthBytes, 11);
      const [ours, theirs] = [patternBytes(lengthBytes, 12), patternBytes(lengthBytes, 12)];
      for (let coefficient = 0; coefficient < 256; coefficient++) {
        simdKernel.addScaled(ours, source, coefficient);
        scalarKernel.addScaled(theirs, source, coefficient);
        if (!same(ours, theirs)) expect.fail(`${coefficient} at ${lengthBytes} bytes`);
      }
    }
  });

  it("for every coefficient at every border of a block", () => {
    for (const lengthBytes of BLOCK_LENGTHS) {
      const source = patternBytes(lengthBytes, 13);
      const [ours, theirs] = [patternBytes(lengthBytes, 14), patternBytes(lengthBytes, 14)];
      for (let coefficient = 0; coefficient < 256; coefficient++) {
        simdKernel.addScaled(ours, source, coefficient);
        scalarKernel.addScaled(theirs, source, coefficient);
        if (!same(ours, theirs)) expect.fail(`${coefficient} at ${lengthBytes} bytes`);
      }
    }
  });

  it("on combinations of every shape up to 9 sources and 19 outputs", () => {
    // 1, 2 and 4 outputs have code of their own, and 8 are one group: 19 meets all of them
    const all = Array.from({ length: 9 }, (_, index) => patternBytes(100, 20 + index));
    for (let sources = 1; sources <= 9; sources++) {
      for (let outputs = 1; outputs <= 19; outputs++) {
        const used = all.slice(0, sources);
        const rows = Array.from({ length: outputs }, (_, k) => [...patternBytes(sources, 100 * sources + k)]);
        expect(simdKernel.combine(used, rows)).toEqual(scalarKernel.combine(used, rows));
      }
    }
  });

  it("on random combinations of any length", () => {
    const shape = fc.record({
      lengthBytes: fc.oneof(fc.constantFrom(...LENGTHS, ...BLOCK_LENGTHS), fc.integer({ min: 0, max: 70_000 })),
      sources: fc.integer({ min: 1, max: 6 }),
      outputs: fc.integer({ min: 1, max: 10 }),
      seed: fc.nat(),
    });
    fc.assert(
      fc.property(shape, ({ lengthBytes, sources, outputs, seed }) => {
        const buffers = Array.from({ length: sources }, (_, j) => patternBytes(lengthBytes, seed + j));
        const rows = Array.from({ length: outputs }, (_, k) => [...patternBytes(sources, seed + 1000 + k)]);
        const ours = simdKernel.combine(buffers, rows);
        const theirs = scalarKernel.combine(buffers, rows);
        return ours.every((output, k) => same(output, theirs[k] ?? new Uint8Array(0)));
      }),
      { numRuns: 40 },
    );
  });
});

describe("xorInto", () => {
  it("adds byte by byte at every border", () => {
    for (const lengthBytes of [...LENGTHS, ...BLOCK_LENGTHS]) {
      const [target, source] = [patternBytes(lengthBytes, 31), patternBytes(lengthBytes, 32)];
      const expected = target.map((byte, index) => byte ^ (source[index] ?? 0));
      xorInto(target, source);
      expect(same(target, expected), `${lengthBytes} bytes`).toBe(true);
    }
  });

  it("refuses buffers of different lengths", () => {
    expect(errorCode(() => xorInto(new Uint8Array(3), new Uint8Array(4)))).toBe("LENGTH_MISMATCH");
  });
});

describe("a SIMD kernel of its own", () => {
  it("works beside another", () => {
    const bytes = patternBytes(100, 41);
    expect(createSimdKernel().combine([bytes], [[5]])).toEqual(simdKernel.combine([bytes], [[5]]));
  });
});
