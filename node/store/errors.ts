/** The store's errors. Each says what happened, what it means and what to do. */
import { IntercloudError } from "../../protocols/wire/errors.ts";

export function storeDamaged(directory: string, what: string, cause?: unknown): IntercloudError {
  return new IntercloudError(
    "STORE_DAMAGED",
    "damaged",
    `the store in ${directory} is damaged: ${what}. Nothing is served from it, because something that was acknowledged may ` +
      "be missing. Check the disk; then `intercloud node restore --discard-store` puts this store aside and gets back from the other " +
      "providers what it had. Any t of the n can hand out every deposit meanwhile",
    { directory },
    cause,
  );
}

export function storeLocked(directory: string, cause: unknown): IntercloudError {
  return new IntercloudError(
    "STORE_LOCKED",
    "conflict",
    `the store in ${directory} is in use by another process; stop that one, or give this node a folder of its own`,
    { directory },
    cause,
  );
}

export function storeWrongKey(directory: string): IntercloudError {
  return new IntercloudError(
    "STORE_WRONG_KEY",
    "refused",
    `the store in ${directory} was made with another key; start the node with the key file it was initialised with`,
    { directory },
  );
}

export function storeFormat(directory: string, found: unknown, known: number): IntercloudError {
  return new IntercloudError(
    "STORE_FORMAT",
    "conflict",
    `the store in ${directory} has format ${String(found)} and this program reads format ${known}; use the release that wrote it`,
    { directory },
  );
}

export function storeClosed(): IntercloudError {
  return new IntercloudError("STORE_CLOSED", "busy", "the store is closed: this node is stopping");
}

export function storeFailed(directory: string, cause: unknown): IntercloudError {
  return new IntercloudError(
    "STORE_FAILED",
    "internal",
    `the disk under ${directory} failed a read or a write; check the disk, then start the node again`,
    { directory },
    cause,
  );
}

export function diskFull(directory: string, cause?: unknown): IntercloudError {
  return new IntercloudError(
    "DISK_FULL",
    "full",
    `there is no room left for ${directory}; free some space or raise the limit. What was acknowledged is safe`,
    { directory },
    cause,
  );
}

/** What a failed system call of ours or of LevelDB means to the caller; our own errors pass unchanged. */
export function storeErrorFrom(error: unknown, directory: string): IntercloudError {
  if (error instanceof IntercloudError) return error;
  if (systemCode(error) === "LEVEL_CORRUPTION")
    return storeDamaged(directory, "a file of its database does not check", error);
  return isNoRoom(error) ? diskFull(directory, error) : storeFailed(directory, error);
}

// No room on the device, over the user's quota, over the process's file size limit. LevelDB passes on the system's words only.
const NO_ROOM_CODES = new Set(["ENOSPC", "EDQUOT", "EFBIG"]);
const NO_ROOM_WORDS = /No space left on device|Disk quota exceeded|File too large/i;

function isNoRoom(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return NO_ROOM_CODES.has(systemCode(error) ?? "") || NO_ROOM_WORDS.test(error.message) || isNoRoom(error.cause);
}

/** `ENOENT` and the like, or LevelDB's `LEVEL_...`. */
export function systemCode(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as { code?: unknown }).code : undefined;
  return typeof code === "string" ? code : undefined;
}

/** Undefined when there is no such file. */
export async function unlessMissing<T>(operation: Promise<T>): Promise<T | undefined> {
  try {
    return await operation;
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    throw error;
  }
}
