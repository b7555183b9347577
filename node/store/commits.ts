/**
 * Commits, one after another: a synced batch with the new head, then the anchor, then the answer. All that came in while the
 * disk was busy goes into one batch together, so many callers share the price of one sync.
 */
import { checkedEvent } from "../../protocols/audit/index.ts";
import { type Change, MAX_INLINE_BODY_BYTES } from "../../protocols/storage/index.ts";
import { IntercloudError } from "../../protocols/wire/errors.ts";
import type { Anchor } from "./anchor.ts";
import type { AuditWriter } from "./audit-log.ts";
import { checkBodyName } from "./bodies.ts";
import type { RoomGuard } from "./disk.ts";
import { storeClosed, storeDamaged, storeErrorFrom } from "./errors.ts";
import { decodeHead, encodeHead, equalHeads, type Head, nextHead, type SealedChange } from "./head.ts";
import { inlineBodyKey } from "./inline-bodies.ts";
import type { Records } from "./records.ts";
import { openValue, type StoreKeys, sealValue } from "./sealing.ts";

export const HEAD_NAME = "head";

/** A batch is built in memory; a caller beyond this waits for the next one. */
const MAX_GROUP_BYTES = 4 * 1024 * 1024;
/** Longer keys than this are a mistake; LevelDB keeps them in memory. */
export const MAX_KEY_LENGTH = 1024;

export interface Commits {
  readonly head: Head;
  commit(changes: readonly Change[]): Promise<void>;
  purge(): Promise<void>;
  /** Waits for what was asked before; refuses what comes after. */
  close(): Promise<void>;
}

export interface CommitsOptions {
  readonly directory: string;
  readonly records: Records;
  readonly anchor: Anchor;
  readonly keys: StoreKeys;
  readonly audit: AuditWriter;
  readonly head: Head;
  readonly room: RoomGuard;
}

interface Waiting {
  readonly changes: readonly SealedChange[];
  readonly events: readonly Uint8Array[];
  readonly lengthBytes: number;
  /** Whether it adds something, and not only takes away and says so. */
  readonly stores: boolean;
  readonly done: PromiseWithResolvers<void>;
}

export function createCommits(options: CommitsOptions): Commits {
  const { directory, records, anchor, keys, audit, head: firstHead, room } = options;
  let head = firstHead;
  let waiting: Waiting[] = [];
  let purges: PromiseWithResolvers<void>[] = [];
  let working: Promise<void> | undefined;
  let closed = false;
  /** The head that a failed batch would have led to; it is not known yet whether it got there. */
  let unsettled: Head | undefined;
  /** Set when what is on disk is no longer known; only opening the store again can tell. */
  let broken: IntercloudError | undefined;

  const work = async () => {
    while (waiting.length > 0 || purges.length > 0) {
      const group = takeGroup();
      if (group.length > 0) await writeWaiting(group);
      const asked = purges;
      purges = [];
      if (asked.length > 0) await settle(asked, purgeAll);
    }
    working = undefined;
  };

  const writeWaiting = async (group: readonly Waiting[]) => {
    const written: Waiting[] = [];
    for (const one of group) {
      const refused = await roomFor(one).then(() => undefined, asError);
      if (refused === undefined) written.push(one);
      else one.done.reject(refused);
    }
    if (written.length === 0) return;
    await settle(
      written.map(({ done }) => done),
      () =>
        writeGroup(
          written.flatMap(({ changes }) => changes),
          written.flatMap(({ events }) => events),
        ),
    );
  };

  const roomFor = async ({ changes, events, stores }: Waiting) => {
    const leavesTraces = events.length > 0 || changes.some(({ sealed }) => sealed !== undefined);
    if (stores) await room.check();
    else if (leavesTraces) await room.checkForTraces();
  };

  const start = (done: PromiseWithResolvers<void>): Promise<void> => {
    working ??= work();
    return done.promise;
  };

  const takeGroup = (): Waiting[] => {
    let taken = 0;
    let lengthBytes = 0;
    for (const one of waiting) {
      if (taken > 0 && lengthBytes + one.lengthBytes > MAX_GROUP_BYTES) break;
      taken += 1;
      lengthBytes += one.lengthBytes;
    }
    const group = waiting.slice(0, taken);
    waiting = waiting.slice(taken);
    return group;
  };

  const asError = (error: unknown) => storeErrorFrom(error, directory);

  const settle = async (promises: readonly PromiseWithResolvers<void>[], action: () => Promise<void>) => {
    try {
      if (broken !== undefined) throw broken;
      if (unsettled !== undefined) await settleHead(unsettled);
      await action();
      for (const { resolve } of promises) resolve();
    } catch (error) {
      for (const { reject } of promises) reject(asError(error));
    }
  };

  const writeGroup = async (changes: readonly SealedChange[], events: readonly Uint8Array[]) => {
    const last = [...new Map(changes.map((change) => [change.key, change])).values()];
    const before = await records.getMany(last.map(({ key }) => key));
    const log = events.length === 0 ? undefined : audit.append(head.log, events);
    const next = nextHead(keys.check, head, last, before, log?.end ?? head.log);
    try {
      await records.write(last, sealValue(keys.seal, HEAD_NAME, encodeHead(next)), log?.addition);
    } catch (error) {
      unsettled = next;
      await settleHead(next);
      if (head !== next) throw error;
      return;
    }
    await advance(next);
  };

  /** After a failed batch: opens the database again and looks how far it got. Without room for that, reads go on as before. */
  const settleHead = async (candidate: Head) => {
    await room.checkForRecovery();
    await records.reopen();
    const stored = await readHead(records, keys);
    unsettled = undefined;
    if (stored !== undefined && equalHeads(stored, head)) return;
    if (stored !== undefined && equalHeads(stored, candidate)) return await advance(candidate);
    broken = storeDamaged(directory, "after a failed write it holds something else than before");
    throw broken;
  };

  const advance = async (next: Head) => {
    try {
      await anchor.write(next);
    } catch (error) {
      broken = asError(error);
      throw broken;
    }
    head = next;
  };

  const purgeAll = async () => {
    try {
      await records.compact();
    } catch (error) {
      unsettled = head;
      await settleHead(head);
      throw error;
    }
  };

  return {
    get head() {
      return head;
    },
    async commit(changes) {
      if (closed) throw storeClosed();
      if (changes.length === 0) return;
      const sealed: SealedChange[] = [];
      const events: Uint8Array[] = [];
      for (const change of changes) {
        if (change.kind === "append") events.push(new Uint8Array(checkedEvent(change.event)));
        else sealed.push(sealChange(keys, change));
      }
      const recordBytes = sealed.reduce((sum, change) => sum + change.key.length + (change.sealed?.length ?? 0), 0);
      const lengthBytes = events.reduce((sum, event) => sum + event.length, recordBytes);
      const done = Promise.withResolvers<void>();
      const stores = changes.some((change) => change.kind === "body" || (change.kind === "put" && !change.isTrace));
      waiting.push({ changes: sealed, events, lengthBytes, stores, done });
      await start(done);
    },
    async purge() {
      if (closed) throw storeClosed();
      const done = Promise.withResolvers<void>();
      purges.push(done);
      await start(done);
    },
    async close() {
      closed = true;
      await working;
    },
  };
}

/** Undefined when there is no head or it does not open. */
export async function readHead(records: Records, keys: StoreKeys): Promise<Head | undefined> {
  const sealed = await records.readHead();
  const bytes = sealed === undefined ? undefined : openValue(keys.seal, HEAD_NAME, sealed);
  return bytes === undefined ? undefined : decodeHead(bytes);
}

/** The name that a record's value is bound to: no record can be taken for the head. */
export const recordName = (key: string): string => `record ${key}`;

export function checkKey(key: string): void {
  if (key.length > 0 && key.length <= MAX_KEY_LENGTH && key.isWellFormed()) return;
  throw new IntercloudError(
    "BAD_RECORD_KEY",
    "bad-request",
    `a record's key has 1 to ${MAX_KEY_LENGTH} characters of Unicode`,
  );
}

function bodyPut({ name, bytes }: Extract<Change, { kind: "body" }>): Extract<Change, { kind: "put" }> {
  checkBodyName(name);
  if (bytes.length <= MAX_INLINE_BODY_BYTES) return { kind: "put", key: inlineBodyKey(name), value: bytes };
  const message = `a body of more than ${MAX_INLINE_BODY_BYTES} bytes is written to a file`;
  throw new IntercloudError("BODY_TOO_LONG", "internal", message);
}

function sealChange(keys: StoreKeys, asked: Exclude<Change, { kind: "append" }>): SealedChange {
  const change = asked.kind === "body" ? bodyPut(asked) : asked;
  checkKey(change.key);
  if (change.kind === "delete") return { key: change.key, sealed: undefined };
  return { key: change.key, sealed: sealValue(keys.seal, recordName(change.key), change.value) };
}
