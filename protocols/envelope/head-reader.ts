/** Reads the textual head of a stream line by line, then hands over the binary rest. */

export interface HeadReader {
  /** The first byte that has not been read; undefined at the end. */
  peek(): Promise<number | undefined>;
  /** The next line without its line feed; undefined when there is no line feed in the next `maxBytes` + 1. */
  line(maxBytes: number): Promise<Buffer | undefined>;
  /** Exactly so many bytes, or all that there are. */
  take(lengthBytes: number): Promise<Buffer>;
  /** What has not been read. */
  rest(): AsyncIterable<Uint8Array>;
  /** Ends the source early, so that it can free what it holds. */
  close(): Promise<void>;
}

const LINE_FEED = 0x0a;

export function headReader(source: AsyncIterable<Uint8Array>): HeadReader {
  const iterator = source[Symbol.asyncIterator]();
  let held: Uint8Array = new Uint8Array();

  const more = async (): Promise<boolean> => {
    const next = await iterator.next();
    if (next.done === true) return false;
    held = held.length === 0 ? next.value : Buffer.concat([held, next.value]);
    return true;
  };
  const cut = (lengthBytes: number): Buffer => {
    const { buffer, byteOffset, length } = held.subarray(0, lengthBytes);
    held = held.subarray(lengthBytes);
    return Buffer.from(buffer, byteOffset, length);
  };
  const close = async (): Promise<void> => void (await iterator.return?.());

  return {
    close,
    async peek() {
      while (held.length === 0 && (await more())) {}
      return held[0];
    },
    async line(maxBytes) {
      for (let searchedBytes = 0; ; ) {
        const end = held.indexOf(LINE_FEED, searchedBytes);
        if (end > maxBytes) return undefined;
        if (end >= 0) return cut(end + 1).subarray(0, end);
        searchedBytes = held.length;
        if (searchedBytes > maxBytes || !(await more())) return undefined;
      }
    },
    async take(lengthBytes) {
      while (held.length < lengthBytes && (await more())) {}
      return cut(lengthBytes);
    },
    async *rest() {
      try {
        if (held.length > 0) yield cut(held.length);
        for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) yield next.value;
      } finally {
        await close();
      }
    },
  };
}
