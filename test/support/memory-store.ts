/** A store in memory for tests: one Map, atomic commits, bodies that exist only when written to the end. */
import { type AuditEvent, decodeEvent } from "../../protocols/audit/index.ts";
import type { Change, Store } from "../../protocols/storage/index.ts";
import { IntercloudError } from "../../protocols/wire/errors.ts";

export interface MemoryStore extends Store {
  readonly records: Map<string, Uint8Array>;
  readonly files: Map<string, Uint8Array>;
  /** The audit log: every event that was appended, in order. */
  readonly events: AuditEvent[];
  /** Awaited for each chunk of a body that is written: makes a slow disk. */
  onChunk: (chunk: Uint8Array) => Promise<void>;
}

export function createMemoryStore(): MemoryStore {
  const records = new Map<string, Uint8Array>();
  const files = new Map<string, Uint8Array>();
  const events: AuditEvent[] = [];
  const store: MemoryStore = {
    records,
    files,
    events,
    onChunk: async () => {},
    get: async (key) => records.get(key)?.slice(),
    async commit(changes: readonly Change[]) {
      for (const change of changes) {
        if (change.kind === "put") records.set(change.key, change.value.slice());
        else if (change.kind === "body") files.set(change.name, change.bytes.slice());
        else if (change.kind === "append") events.push(decodeEvent(change.event));
        else records.delete(change.key);
      }
    },
    async *entries(prefix) {
      const keys = [...records.keys()].filter((key) => key.startsWith(prefix)).sort();
      for (const key of keys) yield [key, records.get(key) as Uint8Array];
    },
    bodies: {
      async write(name, source) {
        const parts: Uint8Array[] = [];
        for await (const chunk of source) {
          await store.onChunk(chunk);
          parts.push(chunk.slice());
        }
        files.set(name, new Uint8Array(Buffer.concat(parts)));
      },
      async *read(name, offsetBytes) {
        const bytes = files.get(name);
        if (bytes === undefined) throw new IntercloudError("BODY_MISSING", "damaged", "no such body");
        for (let at = offsetBytes; at < bytes.length; at += 65_536) yield bytes.slice(at, at + 65_536);
      },
      lengthBytes: async (name) => files.get(name)?.length,
      async remove(name) {
        files.delete(name);
      },
      async *names() {
        yield* [...files.keys()];
      },
    },
  };
  return store;
}
