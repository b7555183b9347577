/**
 * V8's --optimize-for-size keeps the heap of a daemon small by collecting often: 118 instead of 133 MiB in an idle node, for a quarter of the
 * time of many small requests and a third of the time of batches. So it holds while nothing is asked of us, and not while something is.
 * V8 looks at this flag whenever it decides when to collect next, so it can be changed at any time.
 */
import { setFlagsFromString } from "node:v8";
import type { Clock } from "../protocols/wire/clock.ts";
import type { Handlers } from "../protocols/wire/transport.ts";

export const SMALL_HEAP_FLAG = "--optimize-for-size";
const FAST_HEAP_FLAG = "--no-optimize-for-size";

/** Longer than from one message of an operation to its next. */
const QUIET_MS = 1_000;

export type HeapPolicy = (handlers: Handlers) => Handlers;

/** @returns handlers that do the same, and that are noticed. How much memory bulk transfers take is bounded elsewhere (`garbage.ts`). */
export function createHeapPolicy(
  clock: Clock,
  isStartedSmall = process.execArgv.includes(SMALL_HEAP_FLAG),
  setFlag: (flag: string) => void = setFlagsFromString,
): HeapPolicy {
  if (!isStartedSmall) return (handlers) => handlers;
  let underWay = 0;
  let quietSinceMs = 0;
  let isSmall = true;

  const whenQuiet = () => {
    const leftMs = underWay > 0 ? QUIET_MS : quietSinceMs + QUIET_MS - clock.nowMs();
    if (leftMs > 0) {
      clock.after(leftMs, whenQuiet);
      return;
    }
    isSmall = true;
    setFlag(SMALL_HEAP_FLAG);
  };
  const begin = () => {
    underWay += 1;
    if (!isSmall) return;
    isSmall = false;
    setFlag(FAST_HEAP_FLAG);
    clock.after(QUIET_MS, whenQuiet);
  };
  const end = () => {
    underWay -= 1;
    quietSinceMs = clock.nowMs();
  };
  const watched =
    <A extends unknown[], R>(handler: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      begin();
      try {
        return await handler(...args);
      } finally {
        end();
      }
    };
  const all = <A extends unknown[], R>(handlers: Readonly<Record<string, (...args: A) => Promise<R>>> = {}) =>
    Object.fromEntries(Object.entries(handlers).map(([method, handler]) => [method, watched(handler)]));
  return ({ asks, channels }) => ({ asks: all(asks), channels: all(channels) });
}
