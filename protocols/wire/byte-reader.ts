/** Cuts a stream's chunks at the lengths that a format asks for: chunks of a stream are never messages. */
import { type ByteStream, truncated } from "./byte-stream.ts";

export interface ByteReader {
  /** A copy of exactly this many bytes, or null when the stream ended before the first of them. @throws TRUNCATED in between. */
  exactly(lengthBytes: number): Promise<Uint8Array | null>;
  /** What is there, at least one byte and at most `maxBytes`, uncopied and only to be passed on. @throws TRUNCATED at the end of the stream. */
  upTo(maxBytes: number): Promise<Uint8Array>;
}

export function createByteReader(stream: ByteStream): ByteReader {
  let chunk: Uint8Array = new Uint8Array();

  async function fill(): Promise<boolean> {
    const next = await stream.read();
    if (next === null) return false;
    chunk = next;
    return true;
  }

  function take(lengthBytes: number): Uint8Array {
    const taken = chunk.subarray(0, lengthBytes);
    chunk = chunk.subarray(lengthBytes);
    return taken;
  }

  return {
    async upTo(maxBytes) {
      if (chunk.length === 0 && !(await fill())) throw truncated(stream.peer);
      return take(maxBytes);
    },
    async exactly(lengthBytes) {
      if (chunk.length >= lengthBytes) return new Uint8Array(take(lengthBytes));
      // parts are kept as they come: a peer that announces much and sends little makes us hold only the little
      const parts: Uint8Array[] = [];
      let missing = lengthBytes;
      while (missing > 0) {
        if (chunk.length === 0 && !(await fill())) {
          if (parts.length === 0) return null;
          throw truncated(stream.peer);
        }
        const part = take(missing);
        parts.push(part);
        missing -= part.length;
      }
      const whole = new Uint8Array(lengthBytes);
      let filled = 0;
      for (const part of parts) {
        whole.set(part, filled);
        filled += part.length;
      }
      return whole;
    },
  };
}
