/**
 * In the chain route whoever has passed the message on waits for the chain to come back, and that takes as long as all that
 * is still on its way needs to get through every provider that follows. Each tells the one before it that it is waiting, as
 * long as the one after it is heard of.
 */
import * as v from "valibot";
import type { Clock } from "../wire/clock.ts";
import type { CborValue } from "../wire/codec.ts";
import { receiveResult, type Telling, tellProgress } from "../wire/tell-progress.ts";
import type { Channel } from "../wire/transport.ts";
import {
  CHANGE_BYTES_PER_SECOND,
  CHANGE_LIFETIME_MS,
  CHECK_BYTES_PER_SECOND,
  SEAL_TIMEOUT_MS,
  WAITING_INTERVAL_MS,
} from "./constants.ts";
import { waitingShape } from "./messages.ts";

export function tellWaiting(clock: Clock, channel: Channel): Telling {
  return tellProgress(clock, channel, WAITING_INTERVAL_MS, () => ({ waiting: true }));
}

/** How long to wait for something for which so many bytes have to be moved. */
export function movingTimeoutMs(lengthBytes: number): number {
  return CHANGE_LIFETIME_MS + Math.ceil((1_000 * lengthBytes) / CHANGE_BYTES_PER_SECOND);
}

/** How long to wait for something for which so many bytes have to be read from a disk. */
export function readingTimeoutMs(lengthBytes: number): number {
  return SEAL_TIMEOUT_MS + Math.ceil((1_000 * lengthBytes) / CHECK_BYTES_PER_SECOND);
}

/** What comes in the end; not parsed. @throws IntercloudError TIMEOUT when that is not in time, whatever is said meanwhile. */
export async function receiveChain(clock: Clock, channel: Channel, timeoutMs: number): Promise<CborValue> {
  return await receiveResult(clock, channel, timeoutMs, (message) => v.is(waitingShape, message));
}
