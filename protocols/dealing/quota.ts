/** How many deals run at a time, in all and for one identity. */
import { IntercloudError } from "../wire/errors.ts";

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
  enter(identity: string): () => void;
}

const RETRY_AFTER_MS = 1_000;

export function createDealQuota(limits: DealLimits): DealQuota {
  const runningOf = new Map<string, number>();
  let running = 0;
  return {
    enter(identity) {
      const own = runningOf.get(identity) ?? 0;
      if (running >= limits.maxDeals || own >= limits.maxDealsPerIdentity) {
        throw new IntercloudError("BUSY", "busy", "the dealer makes as many deals as it can; try again soon", {
          retryAfterMs: RETRY_AFTER_MS,
        });
      }
      running++;
      runningOf.set(identity, own + 1);
      return () => {
        running--;
        const left = (runningOf.get(identity) ?? 1) - 1;
        if (left === 0) runningOf.delete(identity);
        else runningOf.set(identity, left);
      };
    },
  };
}
