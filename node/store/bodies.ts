/**
 * Large bodies as files. They are ciphertext or random corrections already, so they are not sealed again; whoever reads one
 * checks it against a digest that was signed.
 */
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { markPassing, releasePassed } from "../../protocols/crypto/release.ts";
import type { BodyStore } from "../../protocols/storage/index.ts";
import { IntercloudError } from "../../protocols/wire/errors.ts";
import { syncDirectory } from "../../runtime/atomic-file.ts";
import type { RoomGuard } from "./disk.ts";
import { storeErrorFrom, unlessMissing } from "./errors.ts";

const NAME_PATTERN = /^[0-9a-z-]{1,128}$/;
const PARTIAL_SUFFIX = ".partial";

/** One read of the file. Two such buffers are filled and handed out in turn. */
const READ_BUFFER_BYTES = 256 * 1024;
/** Measured: with chunks of 256 KiB the garbage of a read grows to 69 MiB before it is collected, with these to 30 MiB. */
const CHUNK_BYTES = 64 * 1024;
/** One write to the file. Two such buffers are filled and written in turn. */
const WRITE_BUFFER_BYTES = 1024 * 1024;
/** Written data goes to the disk in steps of this size, or the last sync would wait for all of it. */
const SYNC_EVERY_BYTES = 64 * 1024 * 1024;

export interface OpenBodies {
  readonly store: BodyStore;
  /** Files that a process left half written. */
  readonly removedPartial: number;
}

export async function openBodies(directory: string, room: RoomGuard): Promise<OpenBodies> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const leftover = (await readdir(directory)).filter((name) => name.endsWith(PARTIAL_SUFFIX));
  for (const name of leftover) await rm(join(directory, name), { force: true });
  let writes = 0;

  const store: BodyStore = {
    async write(name, source) {
      const path = pathOf(directory, name);
      // A number, because two writes of one name may run at once; the later rename wins.
      writes += 1;
      const partial = `${path}.${writes}${PARTIAL_SUFFIX}`;
      try {
        await writeBody(directory, partial, source, room);
        await onDisk(directory, async () => {
          await rename(partial, path);
          await syncDirectory(directory);
        });
      } catch (error) {
        await rm(partial, { force: true });
        throw error;
      }
    },
    read: (name, offsetBytes) => readBody(directory, name, offsetBytes),
    async lengthBytes(name) {
      const path = pathOf(directory, name);
      return (await onDisk(directory, () => unlessMissing(stat(path))))?.size;
    },
    async remove(name) {
      const path = pathOf(directory, name);
      await onDisk(directory, async () => {
        await rm(path, { force: true });
        await syncDirectory(directory);
      });
    },
    async *names() {
      for (const name of await readdir(directory)) if (NAME_PATTERN.test(name)) yield name;
    },
  };
  return { store, removedPartial: leftover.length };
}

export function checkBodyName(name: string): void {
  if (NAME_PATTERN.test(name)) return;
  throw new IntercloudError("BAD_BODY_NAME", "bad-request", "a body's name is 1 to 128 of 0-9, a-z and -");
}

function pathOf(directory: string, name: string): string {
  checkBodyName(name);
  return join(directory, name);
}

/** Failures of the disk become our errors here; those of a source pass through `write` as they are. */
async function onDisk<T>(directory: string, operation: () => Promise<T>): Promise<T> {
  try {
    return await operation();
  } catch (error) {
    throw storeErrorFrom(error, directory);
  }
}

async function* readBody(directory: string, name: string, offsetBytes: number): AsyncGenerator<Uint8Array> {
  const path = pathOf(directory, name);
  const file = await onDisk(directory, () => unlessMissing(open(path, "r")));
  if (file === undefined) {
    throw new IntercloudError("BODY_MISSING", "damaged", `the body ${name} is not in ${directory}`, { name });
  }
  let buffer = Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);
  let spare = Buffer.allocUnsafeSlow(READ_BUFFER_BYTES);
  let position = offsetBytes;
  const fill = (target: Buffer) => onDisk(directory, () => file.read(target, 0, target.length, position));
  let reading = fill(buffer);
  try {
    for (;;) {
      const { bytesRead } = await reading;
      if (bytesRead === 0) return;
      position += bytesRead;
      const filled = buffer.subarray(0, bytesRead);
      [buffer, spare] = [spare, buffer];
      reading = inBackground(fill(buffer));
      // Copies: whoever takes a chunk may keep it.
      for (let start = 0; start < bytesRead; start += CHUNK_BYTES) {
        yield markPassing(new Uint8Array(filled.subarray(start, start + CHUNK_BYTES)));
      }
    }
  } finally {
    await Promise.allSettled([reading]);
    await file.close();
  }
}

async function writeBody(
  directory: string,
  path: string,
  source: AsyncIterable<Uint8Array>,
  room: RoomGuard,
): Promise<void> {
  await onDisk(directory, () => room.check(true));
  const file = await onDisk(directory, () => open(path, "wx", 0o600));
  const writer = createBodyWriter(file, room);
  try {
    for await (const chunk of source) {
      for (let taken = 0; taken < chunk.length; ) {
        taken += writer.take(chunk.subarray(taken));
        if (writer.isFull()) await onDisk(directory, () => writer.flush());
      }
      releasePassed(chunk);
    }
    await onDisk(directory, () => writer.finish());
  } finally {
    await writer.settle();
    await file.close();
  }
}

interface BodyWriter {
  /** Copies what fits into the buffer and says how much that was. */
  take(bytes: Uint8Array): number;
  isFull(): boolean;
  /** Starts to write the buffer and goes on with the other one; waits for the write before. */
  flush(): Promise<void>;
  finish(): Promise<void>;
  /** Waits until nothing is under way any more; never throws. */
  settle(): Promise<void>;
}

function createBodyWriter(file: FileHandle, room: RoomGuard): BodyWriter {
  let filling: Buffer = Buffer.allocUnsafeSlow(WRITE_BUFFER_BYTES);
  let spare: Buffer | undefined;
  let filledBytes = 0;
  let position = 0;
  let syncedTo = 0;
  let writing = Promise.resolve();
  let syncing = Promise.resolve();

  const flush = async () => {
    await writing;
    if (position - syncedTo >= SYNC_EVERY_BYTES) {
      await syncing;
      await room.check(true);
      syncing = inBackground(file.datasync());
      syncedTo = position;
    }
    writing = inBackground(writeFully(file, filling.subarray(0, filledBytes), position));
    position += filledBytes;
    filledBytes = 0;
    const next = spare ?? Buffer.allocUnsafeSlow(WRITE_BUFFER_BYTES);
    spare = filling;
    filling = next;
  };

  return {
    take(bytes) {
      const taken = Math.min(bytes.length, filling.length - filledBytes);
      filling.set(bytes.subarray(0, taken), filledBytes);
      filledBytes += taken;
      return taken;
    },
    isFull: () => filledBytes === filling.length,
    flush,
    async finish() {
      await flush();
      await writing;
      await syncing;
      await file.sync();
    },
    async settle() {
      await Promise.allSettled([writing, syncing]);
    },
  };
}

/** Whoever awaits it later gets the error; until then it is not an unhandled one. */
function inBackground<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}

async function writeFully(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, written, bytes.length - written, position + written);
    written += bytesWritten;
  }
}
