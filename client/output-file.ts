/** Writes a message to a file that is there in full or not at all. */
import { randomBytes } from "node:crypto";
import { type FileHandle, link, open, rename, rm, stat } from "node:fs/promises";
import path from "node:path";
import { IntercloudError } from "../protocols/wire/errors.ts";
import { syncDirectory } from "../runtime/atomic-file.ts";

export interface OutputOptions {
  /** Replace a file that is there. */
  readonly force: boolean;
}

/**
 * Says early what would fail only after the message was fetched.
 * @throws IntercloudError FILE_EXISTS, NOT_A_FILE, NO_DIRECTORY.
 */
export async function checkOutput(file: string, { force }: OutputOptions): Promise<void> {
  if (file === "") {
    throw new IntercloudError(
      "NOT_A_FILE",
      "bad-request",
      "the name of the output file is empty; name a file, or - for stdout",
    );
  }
  const found = await statOrNothing(file);
  if (found?.isDirectory()) {
    throw new IntercloudError("NOT_A_FILE", "bad-request", `${file} is a directory; name a file in it`);
  }
  if (found?.isFIFO()) {
    const message = `${file} is a pipe; leave -o away and let the shell write to it: > ${file}`;
    throw new IntercloudError("NOT_A_FILE", "bad-request", message);
  }
  if (found?.isFile() && !force) throw exists(file);
  const directory = path.dirname(path.resolve(file));
  if (!(await statOrNothing(directory))?.isDirectory()) {
    throw new IntercloudError("NO_DIRECTORY", "bad-request", `there is no directory ${directory}; make it first`);
  }
}

/** The file has mode 0600. A device is written to as it is. */
export async function writeOutput(
  file: string,
  message: AsyncIterable<Uint8Array>,
  options: OutputOptions,
): Promise<void> {
  await checkOutput(file, options);
  const target = path.resolve(file);
  if ((await statOrNothing(target)) !== undefined && !(await isRegular(target))) {
    await withFile(target, "w", (handle) => writeMessage(handle, message));
    return;
  }
  const temporary = path.join(path.dirname(target), `.intercloud-${randomBytes(6).toString("hex")}.partial`);
  try {
    await withFile(temporary, "wx", async (handle) => {
      await writeMessage(handle, message);
      await handle.sync();
    });
    await (options.force ? rename(temporary, target) : putNew(temporary, target, file));
  } finally {
    await rm(temporary, { force: true });
  }
  await syncDirectory(path.dirname(target));
}

/** link() fails when the target exists, rename() would replace it; some file systems have no links. */
async function putNew(temporary: string, target: string, file: string): Promise<void> {
  try {
    await link(temporary, target);
  } catch (error) {
    if (codeOf(error) === "EEXIST") throw exists(file);
    if (!["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"].includes(codeOf(error))) throw error;
    await checkOutput(file, { force: false });
    await rename(temporary, target);
  }
}

async function withFile(file: string, flags: string, use: (handle: FileHandle) => Promise<void>): Promise<void> {
  const handle = await open(file, flags, 0o600);
  try {
    await use(handle);
  } finally {
    await handle.close();
  }
}

async function writeMessage(handle: FileHandle, message: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const chunk of message) {
    for (let done = 0; done < chunk.length; ) done += (await handle.write(chunk, done)).bytesWritten;
  }
}

async function isRegular(file: string): Promise<boolean> {
  return (await stat(file)).isFile();
}

async function statOrNothing(file: string) {
  return await stat(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
    throw error;
  });
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

function exists(file: string): IntercloudError {
  const message = `${file} exists already and was left as it is; choose another name, or --force to replace it`;
  return new IntercloudError("FILE_EXISTS", "bad-request", message);
}
