/**
 * What the dealing and custody servers need of a store. `node/store` implements it on level; tests implement it in memory.
 * Values are plain bytes here; sealing them under the node's key is the store's business.
 */

import { onceOf } from "../wire/once-of.ts";

export type Change =
  | {
      readonly kind: "put";
      readonly key: string;
      readonly value: Uint8Array;
      /** What stays behind of something that goes, in this commit or before: taken also when the disk is full for everything else. */
      readonly isTrace?: true;
    }
  | { readonly kind: "delete"; readonly key: string }
  /** A body of at most MAX_INLINE_BODY_BYTES, in the same commit; replaces an older one. */
  | { readonly kind: "body"; readonly name: string; readonly bytes: Uint8Array }
  /** An event for the audit log, which is never changed or removed. Made by `auditChange` (protocols/audit). */
  | { readonly kind: "append"; readonly event: Uint8Array };

export function asTrace(change: Change): Change {
  return change.kind === "put" ? { ...change, isTrace: true } : change;
}

/** What is so short is kept among the records: a file of its own would cost two syncs of the disk more. */
export const MAX_INLINE_BODY_BYTES = 4 * 1024;

/** What to commit so that this is the body: a long one is written to its file now, and nothing is left to do. */
export async function bodyChanges(store: Store, name: string, bytes: Uint8Array): Promise<Change[]> {
  if (bytes.length <= MAX_INLINE_BODY_BYTES) return [{ kind: "body", name, bytes }];
  await store.bodies.write(name, onceOf(bytes));
  return [];
}

export interface Store {
  get(key: string): Promise<Uint8Array | undefined>;
  /** All changes or none, on disk (synced) when the promise resolves. @throws IntercloudError DISK_FULL, STORE_DAMAGED. */
  commit(changes: readonly Change[]): Promise<void>;
  /** Keys with this prefix and their values, in key order. */
  entries(prefix: string): AsyncIterable<readonly [key: string, value: Uint8Array]>;
  readonly bodies: BodyStore;
}

/** Large bytes kept as files beside the store, and those that were committed as a `body`. Names are lower-case letters, digits and dashes, chosen by the caller. */
export interface BodyStore {
  /**
   * Writes all of `source` to a file that exists under `name` only when everything is synced. Replaces an older one.
   * On error nothing is left. @throws IntercloudError DISK_FULL.
   */
  write(name: string, source: AsyncIterable<Uint8Array>): Promise<void>;
  /** @throws IntercloudError BODY_MISSING; chunks are at most 256 KiB and belong to the consumer. */
  read(name: string, offsetBytes: number): AsyncIterable<Uint8Array>;
  lengthBytes(name: string): Promise<number | undefined>;
  /** Does nothing when there is none. Synced when it resolves. */
  remove(name: string): Promise<void>;
  names(): AsyncIterable<string>;
}
