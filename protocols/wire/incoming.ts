/**
 * The receiving half of a channel: reads a little ahead of its consumer, so that a FAILURE of the peer is noticed
 * while we only send or compute, and stops there, so that a slow consumer is felt by the sender.
 */
import { type ByteStream, truncated } from "./byte-stream.ts";
import { createFrameReader, type Item } from "./frame.ts";

/** What is dropped after nobody reads any more, so that the end behind it is seen: as much as may be on its way. */
const MAX_DROPPED_BYTES = 1024 * 1024;

/** Items held for the consumer. Two, so that a FAILURE right behind one unread item is still seen. */
const READ_AHEAD_ITEMS = 2;

export type IncomingItem = Exclude<Item, { kind: "failure" }>;

export interface Incoming {
  /** The next item if it is here already. @throws as `next`. */
  take(): IncomingItem | undefined;
  /** @throws RemoteError, TRUNCATED, a frame error, or the reason given to `stop`. */
  next(): Promise<IncomingItem>;
  /** From now on items are dropped, and whoever waits for one gets `reason`. */
  stop(reason: Error): void;
  ended(): boolean;
  /** Resolves when nothing more is read: true at the end of the peer's side or of the stream, false after nonsense. */
  over(): Promise<boolean>;
  /** What to tell a sender whose write failed with `error`: the peer's own FAILURE if it sent one. */
  endOf(error: unknown): Promise<unknown>;
}

/** @param fail called once when the peer failed, broke the stream or sent nonsense; not at the orderly end of its side. */
export function createIncoming(stream: ByteStream, fail: (error: Error) => void): Incoming {
  const nextItem = createFrameReader(stream);
  const queue: IncomingItem[] = [];
  let end: Error | undefined;
  let failure: Error | undefined;
  let stopped: Error | undefined;
  let droppedBytes = 0;
  let wakeConsumer = () => {};
  let wakePump = () => {};

  const isFull = () => (stopped ? droppedBytes > MAX_DROPPED_BYTES : queue.length >= READ_AHEAD_ITEMS);

  async function pump(): Promise<boolean> {
    try {
      for (let item = await nextItem(); item !== null; item = await nextItem()) {
        if (item.kind === "failure") throw item.error;
        if (stopped) droppedBytes += item.kind === "end" ? 0 : item.bytes.length;
        else queue.push(item);
        wakeConsumer();
        // a broken stream has no sender to hold back: what is left of it is bounded and may end in a FAILURE
        while (isFull() && !stream.broken.aborted) {
          await new Promise<void>((resolve) => {
            wakePump = resolve;
          });
        }
      }
      end = truncated(stream.peer);
      return true;
    } catch (error) {
      failure = error as Error;
      end = failure;
      fail(failure);
      return stream.broken.aborted;
    } finally {
      wakeConsumer();
    }
  }

  const pumped = pump();

  // the stream may also break after the peer ended its side, when the pump reads no more
  const onBroken = () => {
    wakePump();
    void pumped.then(() => fail(truncated(stream.peer, stream.broken.reason)));
  };
  if (stream.broken.aborted) onBroken();
  else stream.broken.addEventListener("abort", onBroken, { once: true });

  function take(): IncomingItem | undefined {
    if (stopped) throw stopped;
    const item = queue.shift();
    if (item) wakePump();
    else if (end) throw end;
    return item;
  }

  return {
    take,
    async next() {
      for (;;) {
        const item = take();
        if (item) return item;
        await new Promise<void>((resolve) => {
          wakeConsumer = resolve;
        });
      }
    },
    stop(reason) {
      stopped ??= reason;
      queue.length = 0;
      wakeConsumer();
      wakePump();
    },
    ended: () => end !== undefined,
    over: () => pumped,
    async endOf(error) {
      if (!stream.broken.aborted) return error;
      await pumped;
      return failure ?? error;
    },
  };
}
