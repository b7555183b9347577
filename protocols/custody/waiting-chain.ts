/**
 * In the chain route whoever has passed the message on waits for the chain to come back, and that takes as long as all that
 * is still on its way needs to get through every provider that follows. Each tells the one before it that it is waiting, as
 * long as the one after it is heard of.
 */
import * as v from "valibot";
import type { Clock } from "../wire/clock.ts";
import type { CborValue } from "../wire/codec.ts";
import { IntercloudError } from "../wire/errors.ts";
import { type Telling, tellProgress } from "../wire/tell-progress.ts";
import type { Channel } from "../wire/transport.ts";
import { MAX_WAITING_MESSAGES, WAITING_INTERVAL_MS } from "./constants.ts";
import { waitingShape } from "./messages.ts";

export function tellWaiting(clock: Clock, channel: Channel): Telling {
  return tellProgress(clock, channel, WAITING_INTERVAL_MS, () => ({ waiting: true }));
}

/** What comes in the end; not parsed. @throws IntercloudError TIMEOUT when it has not come within a day. */
export async function receiveChain(channel: Channel): Promise<CborValue> {
  for (let count = 0; count < MAX_WAITING_MESSAGES; count += 1) {
    const message = await channel.receiveMessage();
    if (!v.is(waitingShape, message)) return message;
  }
  const text = "a provider has said for a day that the chain is still to come; make a new deposit";
  throw new IntercloudError("TIMEOUT", "timeout", text, { peers: [channel.peer] });
}
