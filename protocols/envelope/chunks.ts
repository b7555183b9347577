/** Cuts a stream into pieces of one length. Which piece is the last is known when it is handed out, as STREAM needs it. */
import { release, releasePassed } from "../crypto/release.ts";

export interface Chunk {
  readonly index: number;
  /** As long as was asked for, if it is not the last one. Gone when the next chunk is asked for. */
  readonly bytes: Uint8Array;
  readonly isLast: boolean;
}

/** At least one chunk; the last is empty only when the source is. */
export async function* chunksOf(source: AsyncIterable<Uint8Array>, chunkBytes: number): AsyncIterable<Chunk> {
  let pieces: Uint8Array[] = [];
  let filledBytes = 0;
  let index = 0;
  for await (const bytes of source) {
    for (let start = 0; start < bytes.length; ) {
      // a full chunk waits for the byte that shows it is not the last one
      if (filledBytes === chunkBytes) {
        yield* chunkOf(pieces, index, false);
        pieces = [];
        filledBytes = 0;
        index += 1;
      }
      const piece = bytes.subarray(start, start + chunkBytes - filledBytes);
      pieces.push(piece);
      filledBytes += piece.length;
      start += piece.length;
    }
  }
  yield* chunkOf(pieces, index, true);
}

function* chunkOf(pieces: readonly Uint8Array[], index: number, isLast: boolean): Iterable<Chunk> {
  const [first] = pieces;
  if (first !== undefined && pieces.length === 1) {
    yield { index, bytes: first, isLast };
    releasePassed(first);
    return;
  }
  const bytes = Buffer.concat(pieces);
  for (const piece of pieces) releasePassed(piece);
  yield { index, bytes, isLast };
  release(bytes);
}
