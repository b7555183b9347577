/** Reads an async source in pieces of exactly the length that is asked for. */
import { IntercloudError } from "../wire/errors.ts";

export interface ExactReader {
  /** @throws IntercloudError TOO_SHORT when the source ends before. */
  read(lengthBytes: number): Promise<Uint8Array>;
  /** What is at hand, at least one byte and at most `maxBytes`, without copying. @throws IntercloudError TOO_SHORT. */
  readSome(maxBytes: number): Promise<Uint8Array>;
  /** Lets the source come to its own end. @throws IntercloudError TOO_LONG when it has bytes left. */
  end(): Promise<void>;
  /** Ends the source early, so that it can free what it holds. */
  close(): Promise<void>;
}

export function exactReader(source: AsyncIterable<Uint8Array>): ExactReader {
  const iterator = source[Symbol.asyncIterator]();
  let rest: Uint8Array = new Uint8Array();

  const refill = async () => {
    const next = await iterator.next();
    if (next.done)
      throw new IntercloudError("TOO_SHORT", "damaged", "a stored or received body is shorter than it should be");
    rest = next.value;
  };

  return {
    async read(lengthBytes) {
      while (rest.length === 0 && lengthBytes > 0) await refill();
      if (rest.length >= lengthBytes) {
        const piece = rest.subarray(0, lengthBytes);
        rest = rest.subarray(lengthBytes);
        return piece;
      }
      const whole = new Uint8Array(lengthBytes);
      for (let filled = 0; filled < lengthBytes; ) {
        if (rest.length === 0) await refill();
        const piece = rest.subarray(0, lengthBytes - filled);
        whole.set(piece, filled);
        filled += piece.length;
        rest = rest.subarray(piece.length);
      }
      return whole;
    },
    async readSome(maxBytes) {
      while (rest.length === 0) await refill();
      const piece = rest.subarray(0, maxBytes);
      rest = rest.subarray(piece.length);
      return piece;
    },
    async end() {
      while (rest.length === 0) {
        const next = await iterator.next();
        if (next.done) return;
        rest = next.value;
      }
      throw new IntercloudError("TOO_LONG", "integrity", "a body is longer than it should be");
    },
    async close() {
      await iterator.return?.();
    },
  };
}
