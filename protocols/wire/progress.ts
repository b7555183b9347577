import type { ByteStream } from "./byte-stream.ts";
import type { Clock } from "./clock.ts";
import { MIN_BODY_BYTES_PER_SECOND } from "./limits.ts";

/**
 * Calls `onStalled` when the peer takes next to nothing of what we write for `idleTimeoutMs`; a slow reader is not a stalled one.
 * @returns what ends the watch.
 */
export function watchProgress(stream: ByteStream, clock: Clock, idleTimeoutMs: number, onStalled: () => void) {
  let takenBytes = stream.takenBytes();
  let disarm = () => {};
  const arm = () => {
    disarm = clock.after(idleTimeoutMs, () => {
      const before = takenBytes;
      takenBytes = stream.takenBytes();
      if (takenBytes - before >= (idleTimeoutMs * MIN_BODY_BYTES_PER_SECOND) / 1_000) arm();
      else onStalled();
    });
  };
  arm();
  return () => disarm();
}
