/** Sends small frames on a control stream: what piles up within a turn of the event loop goes out in one write. */
import type { ByteStream } from "./byte-stream.ts";
import type { Clock } from "./clock.ts";
import { IntercloudError } from "./errors.ts";
import { watchProgress } from "./progress.ts";

export interface Outbox {
  /** `onHandedOver` is called when the frame is given to the stream: from then on the peer may have seen it. */
  push(frame: Uint8Array, onHandedOver?: () => void): void;
  /** Resolves when at most `maxBytes` wait to be taken by the stream, or when it is broken. */
  below(maxBytes: number): Promise<void>;
}

export function createOutbox(stream: ByteStream, clock: Clock, idleTimeoutMs: number): Outbox {
  let queue: { frame: Uint8Array; onHandedOver: (() => void) | undefined }[] = [];
  let waitingBytes = 0;
  let flushing = false;
  let wake = () => {};

  function stalled(): void {
    const message = `${stream.peer} took no bytes for ${idleTimeoutMs} ms`;
    stream.abort(new IntercloudError("TIMEOUT", "timeout", message, { peers: [stream.peer] }));
  }

  async function flush(): Promise<void> {
    flushing = true;
    // one turn of the event loop gathers the answers to everything that came in together
    await new Promise((resolve) => setImmediate(resolve));
    while (queue.length > 0 && !stream.broken.aborted) {
      const batch = queue;
      queue = [];
      for (const { onHandedOver } of batch) onHandedOver?.();
      const disarm = watchProgress(stream, clock, idleTimeoutMs, stalled);
      await stream.write(batch.map(({ frame }) => frame)).finally(disarm);
      for (const { frame } of batch) waitingBytes -= frame.length;
      wake();
    }
    flushing = false;
  }

  return {
    push(frame, onHandedOver) {
      queue.push({ frame, onHandedOver });
      waitingBytes += frame.length;
      // a failed write has broken the stream, and its owner learns of that from the stream
      if (!flushing) flush().catch((error) => stream.abort(error));
    },
    async below(maxBytes) {
      while (waitingBytes > maxBytes && !stream.broken.aborted) {
        await new Promise<void>((resolve) => {
          wake = resolve;
          stream.broken.addEventListener("abort", () => resolve(), { once: true });
        });
      }
    },
  };
}
