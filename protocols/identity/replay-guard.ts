/**
 * Refuses a request that this node has seen before. Nonces are kept in memory until they expire; a request issued before
 * the node started is refused as well, because it may have been seen by the process that was here before.
 */
import { IntercloudError } from "../wire/errors.ts";
import { MAX_SEEN_NONCES } from "./constants.ts";
import type { CheckedRequest } from "./request.ts";

/** Looking through a full memory takes a while, and must not be done for each request. */
const SWEEP_INTERVAL_MS = 1_000;

export interface ReplayGuard {
  /** @throws IntercloudError REPLAYED; BUSY when the memory of nonces is full. */
  admit(request: CheckedRequest, nowMs: number): void;
}

/** @param maxNonces how many nonces it remembers before it answers BUSY */
export function createReplayGuard(startedAtMs: number, maxNonces = MAX_SEEN_NONCES): ReplayGuard {
  const expiryOf = new Map<string, number>();
  let nextSweepMs = 0;
  return {
    admit(request, nowMs) {
      const key = Buffer.from(request.nonce).toString("base64");
      if (request.issuedAtMs < startedAtMs || expiryOf.has(key)) {
        throw new IntercloudError("REPLAYED", "replayed", "this request was seen before; make a new one");
      }
      if (expiryOf.size >= maxNonces && nowMs >= nextSweepMs) {
        nextSweepMs = nowMs + SWEEP_INTERVAL_MS;
        forgetExpired(expiryOf, nowMs);
      }
      if (expiryOf.size >= maxNonces) {
        throw new IntercloudError("BUSY", "busy", "too many requests in too short a time", { retryAfterMs: 1_000 });
      }
      expiryOf.set(key, request.expiresAtMs);
    },
  };
}

function forgetExpired(expiryOf: Map<string, number>, nowMs: number): void {
  for (const [key, expiresAtMs] of expiryOf) if (expiresAtMs < nowMs) expiryOf.delete(key);
}
