/** A source of bytes that ends with the signal, even while it is silent: a pipe may be that for ever. */
export async function* untilAborted(
  source: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): AsyncIterable<Uint8Array> {
  const iterator = source[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await orAborted(iterator.next(), signal);
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    // not waited for: it ends only after the read that is going on
    void iterator.return?.().catch(() => undefined);
  }
}

/**
 * What is waited for, or the reason of the signal. A listener for each wait: one promise that is raced over and over would keep
 * something of every race.
 */
export async function orAborted<T>(waiting: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await waiting;
  const aborted = Promise.withResolvers<never>();
  const onAbort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    return await Promise.race([aborted.promise, waiting]);
  } finally {
    signal.removeEventListener("abort", onAbort);
    waiting.catch(() => undefined);
  }
}
