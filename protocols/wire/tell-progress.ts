/** Small messages on a channel while work goes on: whoever waits for its result would give up on a peer that is silent. */
import type { Clock } from "./clock.ts";
import type { CborValue } from "./codec.ts";
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
