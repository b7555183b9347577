/** Waiting that ends early when nobody wants it any more. */
import type { Entropy } from "../crypto/entropy.ts";
import type { Clock } from "./clock.ts";

/** Resolves after the time, or as soon as `signal` fires; never rejects. */
export async function pause(clock: Clock, durationMs: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    const end = () => {
      cancel();
      signal.removeEventListener("abort", end);
      resolve();
    };
    const cancel = clock.after(durationMs, end);
    signal.addEventListener("abort", end, { once: true });
  });
}

/** Runs `action` with a signal that fires at the deadline or when `outer` does. */
export async function withDeadline<T>(
  clock: Clock,
  timeoutMs: number,
  outer: AbortSignal,
  action: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const deadline = new AbortController();
  const cancel = clock.after(timeoutMs, () => deadline.abort(new Error(`took longer than ${timeoutMs} ms`)));
  try {
    return await action(AbortSignal.any([outer, deadline.signal]));
  } finally {
    cancel();
  }
}

/** A random time from half of `durationMs` to all of it, so that nodes that failed together do not come back together. */
export function jittered(durationMs: number, entropy: Entropy): number {
  const random = Buffer.from(entropy(4)).readUInt32BE(0) / 2 ** 32;
  return durationMs * (0.5 + random / 2);
}
