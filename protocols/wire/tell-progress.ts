/** Small messages on a channel while work goes on: whoever waits for its result would give up on a peer that is silent. */
import type { Clock } from "./clock.ts";
import type { CborValue } from "./codec.ts";
import { IntercloudError } from "./errors.ts";
import type { Channel } from "./transport.ts";

export interface Telling {
  /** Resolves when nothing of it is being sent any more, so that the result can be. Never rejects. */
  stop(): Promise<void>;
}

/**
 * Sends `message()` every `intervalMs`. Nobody else may send on the channel before it is stopped. A peer that reads slowly
 * gets fewer messages, and does not slow down the work.
 */
export function tellProgress(clock: Clock, channel: Channel, intervalMs: number, message: () => CborValue): Telling {
  let sending: Promise<void> = Promise.resolve();
  let cancel = clock.after(intervalMs, tick);
  let stopped = false;
  function tick(): void {
    // A peer that is gone is noticed by the signal of the request.
    sending = channel.sendMessage(message()).catch(() => {});
    void sending.then(() => {
      if (!stopped) cancel = clock.after(intervalMs, tick);
    });
  }
  return {
    async stop() {
      stopped = true;
      cancel();
      await sending;
    },
  };
}

/**
 * The other end: what comes after such messages. Whoever sends nothing else does not keep us waiting without end.
 * @param isProgress whether a message says only that the result is still to come
 * @param timeoutMs far longer than the work takes
 * @throws IntercloudError TIMEOUT when it has not come in time, and what `receiveMessage` throws.
 */
export async function receiveResult(
  clock: Clock,
  channel: Channel,
  timeoutMs: number,
  isProgress: (message: CborValue) => boolean,
): Promise<CborValue> {
  const minutes = Math.ceil(timeoutMs / 60_000);
  const text = `${channel.peer} has said for ${minutes} minutes that its answer is still to come; try again or use another peer`;
  const late = new IntercloudError("TIMEOUT", "timeout", text, { peers: [channel.peer] });
  const disarm = clock.after(timeoutMs, () => channel.abort(late));
  try {
    for (;;) {
      const message = await channel.receiveMessage();
      if (!isProgress(message)) return message;
    }
  } finally {
    disarm();
  }
}
