/**
 * LevelDB, with the settings and the care that the store needs. Values here are sealed already, and so are the audit log's entries.
 *
 * After a failed write LevelDB must be opened again: part of the write may be in its log, and what it appended behind that
 * would be skipped when the log is read. Reads wait while this happens.
 */
import { join } from "node:path";
import { Level } from "level";
import type { IntercloudError } from "../../protocols/wire/errors.ts";
import { storeClosed, storeDamaged, storeErrorFrom, storeLocked, systemCode } from "./errors.ts";
import type { SealedChange } from "./head.ts";
import { findDamagedTable } from "./level-files.ts";

/**
 * Records are kept under `r:` and their key; the head sorts before them all and the end mark behind them. The audit log comes
 * behind that: nothing in it is ever to be forgotten, so a purge leaves all but its newest ten megabytes alone, however long it is.
 */
const RECORD_PREFIX = "r:";
const HEAD_KEY = "!head";
const END_KEY = "~end";
const LOG_HEAD_KEY = "~log-head";
const LOG_PREFIX = "~log:";
const LOG_END = "~log;";
export const RECORDS_FOLDER = "records";
const PURGED_RANGE = ["!", END_KEY] as const;

/** Records that one page of `entries` holds at most. */
const PAGE_RECORDS = 64;

/** By default LevelDB is asked again for each 16 KiB, which takes a third longer for a whole log. */
const LONG_READS = { highWaterMarkBytes: 512 * 1024 };
/** 2^53, the last number that a program can count to, has 16 digits. */
const LOG_KEY_DIGITS = 16;

export type SealedRecord = readonly [key: string, sealed: Uint8Array];

export type LogRow = readonly [key: string, entry: Uint8Array];

/** What a commit adds to the audit log. */
export interface LogAddition {
  /** The sequence number of the first entry. */
  readonly from: number;
  readonly entries: readonly Uint8Array[];
  readonly signedHead: Uint8Array;
}

export interface Records {
  getMany(keys: readonly string[]): Promise<(Uint8Array | undefined)[]>;
  readHead(): Promise<Uint8Array | undefined>;
  /** One synced batch. After an error nothing may be written before `reopen`. */
  write(changes: readonly SealedChange[], sealedHead: Uint8Array, log?: LogAddition): Promise<void>;
  /** The next records in key order, from `from` on (or behind it); an empty page is the end. */
  page(from: string, behind: boolean): Promise<SealedRecord[]>;
  /** All records, for the check at open. */
  scan(visit: (key: string, sealed: Uint8Array) => void): Promise<void>;
  readLogHead(): Promise<Uint8Array | undefined>;
  /** The next entries of the audit log, in the order of their keys, behind this key. */
  logPage(afterKey: string, limit: number): Promise<LogRow[]>;
  /** Removes everything. */
  clear(): Promise<void>;
  /** Rewrites all files, so that nothing that was deleted or replaced is left in them. */
  compact(): Promise<void>;
  reopen(): Promise<void>;
  close(): Promise<void>;
}

/**
 * @param directory the store's; the database is the folder `records` in it.
 * @throws IntercloudError STORE_LOCKED, DISK_FULL, STORE_DAMAGED, STORE_FAILED (also for a database that is not there).
 */
export async function openRecords(directory: string, createIfMissing: boolean): Promise<Records> {
  const checkedTables = new Set<string>();
  let database = openDatabase(directory, createIfMissing, checkedTables);
  await database;
  let closed = false;
  let reopenFailed = false;
  const inFlight = new Set<Promise<unknown>>();

  const reopen = (): Promise<void> => {
    const before = database;
    const again = async () => {
      await Promise.allSettled(inFlight);
      await before.then(
        (level) => level.close(),
        () => undefined, // the last reopening failed, there is nothing to close
      );
      return openDatabase(directory, false, checkedTables);
    };
    reopenFailed = false;
    database = again();
    return database.then(
      () => undefined,
      (error: unknown) => {
        reopenFailed = true;
        throw error;
      },
    );
  };

  /** Runs a short operation on the open database; reopening waits for it. */
  const use = async <T>(operation: (level: Database) => Promise<T>): Promise<T> => {
    if (closed) throw storeClosed();
    if (reopenFailed) await reopen();
    let waitedFor = database;
    let level = await waitedFor;
    while (waitedFor !== database) {
      waitedFor = database;
      level = await waitedFor;
    }
    const running = operation(level);
    inFlight.add(running);
    try {
      return await running;
    } catch (error) {
      throw storeErrorFrom(error, directory);
    } finally {
      inFlight.delete(running);
    }
  };

  return {
    getMany: (keys) => use((level) => level.getMany(keys.map((key) => RECORD_PREFIX + key))),
    readHead: () => use((level) => level.get(HEAD_KEY)),
    write: (changes, sealedHead, log) =>
      use(async (level) => {
        const operations = [...changes.map(operationOf), putOf(HEAD_KEY, sealedHead), ...logOperations(log)];
        await level.batch(operations, { sync: true });
      }),
    page: (from, behind) =>
      use(async (level) => {
        const start = RECORD_PREFIX + from;
        const range = { ...(behind ? { gt: start } : { gte: start }), lt: END_KEY, limit: PAGE_RECORDS };
        const entries = await level.iterator(range).all();
        return entries.map(([key, sealed]) => [key.slice(RECORD_PREFIX.length), sealed] as const);
      }),
    scan: (visit) =>
      use(async (level) => {
        for await (const [key, sealed] of level.iterator({ gte: RECORD_PREFIX, lt: END_KEY })) {
          visit(key.slice(RECORD_PREFIX.length), sealed);
        }
      }),
    readLogHead: () => use((level) => level.get(LOG_HEAD_KEY)),
    logPage: (afterKey, limit) =>
      use((level) => level.iterator({ gt: afterKey, lt: LOG_END, limit, ...LONG_READS }).all()),
    clear: () => use((level) => level.clear()),
    async compact() {
      await use(async (level) => {
        // From memory into a table, with all that was replaced meanwhile.
        await level.compactRange(...PURGED_RANGE);
        // LevelDB leaves a table alone that nothing newer overlaps; two fresh records span the whole range.
        const head = await level.get(HEAD_KEY);
        const fresh = [putOf(HEAD_KEY, head ?? new Uint8Array()), putOf(END_KEY, new Uint8Array())];
        await level.batch(fresh, { sync: true });
        await level.compactRange(...PURGED_RANGE);
      });
      // Files that a reader still had open are deleted when the database is opened.
      await reopen();
    },
    reopen,
    async close() {
      closed = true;
      await Promise.allSettled(inFlight);
      const level = await database.catch(() => undefined);
      await level?.close();
    },
  };
}

/** The package's types leave out what only LevelDB proper has. */
type Database = Level<string, Uint8Array> & { compactRange(start: string, end: string): Promise<void> };

async function openDatabase(
  directory: string,
  createIfMissing: boolean,
  checkedTables: Set<string>,
): Promise<Database> {
  const folder = join(directory, RECORDS_FOLDER);
  const damaged = await findDamagedTable(folder, checkedTables);
  // A process that is at work here changes its files under our eyes, so this question comes before that verdict.
  if (damaged !== undefined) await assertNotLocked(directory);
  if (damaged !== undefined) throw storeDamaged(directory, `the file ${damaged} of its database does not check`);
  // Sealed values do not compress.
  const settings = { keyEncoding: "utf8", valueEncoding: "view", createIfMissing, compression: false } as const;
  const level = new Level<string, Uint8Array>(folder, settings) as Database;
  try {
    await level.open();
  } catch (error) {
    throw openingError(directory, error);
  }
  return level;
}

/** LevelDB takes its lock first and looks whether there is a database second. @throws IntercloudError STORE_LOCKED. */
export async function assertNotLocked(directory: string): Promise<void> {
  const probe = new Level(join(directory, RECORDS_FOLDER), { createIfMissing: false, errorIfExists: true });
  try {
    await probe.open();
    await probe.close();
  } catch (error) {
    const failure = openingError(directory, error);
    if (failure.code === "STORE_LOCKED") throw failure;
  }
}

function openingError(directory: string, error: unknown): IntercloudError {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  return systemCode(cause) === "LEVEL_LOCKED" ? storeLocked(directory, cause) : storeErrorFrom(cause, directory);
}

const putOf = (key: string, value: Uint8Array) => ({ type: "put" as const, key, value });

function operationOf({ key, sealed }: SealedChange) {
  const name = RECORD_PREFIX + key;
  return sealed === undefined ? { type: "del" as const, key: name } : putOf(name, sealed);
}

/** What an entry is kept under; for 0 what comes before all of them. */
export const logKey = (sequence: number): string =>
  sequence === 0 ? LOG_PREFIX : LOG_PREFIX + String(sequence).padStart(LOG_KEY_DIGITS, "0");

function logOperations(log: LogAddition | undefined) {
  if (log === undefined) return [];
  const { from, entries, signedHead } = log;
  return [...entries.map((entry, index) => putOf(logKey(from + index), entry)), putOf(LOG_HEAD_KEY, signedHead)];
}
