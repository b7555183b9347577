import { describe, expect, it } from "vitest";
import { aesKeystream, type Keystream } from "../../../protocols/crypto/keystream.ts";
import { MAX_DEAL_MEMORY_BYTES, MAX_STEP_BYTES, STEPS_AHEAD } from "../../../protocols/dealing/constants.ts";
import { type Deal, dealShares, stepBytesFor } from "../../../protocols/dealing/deal.ts";
import { correctedPoints, freePoints, isCorrected, userPoint } from "../../../protocols/dealing/points.ts";
import { divide, lagrangeCoefficients, multiply, scalarKernel, simdKernel } from "../../../protocols/field/index.ts";
import { seededEntropy } from "./seeded.ts";

const pairs = (): [threshold: number, providers: number][] => {
  const all: [number, number][] = [];
  for (let n = 2; n <= 7; n++) for (let t = 2; t <= n; t++) all.push([t, n]);
  return all;
};

/** All corrections in full, by point. */
function collect(deal: Deal, threshold: number, providers: number): Map<number, Uint8Array> {
  const points = correctedPoints(threshold, providers);
  const parts = new Map(points.map((point) => [point, [] as Uint8Array[]]));
  for (let chunks = deal.step(); chunks !== undefined; chunks = deal.step()) {
    for (const [index, point] of points.entries()) parts.get(point)?.push(chunks[index] as Uint8Array);
  }
  return new Map([...parts].map(([point, list]) => [point, Buffer.concat(list)]));
}

/** Every share in full, by point, as its holder would compute it: from its seed and its correction. */
function materialise(options: Omit<Parameters<typeof dealShares>[0], "entropy">, seed: number | string) {
  const deal = dealShares({ ...options, entropy: seededEntropy(seed) });
  const seeds = deal.seeds.map((each) => each.slice());
  const corrections = collect(deal, options.threshold, options.providers);
  deal.wipe();
  return seeds.map((each, index) =>
    options.keystream(each, 0).xor(corrections.get(index + 1) ?? new Uint8Array(options.lengthBytes)),
  );
}

function combinations(items: readonly number[], size: number): number[][] {
  if (size === 0) return [[]];
  return items.flatMap((item, index) => combinations(items.slice(index + 1), size - 1).map((rest) => [item, ...rest]));
}

function valueAt(shares: readonly Uint8Array[], points: readonly number[], x: number): Uint8Array {
  const sources = points.map((point) => shares[point - 1] as Uint8Array);
  return scalarKernel.combine(sources, [lagrangeCoefficients(points, x)])[0] as Uint8Array;
}

describe("points", () => {
  it("are split into t free and n+1-t corrected ones", () => {
    for (const [t, n] of pairs()) {
      expect(freePoints(t, n)).toHaveLength(t);
      expect(freePoints(t, n)[0]).toBe(userPoint(n));
      const all = [...freePoints(t, n), ...correctedPoints(t, n)].sort((a, b) => a - b);
      expect(all).toEqual(Array.from({ length: n + 1 }, (_, index) => index + 1));
      for (const point of all) expect(isCorrected(point, t, n)).toBe(correctedPoints(t, n).includes(point));
    }
  });
});

describe.each([
  ["simd", simdKernel],
  ["scalar", scalarKernel],
] as const)("a deal by the %s kernel", (_, kernel) => {
  it.each(pairs())("%i of %i: any t shares fix the same polynomial", (threshold, providers) => {
    const options = { threshold, providers, lengthBytes: 37, keystream: aesKeystream, kernel };
    const shares = materialise(options, `${threshold}/${providers}`);
    const points = shares.map((_share, index) => index + 1);
    const secret = valueAt(shares, freePoints(threshold, providers), 0);
    for (const subset of combinations(points, threshold)) {
      expect(valueAt(shares, subset, 0)).toEqual(secret);
      for (const other of points)
        expect(valueAt(shares, subset, other)).toEqual(new Uint8Array(shares[other - 1] ?? []));
    }
  });
});

describe("a deal", () => {
  const base = { threshold: 3, providers: 5, keystream: aesKeystream, kernel: simdKernel };

  it.each([1, 15, 16, 17, 65_536, MAX_STEP_BYTES - 1, MAX_STEP_BYTES, MAX_STEP_BYTES + 1, 2 * MAX_STEP_BYTES + 5])(
    "of %i bytes hands out exactly that many, in steps",
    (lengthBytes) => {
      const shares = materialise({ ...base, lengthBytes }, lengthBytes);
      for (const share of shares) expect(share.length).toBe(lengthBytes);
      const secret = valueAt(shares, [1, 2, 3], 0);
      expect(Buffer.compare(valueAt(shares, [4, 5, 6], 0), secret)).toBe(0);
    },
  );

  it("is the same with both kernels", () => {
    const lengthBytes = 100_001;
    const one = materialise({ ...base, lengthBytes }, 7);
    const other = materialise({ ...base, lengthBytes, kernel: scalarKernel }, 7);
    for (const [index, share] of one.entries()) expect(Buffer.compare(share, other[index] as Uint8Array)).toBe(0);
  });

  it("overwrites its seeds and ends when it is wiped", () => {
    const deal = dealShares({ ...base, lengthBytes: 1_000_000, entropy: seededEntropy(1) });
    expect(deal.step()).toHaveLength(3);
    deal.wipe();
    for (const seed of deal.seeds) expect(seed.every((byte) => byte === 0)).toBe(true);
    expect(deal.step()).toBeUndefined();
  });

  it("overwrites the shares that it computed on the way", () => {
    const seen: Uint8Array[] = [];
    const kernel = {
      ...scalarKernel,
      combineInto(outputs: Uint8Array[], sources: readonly Uint8Array[], rows: readonly (readonly number[])[]) {
        scalarKernel.combineInto(outputs, sources, rows);
        seen.push(...sources, ...outputs);
      },
    };
    // A keystream whose bytes are a part of a larger buffer: those of their own are given back, and could not be looked at.
    const keystream: Keystream = (key, offsetBytes) => {
      const reader = aesKeystream(key, offsetBytes);
      return { xor: (bytes) => Buffer.concat([new Uint8Array(1), reader.xor(bytes)]).subarray(1) };
    };
    dealShares({ ...base, kernel, keystream, lengthBytes: 500, entropy: seededEntropy(2) }).step();
    expect(seen).toHaveLength(6);
    for (const bytes of seen) expect(bytes.every((byte) => byte === 0)).toBe(true);
  });

  it.each([
    [1, 3],
    [4, 3],
    [2, 255],
    [2.5, 4],
  ])("refuses a threshold of %d of %d", (threshold, providers) => {
    const options = { ...base, threshold, providers, lengthBytes: 1, entropy: seededEntropy(3) };
    expect(() => dealShares(options)).toThrow(expect.objectContaining({ code: "BAD_THRESHOLD" }));
  });

  it("works with 254 providers", () => {
    const lengthBytes = 64;
    const shares = materialise({ ...base, threshold: 128, providers: 254, lengthBytes }, 254);
    const points = (first: number) => Array.from({ length: 128 }, (_, index) => first + index);
    expect(valueAt(shares, points(1), 0)).toEqual(valueAt(shares, points(128), 0));
  });

  it("holds little memory however many providers there are", () => {
    for (const providers of [2, 5, 31, 32, 100, 254]) {
      expect(stepBytesFor(providers) * STEPS_AHEAD * (providers + 1)).toBeLessThanOrEqual(MAX_DEAL_MEMORY_BYTES);
      expect(stepBytesFor(providers)).toBeGreaterThanOrEqual(16 * 1024);
    }
    expect(stepBytesFor(5)).toBe(MAX_STEP_BYTES);
  });
});

/**
 * Secrecy by rank. Seed number j is expanded to the unit vector e_j, one place for each unknown, so that the bytes of a share
 * are its coefficients in the unknowns. What somebody knows says nothing about f(0) if f(0) is not in the span of it.
 */
describe("fewer than t shares", () => {
  it.each(pairs())("%i of %i: say nothing about the message, even with all corrections", (threshold, providers) => {
    const unknowns = providers + 1;
    let drawn = 0;
    const entropy = (lengthBytes: number) => new Uint8Array(lengthBytes).fill(drawn++);
    const unit: Keystream = (key, offsetBytes) => {
      let at = offsetBytes;
      const index = key[0] as number;
      return {
        xor(bytes) {
          const start = at;
          at += bytes.length;
          return bytes.map((byte, place) => byte ^ (start + place === index ? 1 : 0));
        },
      };
    };
    const options = { threshold, providers, lengthBytes: unknowns, keystream: unit, kernel: scalarKernel };
    const deal = dealShares({ ...options, entropy });
    const corrections = collect(deal, threshold, providers);
    const zero = new Uint8Array(unknowns);
    const seeds = deal.seeds.map((seed) => unit(seed, 0).xor(zero));
    const shares = seeds.map((seed, index) =>
      (corrections.get(index + 1) ?? zero).map((b, k) => b ^ (seed[k] as number)),
    );
    const secret = valueAt(shares, freePoints(threshold, providers), 0);
    const points = shares.map((_share, index) => index + 1);

    for (const coalition of combinations(points, threshold - 1)) {
      const known = [...coalition.map((point) => seeds[point - 1] as Uint8Array), ...corrections.values()];
      expect(rank([...known, secret])).toBe(rank(known) + 1);
    }
    for (const coalition of combinations(points, threshold)) {
      const known = [...coalition.map((point) => seeds[point - 1] as Uint8Array), ...corrections.values()];
      expect(rank([...known, secret])).toBe(rank(known));
    }
  });
});

function rank(rows: readonly Uint8Array[]): number {
  const left = rows.map((row) => Array.from(row));
  let found = 0;
  for (let column = 0; column < (left[0]?.length ?? 0); column++) {
    const pivotAt = left.findIndex((row, index) => index >= found && row[column] !== 0);
    if (pivotAt < 0) continue;
    const pivot = left[pivotAt] as number[];
    left[pivotAt] = left[found] as number[];
    left[found] = pivot;
    for (const row of left.slice(found + 1)) {
      const factor = divide(row[column] as number, pivot[column] as number);
      for (const [place, value] of pivot.entries()) row[place] = (row[place] as number) ^ multiply(factor, value);
    }
    found++;
  }
  return found;
}
