/** XORs several sources of the same length into one, in step; what a collector does in the fanout route. */
import { releasePassed } from "../crypto/release.ts";
import type { FieldKernel } from "../field/index.ts";
import { type ExactReader, exactReader } from "./exact-reader.ts";

/** Yields as much at a time as the first source gives; the slowest source sets the pace. */
export async function* sum(
  first: AsyncIterable<Uint8Array>,
  others: readonly AsyncIterable<Uint8Array>[],
  kernel: FieldKernel,
): AsyncIterable<Uint8Array> {
  const readers = others.map(exactReader);
  const closeAll = async () => void (await Promise.all(readers.map((reader) => reader.close())));
  let failed = false;
  try {
    for await (const chunk of first) {
      await Promise.all(readers.map((reader) => addFrom(reader, chunk, kernel)));
      yield chunk;
    }
    for (const reader of readers) await reader.end();
  } catch (error) {
    failed = true;
    throw error;
  } finally {
    // A source that is in the middle of a read closes after it; a failure of another must not wait for that.
    const closed = closeAll();
    if (failed) closed.catch(() => {});
    else await closed;
  }
}

/** Piece by piece as they come: putting them together would be one more copy of everything. */
async function addFrom(reader: ExactReader, chunk: Uint8Array, kernel: FieldKernel): Promise<void> {
  for (let done = 0; done < chunk.length; ) {
    const piece = await reader.readSome(chunk.length - done);
    kernel.addScaled(chunk.subarray(done, done + piece.length), piece, 1);
    done += piece.length;
    releasePassed(piece);
  }
}
