/** How much room there is, and how much of it must stay free. */
import { statfs } from "node:fs/promises";
import { diskFull } from "./errors.ts";

/** Bytes on the file system of `directory` that this process may still write. */
async function freeBytesOf(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory);
  return bavail * bsize;
}

// Small records come many thousand times a second; within this time they cannot fill the reserve.
const FRESH_FOR_MS = 100;
// Nor can anything else on a disk that has so much left, within a second.
const PLENTY_BYTES = 8 * 1024 ** 3;
const PLENTY_FRESH_FOR_MS = 1_000;

/** To open, LevelDB writes its log (4 MiB at most) into a table and begins a new log and MANIFEST. */
const RECOVERY_BYTES = 16 * 1024 * 1024;

export interface RoomGuard {
  /** As of a moment ago. */
  freeBytes(): Promise<number>;
  /** @throws IntercloudError DISK_FULL when less than the reserve is free. `fresh`: ask the system, not the last answer. */
  check(fresh?: boolean): Promise<void>;
  /**
   * The same for what adds nothing but events of the audit log and traces of what is removed: handing out deposits, burning and
   * destroying go on a while longer. @throws IntercloudError DISK_FULL when less than half of the reserve is free.
   */
  checkForTraces(): Promise<void>;
  /** @throws IntercloudError DISK_FULL when LevelDB could not be opened again for want of room. */
  checkForRecovery(): Promise<void>;
}

/**
 * Refuses to store more while the last `reserveBytes` are still free. LevelDB needs room to recover, to compact and thus
 * to delete: a store that used up the last byte could not even make room again.
 */
export function createRoomGuard(directory: string, reserveBytes: number): RoomGuard {
  let freeBytes = 0;
  let askedAtMs = Number.NEGATIVE_INFINITY;
  const ask = async (fresh: boolean) => {
    const freshForMs = freeBytes > PLENTY_BYTES ? PLENTY_FRESH_FOR_MS : FRESH_FOR_MS;
    if (fresh || performance.now() - askedAtMs > freshForMs) {
      freeBytes = await freeBytesOf(directory);
      askedAtMs = performance.now();
    }
    return freeBytes;
  };
  const requireFree = async (bytes: number, fresh: boolean) => {
    if ((await ask(fresh)) < bytes) throw diskFull(directory);
  };
  return {
    freeBytes: () => ask(false),
    check: (fresh = false) => requireFree(reserveBytes, fresh),
    checkForTraces: () => requireFree(reserveBytes / 2, false),
    async checkForRecovery() {
      if ((await freeBytesOf(directory)) < RECOVERY_BYTES) throw diskFull(directory);
    },
  };
}
