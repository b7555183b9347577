/**
 * Records that were read or written a moment ago, sealed as they are on disk. A deposit goes through the same few records in each of its
 * steps, and each commit looks at what it replaces: asking LevelDB costs a trip to another thread each time, this costs nothing.
 */
import type { Records } from "./records.ts";

/** A node keeps at most so many bytes of them: those of some two hundred deposits that are being made. */
const MAX_KEPT_BYTES = 1024 * 1024;
/** What keeping one takes beside key and value. */
const ENTRY_BYTES = 200;

/** The same records. All that is written to them has to be written through here. */
export function withRecentRecords(records: Records, maxBytes = MAX_KEPT_BYTES): Records {
  // In the order in which they were needed last; undefined for a record that is known not to be there.
  const kept = new Map<string, Uint8Array | undefined>();
  let keptBytes = 0;
  /** Counts the beginnings and ends of writes. */
  let writes = 0;

  const drop = (key: string) => {
    if (!kept.has(key)) return;
    keptBytes -= bytesOf(key, kept.get(key));
    kept.delete(key);
  };
  const keep = (key: string, sealed: Uint8Array | undefined) => {
    drop(key);
    kept.set(key, sealed);
    keptBytes += bytesOf(key, sealed);
    while (keptBytes > maxBytes) drop(kept.keys().next().value as string);
  };
  const forget = () => {
    writes += 1;
    kept.clear();
    keptBytes = 0;
  };

  return {
    ...records,
    async getMany(keys) {
      const missing = keys.filter((key) => !kept.has(key));
      const found = new Map(keys.map((key) => [key, kept.get(key)]));
      if (missing.length > 0) {
        const writesBefore = writes;
        const values = await records.getMany(missing);
        for (const [i, key] of missing.entries()) found.set(key, values[i]);
        // What was read while something was written may be older than that.
        if (writes !== writesBefore) return keys.map((key) => found.get(key));
      }
      for (const key of keys) keep(key, found.get(key));
      return keys.map((key) => found.get(key));
    },
    async write(changes, sealedHead, log) {
      writes += 1;
      try {
        await records.write(changes, sealedHead, log);
      } catch (error) {
        forget();
        throw error;
      }
      writes += 1;
      for (const { key, sealed } of changes) keep(key, sealed);
    },
    async clear() {
      forget();
      await records.clear();
    },
    async reopen() {
      forget();
      await records.reopen();
    },
    async close() {
      forget();
      await records.close();
    },
  };
}

function bytesOf(key: string, sealed: Uint8Array | undefined): number {
  return key.length + (sealed?.length ?? 0) + ENTRY_BYTES;
}
