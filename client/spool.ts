/**
 * A one-shot source made readable twice, through a file that nobody can read: it has no name any more when the first byte is
 * written, and its bytes are encrypted under a key that exists in memory only.
 */
import { type FileHandle, mkdir, open, rm } from "node:fs/promises";
import path from "node:path";
import type { Entropy } from "../protocols/crypto/entropy.ts";
import { aesKeystream, KEYSTREAM_KEY_BYTES } from "../protocols/crypto/keystream.ts";
import type { MessageSource } from "../protocols/custody/client/index.ts";
import { IntercloudError } from "../protocols/wire/errors.ts";
import { CHUNK_BYTES, type OneShotSource } from "./sources.ts";
import { untilAborted } from "./until-aborted.ts";

export interface Spool extends MessageSource, AsyncDisposable {}

export interface SpoolOptions {
  /** Made when it is missing. */
  readonly directory: string;
  readonly entropy: Entropy;
  readonly signal?: AbortSignal;
  readonly onProgress?: (doneBytes: number) => void;
}

/** Reads all of `source`. @throws IntercloudError SPOOL_FULL when the disk is. Disposing frees the disk space. */
export async function spool(source: OneShotSource, options: SpoolOptions): Promise<Spool> {
  const { directory, entropy, signal, onProgress } = options;
  const key = entropy(KEYSTREAM_KEY_BYTES);
  const handle = await openNameless(directory, entropy);
  const dispose = async () => {
    key.fill(0);
    await handle.close();
  };
  try {
    const encrypted = aesKeystream(key, 0);
    let lengthBytes = 0;
    for await (const chunk of untilAborted(source, signal)) {
      await writeAll(handle, encrypted.xor(chunk), directory);
      lengthBytes += chunk.length;
      onProgress?.(lengthBytes);
    }
    return {
      lengthBytes,
      open: () => decryptedChunks(handle, key, lengthBytes),
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/** The system frees a nameless file when it is closed, also when the process is killed. */
async function openNameless(directory: string, entropy: Entropy): Promise<FileHandle> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const file = path.join(directory, `${Buffer.from(entropy(8)).toString("hex")}.spool`);
  const handle = await open(file, "wx+", 0o600);
  try {
    await rm(file);
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function* decryptedChunks(handle: FileHandle, key: Uint8Array, lengthBytes: number): AsyncIterable<Uint8Array> {
  const decrypted = aesKeystream(key, 0);
  for (let position = 0; position < lengthBytes; ) {
    const chunk = new Uint8Array(Math.min(CHUNK_BYTES, lengthBytes - position));
    const { bytesRead } = await handle.read(chunk, 0, chunk.length, position);
    if (bytesRead === 0) throw new IntercloudError("SPOOL_SHORT", "internal", "the spooled message lost its end");
    position += bytesRead;
    yield decrypted.xor(chunk.subarray(0, bytesRead));
  }
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, directory: string): Promise<void> {
  try {
    for (let done = 0; done < bytes.length; ) done += (await handle.write(bytes, done)).bytesWritten;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code !== "ENOSPC" && code !== "EDQUOT") throw error;
    // Status "internal" for exit code 1: "full" is for a provider that has no room, and others could be asked.
    const message = `the disk of ${directory} is full: input from a pipe is kept there (encrypted) until it is sent; make room, or put a file`;
    throw new IntercloudError("SPOOL_FULL", "internal", message, {}, error);
  }
}
