/** One command at a time may make, start or stop a whole testnet. The lock names its holder, so a dead one's is taken over. */
import { readFile, rm } from "node:fs/promises";
import path from "node:path";
import { IntercloudError } from "../protocols/wire/errors.ts";
import { createFileAtomic } from "../runtime/atomic-file.ts";
import { identifyProcess, type ProcessId, processState } from "./process.ts";

export const LOCK_FILE = "testnet.lock";

/** Runs `work` alone. @throws IntercloudError TESTNET_BUSY when another process is at it */
export async function withLock<Result>(directory: string, work: () => Promise<Result>): Promise<Result> {
  const file = path.join(directory, LOCK_FILE);
  const self = JSON.stringify(identifyProcess(process.pid));
  await acquire(file, self);
  try {
    return await work();
  } finally {
    await rm(file, { force: true });
  }
}

async function acquire(file: string, self: string): Promise<void> {
  for (let takenOver = false; ; takenOver = true) {
    try {
      await createFileAtomic(file, Buffer.from(self), 0o600);
      return;
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
    }
    const holder = await readHolder(file);
    if (takenOver || (holder !== undefined && processState(holder) !== "gone")) {
      const who = holder === undefined ? "another command" : `process ${holder.pid}`;
      throw new IntercloudError(
        "TESTNET_BUSY",
        "conflict",
        `${who} is starting or stopping this testnet; try again later`,
      );
    }
    await rm(file, { force: true });
  }
}

async function readHolder(file: string): Promise<ProcessId | undefined> {
  try {
    return JSON.parse(await readFile(file, "utf8")) as ProcessId; // written whole, and by us only
  } catch {
    return undefined;
  }
}
