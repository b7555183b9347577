/** Token buckets, one per peer: so many requests at once, and so many per second in the long run. */
import type { Clock } from "./clock.ts";
import type { PeerName } from "./transport.ts";

export interface QuotaOptions {
  readonly clock: Clock;
  readonly ratePerSecond: number;
  /** How many may come at once after a rest. */
  readonly burst: number;
}

export interface Quota {
  /** Takes `cost` tokens and returns 0, or takes none and returns in how many milliseconds they will be there. */
  take(peer: PeerName, cost?: number): number;
}

/** Buckets that have filled up again are forgotten beyond this count, so that strangers cannot fill our memory. */
const MAX_IDLE_BUCKETS = 1_000;

export function createQuota({ clock, ratePerSecond, burst }: QuotaOptions): Quota {
  const buckets = new Map<PeerName, { tokens: number; atMs: number }>();

  function tokensAt(bucket: { tokens: number; atMs: number }, nowMs: number): number {
    // a clock that was set back must not take tokens away
    const elapsedMs = Math.max(0, nowMs - bucket.atMs);
    return Math.min(burst, bucket.tokens + (elapsedMs * ratePerSecond) / 1000);
  }

  function forgetFull(nowMs: number): void {
    for (const [peer, bucket] of buckets) if (tokensAt(bucket, nowMs) >= burst) buckets.delete(peer);
  }

  return {
    take(peer, fullCost = 1) {
      // what costs more than a full bucket is still possible, from a full bucket
      const cost = Math.min(fullCost, burst);
      const nowMs = clock.nowMs();
      let bucket = buckets.get(peer);
      if (!bucket) {
        if (buckets.size >= MAX_IDLE_BUCKETS) forgetFull(nowMs);
        bucket = { tokens: burst, atMs: nowMs };
        buckets.set(peer, bucket);
      }
      bucket.tokens = tokensAt(bucket, nowMs);
      bucket.atMs = nowMs;
      if (bucket.tokens < cost) return Math.ceil(((cost - bucket.tokens) * 1000) / ratePerSecond);
      bucket.tokens -= cost;
      return 0;
    },
  };
}
