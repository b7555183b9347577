/** One stream, several readers who all get every byte. The slowest sets the pace, so memory stays bounded. */
import { IntercloudError } from "../../wire/errors.ts";

/** A fast reader may be this many chunks ahead of the slowest: enough to even out jitter, half a megabyte at most. */
const CHUNKS_AHEAD = 8;

/**
 * Each branch is to be read once. When the source fails, or a branch is left before its end, all branches fail: the copies
 * are all made or none is.
 */
export function tee(source: AsyncIterable<Uint8Array>, count: number): AsyncIterable<Uint8Array>[] {
  const iterator = source[Symbol.asyncIterator]();
  const queues: Uint8Array[][] = Array.from({ length: count }, () => []);
  let ended = false;
  let failure: { readonly reason: unknown } | undefined;
  let pulling: Promise<void> | undefined;
  let change = Promise.withResolvers<void>();

  const wakeAll = (): void => {
    change.resolve();
    change = Promise.withResolvers();
  };
  const stop = (reason: unknown): void => {
    if (failure !== undefined) return;
    failure = { reason };
    wakeAll();
    // Nobody waits for the source to end: it may be what hangs.
    iterator.return?.().catch(() => {});
  };
  const pull = async (): Promise<void> => {
    try {
      const next = await iterator.next();
      if (next.done) ended = true;
      // A chunk belongs to whoever receives it, so each branch but the first gets a copy.
      else for (const [i, queue] of queues.entries()) queue.push(i === 0 ? next.value : new Uint8Array(next.value));
    } catch (error) {
      stop(error);
    } finally {
      pulling = undefined;
      wakeAll();
    }
  };
  async function* branch(queue: Uint8Array[]): AsyncIterable<Uint8Array> {
    let complete = false;
    try {
      while (!complete) {
        if (failure !== undefined) throw failure.reason;
        const chunk = queue.shift();
        if (chunk !== undefined) {
          wakeAll();
          yield chunk;
        } else if (ended) {
          complete = true;
        } else if (queues.every(({ length }) => length < CHUNKS_AHEAD)) {
          pulling ??= pull();
          await Promise.race([pulling, change.promise]);
        } else {
          await change.promise;
        }
      }
    } finally {
      if (!complete) stop(new IntercloudError("STOPPED", "cancelled", "one of the readers of this stream went away"));
    }
  }
  return queues.map(branch);
}
