/** Sources of bytes that a test can look into. */
import { expect } from "vitest";

export interface WatchedSource extends AsyncIterable<Uint8Array> {
  /** How often it came to its end or was ended. */
  closed(): number;
}

/** Yields fresh chunks of these lengths, counting up byte by byte from `first`; then throws `error`, if there is one. */
export function watched(lengths: readonly number[], options: { first?: number; error?: Error } = {}): WatchedSource {
  let closed = 0;
  async function* chunks() {
    let next = options.first ?? 0;
    try {
      for (const length of lengths) yield Uint8Array.from({ length }, () => next++);
      if (options.error !== undefined) throw options.error;
    } finally {
      closed += 1;
    }
  }
  const source = chunks();
  return { [Symbol.asyncIterator]: () => source, closed: () => closed };
}

/** A source whose read never ends until `release` is called. */
export function stalled(): { readonly source: AsyncIterable<Uint8Array>; release(): void } {
  const gate = Promise.withResolvers<void>();
  async function* chunks(): AsyncGenerator<Uint8Array> {
    await gate.promise;
    yield new Uint8Array();
  }
  return { source: chunks(), release: gate.resolve };
}

/** The promise, or an error when it takes too long. */
export async function soon<T>(promise: Promise<T>, deadlineMs = 5_000): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`nothing within ${deadlineMs} ms`)), deadlineMs);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

export const errorWith = (code: string, status: string) => expect.objectContaining({ code, status });
