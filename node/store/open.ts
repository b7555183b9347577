/**
 * Opening a store: the order of the checks, and the first making of it. One folder:
 *
 *   FORMAT     format version, identity of the store, fingerprint of its key
 *   HEAD       the anchor (anchor.ts)
 *   records/   LevelDB (records.ts)
 *   bodies/    large files (bodies.ts)
 */
import { randomBytes } from "node:crypto";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { equalBytes } from "../../protocols/crypto/digest.ts";
import type { Store } from "../../protocols/storage/index.ts";
import { IntercloudError } from "../../protocols/wire/errors.ts";
import { type Anchor, createAnchorFile, openAnchor } from "./anchor.ts";
import {
  type AuditOptions,
  type AuditWriter,
  checkLog,
  createAuditWriter,
  type StoredLog,
  storedLog,
} from "./audit-log.ts";
import { openBodies } from "./bodies.ts";
import { checkKey, createCommits, HEAD_NAME, readHead, recordName } from "./commits.ts";
import { createRoomGuard } from "./disk.ts";
import { storeClosed, storeDamaged, storeErrorFrom, storeWrongKey, systemCode } from "./errors.ts";
import {
  FORMAT_FILE,
  FORMAT_VERSION,
  type Format,
  finishFormat,
  readFormat,
  renewFormat,
  UNFINISHED_FORMAT_FILE,
  writeUnfinishedFormat,
} from "./format.ts";
import { EMPTY_HEAD, encodeHead, type Head, recordTerm } from "./head.ts";
import { withInlineBodies } from "./inline-bodies.ts";
import { withRecentRecords } from "./recent-records.ts";
import { openRecords, RECORDS_FOLDER, type Records } from "./records.ts";
import {
  deriveStoreKeys,
  openValue,
  STORE_ID_BYTES,
  STORE_KEY_BYTES,
  type StoreKeys,
  sealValue,
  wipeStoreKeys,
} from "./sealing.ts";

const ANCHOR_FILE = "HEAD";
const BODIES_FOLDER = "bodies";

/** Enough for LevelDB to recover and compact a database of some hundred thousand records. */
const DEFAULT_RESERVE_BYTES = 64 * 1024 * 1024;

export interface StoreOptions {
  readonly directory: string;
  /** 32 bytes; everything in the records is sealed under keys derived from it. */
  readonly key: Uint8Array;
  readonly audit: AuditOptions;
  /** Told of what was put right at open. The event is a fixed word, the fields are ours. */
  readonly onWarning?: (event: string, fields: Readonly<Record<string, string | number>>) => void;
  /** Nothing more is stored when less than this is free on the file system; deleting goes on. Default 64 MiB. */
  readonly reserveBytes?: number;
}

export interface OpenStore extends Store {
  /** When it resolves, no file holds a value any more that was deleted or replaced before the call. Rewrites all records. */
  purge(): Promise<void>;
  freeBytes(): Promise<number>;
  readonly recordCount: number;
  readonly log: StoredLog & { readonly count: number };
  /** Finishes what was asked for and releases the lock. */
  close(): Promise<void>;
}

/** @throws IntercloudError STORE_LOCKED, STORE_WRONG_KEY, STORE_FORMAT, STORE_DAMAGED, DISK_FULL, STORE_FAILED. */
export async function openStore(options: StoreOptions): Promise<OpenStore> {
  const { directory, key } = options;
  if (key.length !== STORE_KEY_BYTES) {
    throw new IntercloudError("BAD_KEY", "bad-request", `a store key has ${STORE_KEY_BYTES} bytes`);
  }
  try {
    await mkdir(join(directory, BODIES_FOLDER), { recursive: true, mode: 0o700 });
    return await openIn(options);
  } catch (error) {
    throw storeErrorFrom(error, directory);
  }
}

async function openIn(options: StoreOptions): Promise<OpenStore> {
  const { directory } = options;
  const isNew = (await readFormat(directory)) === undefined;
  if (isNew) await assertNothingLost(directory);
  // From here on nobody else is in this folder: LevelDB holds a lock.
  const records = await openExisting(directory, isNew);
  let anchor: Anchor | undefined;
  try {
    const format = (await readFormat(directory)) ?? (await makeStore(directory, options.key, records));
    const keys = deriveStoreKeys(options.key, format.storeId);
    if (!equalBytes(keys.fingerprint, format.keyFingerprint)) throw storeWrongKey(directory);
    anchor = await openExistingAnchor(directory, keys);
    const head = await checkRecords(directory, records, keys);
    const audit = createAuditWriter(options.audit, format.storeId);
    await checkLog(directory, records, head.log, { logId: format.storeId, peer: audit.peer });
    await catchUp(options, head, anchor);
    await renewFormat(directory, format);
    return await assemble(options, { keys, records, anchor, head, audit });
  } catch (error) {
    await anchor?.close();
    await records.close();
    throw error;
  }
}

/** A folder without FORMAT is new, or was left while it was being made; anything else has lost its FORMAT. */
async function assertNothingLost(directory: string): Promise<void> {
  const names = new Set(await readdir(directory));
  if (names.has(UNFINISHED_FORMAT_FILE)) return;
  const remains = [RECORDS_FOLDER, ANCHOR_FILE].filter((name) => names.has(name));
  if (remains.length > 0 || (await readdir(join(directory, BODIES_FOLDER))).length > 0) {
    throw storeDamaged(directory, `the file ${FORMAT_FILE} is missing`);
  }
}

async function openExisting(directory: string, isNew: boolean): Promise<Records> {
  try {
    return withRecentRecords(await openRecords(directory, isNew));
  } catch (error) {
    const failed = error instanceof IntercloudError && error.code === "STORE_FAILED";
    throw failed ? storeDamaged(directory, "its database does not open", error.cause) : error;
  }
}

async function makeStore(directory: string, key: Uint8Array, records: Records): Promise<Format> {
  const storeId = randomBytes(STORE_ID_BYTES);
  const keys = deriveStoreKeys(key, storeId);
  const format = { version: FORMAT_VERSION, storeId, keyFingerprint: keys.fingerprint } as const;
  await writeUnfinishedFormat(directory, format);
  await records.clear();
  await records.write([], sealValue(keys.seal, HEAD_NAME, encodeHead(EMPTY_HEAD)));
  await rm(join(directory, ANCHOR_FILE), { force: true });
  await createAnchorFile(join(directory, ANCHOR_FILE), keys.anchor, EMPTY_HEAD);
  await finishFormat(directory);
  wipeStoreKeys(keys);
  return format;
}

async function openExistingAnchor(directory: string, keys: StoreKeys): Promise<Anchor> {
  let anchor: Anchor | undefined;
  try {
    anchor = await openAnchor(join(directory, ANCHOR_FILE), keys.anchor);
  } catch (error) {
    if (systemCode(error) === "ENOENT") throw storeDamaged(directory, `the file ${ANCHOR_FILE} is missing`, error);
    throw error;
  }
  if (anchor === undefined) throw storeDamaged(directory, `the file ${ANCHOR_FILE} does not check`);
  return anchor;
}

/** Counts and sums up every record. Takes some 10 microseconds for each. */
async function checkRecords(directory: string, records: Records, keys: StoreKeys): Promise<Head> {
  const head = await readHead(records, keys);
  if (head === undefined) throw storeDamaged(directory, "the head of its records is missing or does not check");
  let count = 0;
  let sum = 0n;
  try {
    await records.scan((key, sealed) => {
      count += 1;
      sum += recordTerm(keys.check, key, sealed);
    });
  } catch (error) {
    throw storeDamaged(directory, "its records cannot be read to the end", error);
  }
  if (count !== head.count) throw storeDamaged(directory, `it holds ${count} records where there were ${head.count}`);
  if (BigInt.asUintN(256, sum) !== head.sum)
    throw storeDamaged(directory, "its records are not those that were written");
  return head;
}

/**
 * The database may be one commit ahead of the anchor, when the process died between the two. A torn slot stood for a commit
 * that was in the database already, so then it must be ahead.
 */
async function catchUp({ directory, onWarning }: StoreOptions, head: Head, anchor: Anchor): Promise<void> {
  const { sequence, chain } = anchor.point;
  const level = head.sequence === sequence && equalBytes(head.chain, chain);
  const ahead = head.sequence === sequence + 1 && equalBytes(head.previousChain, chain);
  if (level && !anchor.torn) return;
  if (!ahead) {
    throw storeDamaged(
      directory,
      `its records are at commit ${head.sequence} and its anchor is at commit ${sequence}${anchor.torn ? " or later" : ""}`,
    );
  }
  await anchor.write(head);
  onWarning?.("store-anchor-caught-up", { sequence: head.sequence });
}

interface Parts {
  readonly keys: StoreKeys;
  readonly records: Records;
  readonly anchor: Anchor;
  readonly head: Head;
  readonly audit: AuditWriter;
}

async function assemble(options: StoreOptions, parts: Parts): Promise<OpenStore> {
  const { keys, records, anchor, audit } = parts;
  const { directory, reserveBytes = DEFAULT_RESERVE_BYTES, onWarning } = options;
  const room = createRoomGuard(directory, reserveBytes);
  const bodies = await openBodies(join(directory, BODIES_FOLDER), room);
  if (bodies.removedPartial > 0) onWarning?.("store-partial-bodies-removed", { count: bodies.removedPartial });
  const commits = createCommits({ directory, room, ...parts });
  let closed = false;
  let closing: Promise<void> | undefined;

  const open = (key: string, sealed: Uint8Array): Uint8Array => {
    if (closed) throw storeClosed();
    const value = openValue(keys.seal, recordName(key), sealed);
    if (value === undefined) throw storeDamaged(directory, "a record does not open");
    return value;
  };

  const store: OpenStore = {
    get bodies() {
      return allBodies;
    },
    get recordCount() {
      return commits.head.count;
    },
    log: {
      ...storedLog(records),
      get count() {
        return commits.head.log.count;
      },
    },
    async get(key) {
      if (closed) throw storeClosed();
      checkKey(key);
      const [sealed] = await records.getMany([key]);
      return sealed === undefined ? undefined : open(key, sealed);
    },
    commit: (changes) => commits.commit(changes),
    async *entries(prefix) {
      let from = prefix;
      for (let behind = false; ; behind = true) {
        if (closed) throw storeClosed();
        const page = await records.page(from, behind);
        for (const [key, sealed] of page) {
          if (!key.startsWith(prefix)) return;
          yield [key, open(key, sealed)];
          from = key;
        }
        if (page.length === 0) return;
      }
    },
    purge: () => commits.purge(),
    freeBytes: () => room.freeBytes(),
    close() {
      closed = true;
      closing ??= (async () => {
        await commits.close();
        await records.close();
        await anchor.close();
        wipeStoreKeys(keys);
        audit.close();
      })();
      return closing;
    },
  };
  const allBodies = withInlineBodies(bodies.store, store);
  return store;
}
