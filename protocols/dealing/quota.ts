/** How many deals run at a time, in all and for one identity. */
import { IntercloudError } from "../wire/errors.ts";
import { MAX_INLINE_CORRECTION_BYTES } from "./constants.ts";

export interface DealLimits {
  /** Each deal in progress takes up to MAX_DEAL_MEMORY_BYTES and one stream to each provider. */
  readonly maxDeals: number;
  /** So that one user cannot keep the dealer from all others. */
  readonly maxDealsPerIdentity: number;
  readonly maxLengthBytes: number;
  readonly dealLifetimeMs: number;
}

export interface DealQuota {
  /** @returns the function that gives the place back. @throws IntercloudError BUSY. */
  enter(identity: string, lengthBytes: number): () => void;
}

const RETRY_AFTER_MS = 1_000;
/** What is short takes no stream to anybody and next to no memory: sixteen of them count as one. */
const SHORT_WEIGHT = 1 / 16;

export function createDealQuota(limits: DealLimits): DealQuota {
  const runningOf = new Map<string, number>();
  let running = 0;
  return {
    enter(identity, lengthBytes) {
      const own = runningOf.get(identity) ?? 0;
      const weight = lengthBytes <= MAX_INLINE_CORRECTION_BYTES ? SHORT_WEIGHT : 1;
      if (running + weight > limits.maxDeals || own + weight > limits.maxDealsPerIdentity) {
        throw new IntercloudError("BUSY", "busy", "the dealer makes as many deals as it can; try again soon", {
          retryAfterMs: RETRY_AFTER_MS,
        });
      }
      running += weight;
      runningOf.set(identity, own + weight);
      return () => {
        running -= weight;
        const left = (runningOf.get(identity) ?? weight) - weight;
        if (left === 0) runningOf.delete(identity);
        else runningOf.set(identity, left);
      };
    },
  };
}
