/** XORs several sources of the same length into one, in step; what a collector does in the fanout route. */
import type { FieldKernel } from "../field/index.ts";
import { exactReader } from "./exact-reader.ts";

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
      const pieces = await Promise.all(readers.map((reader) => reader.read(chunk.length)));
      for (const piece of pieces) kernel.addScaled(chunk, piece, 1);
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
