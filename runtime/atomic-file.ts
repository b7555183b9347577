/** Files that are there in full or not at all, also after a power cut: write beside, sync, put in place, sync the folder. */
import { randomBytes } from "node:crypto";
import { link, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";

/** Replaces what was at `path`. `mode` is the file's permission bits, whatever the umask. */
export async function writeFileAtomic(path: string, bytes: Uint8Array, mode: number): Promise<void> {
  await throughTemporary(path, bytes, mode, (temporary) => rename(temporary, path));
}

/** The same for a file that must be new. @throws the system's EEXIST when something is at `path`; it is left alone. */
export async function createFileAtomic(path: string, bytes: Content, mode: number): Promise<void> {
  await throughTemporary(path, bytes, mode, async (temporary) => {
    // link() fails when the target exists, rename() would replace it.
    await link(temporary, path);
    await rm(temporary);
  });
}

/** What is long comes piece by piece. */
type Content = Uint8Array | AsyncIterable<Uint8Array>;

async function throughTemporary(
  path: string,
  bytes: Content,
  mode: number,
  putInPlace: (temporary: string) => Promise<void>,
): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString("hex")}.partial`;
  try {
    await writeSynced(temporary, bytes, mode);
    await putInPlace(temporary);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncDirectory(dirname(path));
}

async function writeSynced(path: string, bytes: Content, mode: number): Promise<void> {
  const file = await open(path, "wx", mode);
  try {
    await file.chmod(mode);
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** A new, renamed or removed name in a folder survives a power cut only after this. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
