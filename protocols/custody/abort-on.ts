import type { Channel } from "../wire/transport.ts";

/** Aborts a channel when the signal fires; the returned function lets go of the signal. */
export function abortOn(signal: AbortSignal, channel: Channel): () => void {
  const abort = () => channel.abort(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort, { once: true });
  return () => signal.removeEventListener("abort", abort);
}
