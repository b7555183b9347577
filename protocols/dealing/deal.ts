/**
 * The arithmetic of a deal, with everything it depends on passed in. Every share is `expand(seed) XOR correction`; t shares
 * are seeds alone and fix the polynomial of each byte, the others are evaluated from them (Lagrange) and travel as
 * `correction = share XOR expand(own seed)`, which looks random to whoever lacks that seed.
 */
import type { Entropy } from "../crypto/entropy.ts";
import type { Keystream } from "../crypto/keystream.ts";
import { wipe } from "../crypto/release.ts";
import { type FieldKernel, lagrangeCoefficients } from "../field/index.ts";
import { SEED_BYTES } from "../rounds/share.ts";
import { MAX_DEAL_MEMORY_BYTES, MAX_STEP_BYTES, STEPS_AHEAD } from "./constants.ts";
import { checkThreshold, correctedPoints, freePoints, userPoint } from "./points.ts";

export interface DealOptions {
  readonly threshold: number;
  /** How many providers: n. */
  readonly providers: number;
  readonly lengthBytes: number;
  readonly entropy: Entropy;
  readonly keystream: Keystream;
  readonly kernel: FieldKernel;
  /** Sees each chunk of each provider's share, for its digest, before it is overwritten. */
  readonly onShare?: (point: number, chunk: Uint8Array) => void;
}

export interface Deal {
  /** The seed of point p is at p-1: n providers, then the user. 32 bytes each; gone after `wipe`. */
  readonly seeds: readonly Uint8Array[];
  /** The next chunk of every correction, one for each of `correctedPoints`; undefined when all have been handed out. */
  step(): Uint8Array[] | undefined;
  /** Overwrites the seeds. The deal cannot be continued. */
  wipe(): void;
}

/** Draws the seeds of a fresh deal. @throws IntercloudError BAD_THRESHOLD. */
export function dealShares(options: DealOptions): Deal {
  const { threshold, providers, lengthBytes, keystream, onShare } = options;
  checkThreshold(threshold, providers);
  const seeds = Array.from({ length: userPoint(providers) }, () => options.entropy(SEED_BYTES));
  const corrected = correctedPoints(threshold, providers);
  const evaluate = createEvaluator({ ...options, seeds, points: corrected });
  const masks = corrected.map((point) => keystream(seedOf(seeds, point), 0));
  const stepBytes = stepBytesFor(providers);
  const scratch = corrected.map(() => new Uint8Array(Math.min(stepBytes, lengthBytes)));
  let doneBytes = 0;
  return {
    seeds,
    step() {
      const chunkBytes = Math.min(stepBytes, lengthBytes - doneBytes);
      if (chunkBytes === 0) return undefined;
      doneBytes += chunkBytes;
      const shares = scratch.map((bytes) => bytes.subarray(0, chunkBytes));
      const free = evaluate(shares);
      if (onShare !== undefined) {
        for (const [index, point] of corrected.entries()) onShare(point, shares[index] as Uint8Array);
        for (const [index, point] of freePoints(threshold, providers).entries()) {
          if (point !== userPoint(providers)) onShare(point, free[index] as Uint8Array);
        }
      }
      const corrections = masks.map((mask, index) => mask.xor(shares[index] as Uint8Array));
      for (const share of shares) share.fill(0);
      for (const share of free) wipe(share);
      return corrections;
    },
    wipe() {
      for (const seed of seeds) seed.fill(0);
      doneBytes = lengthBytes;
    },
  };
}

export interface EvaluatorOptions {
  readonly threshold: number;
  readonly providers: number;
  readonly seeds: readonly Uint8Array[];
  /** Where to evaluate the polynomials. */
  readonly points: readonly number[];
  readonly keystream: Keystream;
  readonly kernel: FieldKernel;
}

/**
 * Evaluates the polynomials of the next bytes at `points`.
 * @param targets one for each point, all of one length: how many bytes are evaluated. They receive the shares.
 * @returns the shares of `freePoints`, in that order. The caller overwrites all of them when they were used.
 */
export type Evaluator = (targets: readonly Uint8Array[]) => Uint8Array[];

/** Expands the free seeds and evaluates at the other points, chunk after chunk. */
export function createEvaluator(options: EvaluatorOptions): Evaluator {
  const { threshold, providers, seeds, points, keystream, kernel } = options;
  const free = freePoints(threshold, providers);
  const streams = free.map((point) => keystream(seedOf(seeds, point), 0));
  const rows = points.map((point) => lagrangeCoefficients(free, point));
  let zeros = new Uint8Array();
  return (targets) => {
    const chunkBytes = targets[0]?.length ?? 0;
    if (zeros.length < chunkBytes) zeros = new Uint8Array(chunkBytes);
    const values = streams.map((stream) => stream.xor(zeros.subarray(0, chunkBytes)));
    kernel.combineInto(targets, values, rows);
    return values;
  };
}

/** The step at which all chunks that a deal holds at a time stay below MAX_DEAL_MEMORY_BYTES: 16 KiB at n = 254. */
export function stepBytesFor(providers: number): number {
  let stepBytes = MAX_STEP_BYTES;
  while (stepBytes * STEPS_AHEAD * (providers + 1) > MAX_DEAL_MEMORY_BYTES) stepBytes /= 2;
  return stepBytes;
}

function seedOf(seeds: readonly Uint8Array[], point: number): Uint8Array {
  return seeds[point - 1] as Uint8Array;
}
