/** Where a message comes from. A deposit reads it twice: once for its digest, once to send it. */
import { constants, openSync } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { Socket } from "node:net";
import type { MessageSource } from "../protocols/custody/client/index.ts";
import { IntercloudError } from "../protocols/wire/errors.ts";

/** Channels move chunks of this size with the least work per byte. */
export const CHUNK_BYTES = 256 * 1024;

/** A message that can be read once only and shows its length at its end: a pipe, a socket, a generator. */
export type OneShotSource = AsyncIterable<Uint8Array>;

/** What `Client.deposit` takes. */
export type DepositSource = MessageSource | Uint8Array | OneShotSource;

export function bytesSource(bytes: Uint8Array): MessageSource {
  return {
    lengthBytes: bytes.length,
    async *open() {
      // copies, because who receives a chunk may change it in place, and these bytes are the caller's
      for (let start = 0; start < bytes.length; start += CHUNK_BYTES) {
        yield new Uint8Array(bytes.subarray(start, start + CHUNK_BYTES));
      }
    },
  };
}

/**
 * A file. What is no regular file (a named pipe, a device) becomes a one-shot source.
 * @throws IntercloudError NO_FILE, NOT_A_FILE, NO_ACCESS.
 */
export async function fileSource(path: string): Promise<MessageSource | OneShotSource> {
  const found = await stat(path).catch((error) => Promise.reject(unreadable(path, error)));
  if (found.isDirectory()) {
    const message = `${path} is a directory; name a file, or give what \`tar -c ${path}\` makes on stdin`;
    throw new IntercloudError("NOT_A_FILE", "bad-request", message);
  }
  // Opened only when it is read: opening a pipe twice would lose its writer.
  if (found.isFIFO()) return chunksOfPipe(path);
  if (!found.isFile()) return chunksOfFile(path);
  // Said now, not after a deal was made.
  await (await openToRead(path)).close();
  // What the system makes up while it is read (/proc) says 0; a file that really is empty is found to be when it is read.
  if (found.size === 0) return chunksOfFile(path);
  return { lengthBytes: found.size, open: () => chunksOfFile(path) };
}

async function* chunksOfFile(path: string): AsyncIterable<Uint8Array> {
  const handle = await openToRead(path);
  try {
    for (;;) {
      const chunk = new Uint8Array(CHUNK_BYTES);
      const { bytesRead } = await handle.read(chunk, 0, chunk.length, null);
      if (bytesRead === 0) return;
      yield chunk.subarray(0, bytesRead);
    }
  } finally {
    await handle.close();
  }
}

/** A pipe may be silent for ever, and a process cannot end while it waits in a plain read; a socket's wait can be given up. */
async function* chunksOfPipe(path: string): AsyncIterable<Uint8Array> {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  yield* new Socket({ fd, readable: true, writable: false });
}

async function openToRead(path: string): Promise<FileHandle> {
  return await open(path, "r").catch((error) => Promise.reject(unreadable(path, error)));
}

function unreadable(path: string, error: unknown): unknown {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOENT" || code === "ENOTDIR") {
    return new IntercloudError("NO_FILE", "bad-request", `there is no file ${path}; check its name`, {}, error);
  }
  if (code === "EACCES" || code === "EPERM") {
    return new IntercloudError("NO_ACCESS", "bad-request", `${path} may not be read by this user`, {}, error);
  }
  return error;
}
