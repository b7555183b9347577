/**
 * What lasts of a provider, and how a process sees it: each write takes time, and a process that is killed meanwhile leaves it done or not done.
 * What was answered lasts.
 */
import type { Store } from "../../../protocols/storage/index.ts";
import type { Clock } from "../../../protocols/wire/clock.ts";
import { IntercloudError } from "../../../protocols/wire/errors.ts";
import { createMemoryStore, type MemoryStore } from "../memory-store.ts";
import type { Random } from "./random.ts";

export interface DiskOptions {
  readonly disk: MemoryStore;
  /** The true time. */
  readonly clock: Clock;
  readonly random: Random;
  readonly isSlow: () => boolean;
  readonly isFull: () => boolean;
  /** Called at each write, before and after it is on the platter: the process can be killed there. */
  readonly onWrite: (when: "before" | "after") => void;
  readonly isDead: () => boolean;
}

const NEVER = new Promise<never>(() => {});

const LEAST_MS = 1;
const MOST_MS = 6;
const SLOW_FACTOR = 200;

export function createDisk({ disk, clock, random, isSlow, isFull, onWrite, isDead }: DiskOptions): Store {
  const takeTime = () =>
    new Promise<void>((resolve) => {
      clock.after(random.between(LEAST_MS, MOST_MS) * (isSlow() ? SLOW_FACTOR : 1), resolve);
    });
  /** Half of it before it is on the platter, and half of it behind that. */
  const write = async (action: () => Promise<void>, adds: boolean) => {
    await takeTime();
    if (adds && isFull()) throw new IntercloudError("DISK_FULL", "full", "there is no room left on this disk");
    onWrite("before");
    if (isDead()) return await NEVER;
    await action();
    onWrite("after");
    await takeTime();
  };
  return {
    get: (key) => disk.get(key),
    entries: (prefix) => disk.entries(prefix),
    commit: (changes) =>
      write(
        () => disk.commit(changes),
        changes.some((change) => change.kind === "body" || (change.kind === "put" && !change.isTrace)),
      ),
    bodies: {
      write: (name, source) => write(() => disk.bodies.write(name, source), true),
      read: (name, offsetBytes) => disk.bodies.read(name, offsetBytes),
      lengthBytes: (name) => disk.bodies.lengthBytes(name),
      remove: (name) => write(() => disk.bodies.remove(name), false),
      names: () => disk.bodies.names(),
    },
  };
}

export function copyOfDisk(disk: MemoryStore): MemoryStore {
  const copy = createMemoryStore();
  putOnDisk(copy, disk);
  return copy;
}

/** The one is from now on what the other is. */
export function putOnDisk(disk: MemoryStore, { records, files, events }: MemoryStore): void {
  disk.records.clear();
  disk.files.clear();
  disk.events.length = 0;
  for (const [key, value] of records) disk.records.set(key, value);
  for (const [name, bytes] of files) disk.files.set(name, bytes);
  disk.events.push(...events);
}
