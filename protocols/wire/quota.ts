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
  // counted in thousandths of a token, so that a whole rate per second is whole numbers per millisecond
  const full = burst * 1000;
  const buckets = new Map<PeerName, { level: number; atMs: number }>();

  function levelAt(bucket: { level: number; atMs: number }, nowMs: number): number {
    // a clock that was set back must not take tokens away
    const elapsedMs = Math.max(0, nowMs - bucket.atMs);
    return Math.min(full, bucket.level + elapsedMs * ratePerSecond);
  }

  function forgetFull(nowMs: number): void {
    for (const [peer, bucket] of buckets) if (levelAt(bucket, nowMs) >= full) buckets.delete(peer);
  }

  return {
    take(peer, cost = 1) {
      // what costs more than a full bucket is still possible, from a full bucket
      const price = Math.min(cost * 1000, full);
      const nowMs = clock.nowMs();
      let bucket = buckets.get(peer);
      if (!bucket) {
        if (buckets.size >= MAX_IDLE_BUCKETS) forgetFull(nowMs);
        bucket = { level: full, atMs: nowMs };
        buckets.set(peer, bucket);
      }
      bucket.level = levelAt(bucket, nowMs);
      bucket.atMs = nowMs;
      if (bucket.level < price) return Math.ceil((price - bucket.level) / ratePerSecond);
      bucket.level -= price;
      return 0;
    },
  };
}
