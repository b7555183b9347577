/**
 * One producer, several readers that must all get every step. The slowest reader sets the pace: nobody is more than
 * `stepsAhead` steps in front of it, so memory stays bounded however slow one of them is.
 */
import { IntercloudError } from "../wire/errors.ts";

export interface Lockstep {
  /** One per reader; each may be iterated once. */
  readonly readers: readonly AsyncIterable<Uint8Array>[];
  /** Ends all readers with this error. Does nothing once they have ended. */
  stop(reason: unknown): void;
  /** The readers that the others wait for, or waited for when it was stopped, by index. */
  laggards(): number[];
}

/**
 * @param step makes the next chunk for each reader, in reader order; undefined when there is no more.
 * A reader that is left before its end stops the others with STOPPED: a deal is for all of them or for nobody.
 */
export function lockstep(step: () => readonly Uint8Array[] | undefined, count: number, stepsAhead: number): Lockstep {
  const queues: Uint8Array[][] = Array.from({ length: count }, () => []);
  let waiting: (() => void)[] = [];
  let ended = false;
  let stopped: { readonly reason: unknown; readonly laggards: number[] } | undefined;

  const wakeAll = (): void => {
    const woken = waiting;
    waiting = [];
    for (const wake of woken) wake();
  };
  const behind = (): number[] =>
    [...queues.keys()].filter((index) => (queues[index] as Uint8Array[]).length >= stepsAhead);
  const stop = (reason: unknown): void => {
    if (stopped !== undefined) return;
    stopped = { reason, laggards: behind() };
    for (const queue of queues) queue.length = 0;
    wakeAll();
  };
  const advance = (): boolean => {
    if (queues.some((queue) => queue.length >= stepsAhead)) return false;
    let chunks: readonly Uint8Array[] | undefined;
    try {
      chunks = step();
    } catch (error) {
      stop(error);
      throw error;
    }
    if (chunks === undefined) ended = true;
    else for (const [index, queue] of queues.entries()) queue.push(chunks[index] as Uint8Array);
    wakeAll();
    return true;
  };
  async function* reader(queue: Uint8Array[]): AsyncGenerator<Uint8Array> {
    let done = false;
    try {
      while (!done) {
        if (stopped !== undefined) throw stopped.reason;
        const chunk = queue.shift();
        if (chunk !== undefined) {
          wakeAll();
          yield chunk;
        } else if (ended) {
          done = true;
        } else if (!advance()) {
          await new Promise<void>((wake) => waiting.push(wake));
        }
      }
    } finally {
      if (!done) stop(new IntercloudError("STOPPED", "cancelled", "one of the readers of this stream went away"));
    }
  }
  return { readers: queues.map(reader), stop, laggards: () => stopped?.laggards ?? behind() };
}
