/** Sends a body in DATA frames of the best size: small chunks are put together, large ones are cut, none is copied needlessly. */
import { createBlockDigester, digestOfBlocks } from "../crypto/block-digest.ts";
import { markPassing } from "../crypto/release.ts";
import { DATA_BYTES, dataFrame, endFrame } from "./frame.ts";
import type { BodySummary } from "./transport.ts";

/** Smaller chunks than this are copied together: a list of many tiny buffers costs more than the copy. */
const TINY_BYTES = 4 * 1024;
const STAGING_BYTES = 64 * 1024;

interface FrameWriter {
  /** Resolves when there is room for more. */
  write(frame: readonly Uint8Array[]): Promise<void>;
  /** Waits for the promise, or rejects as soon as the channel fails. */
  orFailure<T>(promise: Promise<T>): Promise<T>;
  /** Waits for the promise; undefined when the receiver should hear meanwhile that we are still here. */
  patiently<T>(promise: Promise<T>): Promise<T | undefined>;
  onSend(bytes: Uint8Array): void;
}

/** @throws what the source or the channel throws; the source is told to return, and not waited for. */
export async function sendFrames(source: AsyncIterable<Uint8Array>, writer: FrameWriter): Promise<BodySummary> {
  const digester = createBlockDigester();
  const gathered = createGatherer();
  const iterator = source[Symbol.asyncIterator]();
  let lengthBytes = 0;
  try {
    let next = iterator.next();
    for (;;) {
      // what is gathered waits for more only as long as the source has more at once
      const waiting = gathered.lengthBytes() === 0 ? writer.patiently(next) : Promise.race([next, turn()]);
      const result = await writer.orFailure(waiting);
      if (result === undefined) {
        await writer.write(gathered.frame());
        continue;
      }
      if (result.done) break;
      const chunk = markPassing(result.value);
      digester.add(chunk);
      lengthBytes += chunk.length;
      writer.onSend(chunk);
      gathered.add(chunk);
      next = iterator.next();
      // while we are blocked nobody waits for it: its error is met at the next turn of the loop, or not needed any more
      next.catch(() => {});
      while (gathered.lengthBytes() >= DATA_BYTES) await writer.write(gathered.frame());
    }
    if (gathered.lengthBytes() > 0) await writer.write(gathered.frame());
    const summary = { lengthBytes, digest: digestOfBlocks(digester.blockDigests()) };
    await writer.write(endFrame(summary));
    return summary;
  } catch (error) {
    iterator.return?.()?.catch(() => {});
    throw error;
  }
}

/** One turn of the event loop. */
const turn = () => new Promise<undefined>((resolve) => setImmediate(resolve, undefined));

function createGatherer() {
  const parts: Uint8Array[] = [];
  let lengthBytes = 0;
  // the end of `parts` while it is a buffer of ours with room left
  let staging: { buffer: Uint8Array; usedBytes: number } | undefined;

  function add(chunk: Uint8Array): void {
    lengthBytes += chunk.length;
    if (chunk.length >= TINY_BYTES) {
      seal();
      parts.push(chunk);
      return;
    }
    if (staging && staging.usedBytes + chunk.length > STAGING_BYTES) seal();
    staging ??= { buffer: new Uint8Array(STAGING_BYTES), usedBytes: 0 };
    staging.buffer.set(chunk, staging.usedBytes);
    staging.usedBytes += chunk.length;
  }

  function seal(): void {
    if (staging) parts.push(staging.buffer.subarray(0, staging.usedBytes));
    staging = undefined;
  }

  /** One frame of at most DATA_BYTES of what was added. */
  function frame(): Uint8Array[] {
    seal();
    const taken: Uint8Array[] = [];
    let room = DATA_BYTES;
    while (room > 0 && parts.length > 0) {
      const part = parts.shift() as Uint8Array;
      taken.push(part.subarray(0, room));
      if (part.length > room) parts.unshift(part.subarray(room));
      room -= Math.min(room, part.length);
    }
    lengthBytes -= DATA_BYTES - room;
    return dataFrame(taken, DATA_BYTES - room);
  }

  return { add, frame, lengthBytes: () => lengthBytes };
}
