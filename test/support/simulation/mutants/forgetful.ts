/** For a mutant: a disk that answers before anything is on the platter. Whoever is killed soon after has not written it. */
import type { Clock } from "../../../../protocols/wire/clock.ts";
import type { MemoryStore } from "../../memory-store.ts";
import { copyOfDisk, putOnDisk } from "../disk.ts";

const SYNCED_AFTER_MS = 300;

const unsynced = new WeakMap<MemoryStore, { readonly before: MemoryStore; isSynced: boolean }>();

/** To be called before each write. @param clock stands still when the process is killed */
export function writing(disk: MemoryStore, clock: Clock): void {
  const last = unsynced.get(disk);
  const write = { before: last !== undefined && !last.isSynced ? last.before : copyOfDisk(disk), isSynced: false };
  unsynced.set(disk, write);
  clock.after(SYNCED_AFTER_MS, () => {
    write.isSynced = true;
  });
}

/** To be called when a process opens the disk. */
export function opening(disk: MemoryStore): void {
  const last = unsynced.get(disk);
  unsynced.delete(disk);
  if (last !== undefined && !last.isSynced) putOnDisk(disk, last.before);
}
