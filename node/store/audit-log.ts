/**
 * The audit log in the store: events become entries in the commit that they tell of, and the log's end is in the head of the
 * records. So no event is there without its change, no change without its event, and a log that was cut or changed does not
 * go with the records any more. Entries lie in the clear but for the event in them: whoever has no key can still see that all are there.
 */
import { randomBytes } from "node:crypto";
import {
  createChainCheck,
  EVENT_ID_BYTES,
  entryHash,
  logKeyOf,
  makeEntry,
  readSignedHead,
  signHead,
  startHash,
} from "../../protocols/audit/index.ts";
import { equalBytes } from "../../protocols/crypto/digest.ts";
import { peerNameOf } from "../../protocols/crypto/peer-name.ts";
import type { Signer } from "../../protocols/crypto/signing.ts";
import type { Clock } from "../../protocols/wire/clock.ts";
import { IntercloudError } from "../../protocols/wire/errors.ts";
import type { PeerName } from "../../protocols/wire/transport.ts";
import { storeDamaged } from "./errors.ts";
import type { LogEnd } from "./head.ts";
import { assertNotLocked, type LogAddition, type LogRow, logKey, openRecords, type Records } from "./records.ts";

/** Entries that are read at once. */
const PAGE_ENTRIES = 1_000;

export interface AuditOptions {
  /** 32 bytes; each event's key is derived from it. */
  readonly key: Uint8Array;
  /** The node's peer key, which signs the head. */
  readonly signer: Signer;
  readonly clock: Pick<Clock, "nowMs">;
}

/** The log as it is kept, for whoever checks it. */
export interface StoredLog {
  /** Undefined when nothing was logged yet. */
  signedHead(): Promise<Uint8Array | undefined>;
  /** The entries behind the one with this number, in the order in which they are kept. */
  entries(after: number): AsyncIterable<Uint8Array>;
}

export interface AuditWriter {
  readonly peer: PeerName;
  /** The entries for these events behind the log's end, and the end that they lead to. */
  append(end: LogEnd, events: readonly Uint8Array[]): { readonly addition: LogAddition; readonly end: LogEnd };
  /** Forgets the key. */
  close(): void;
}

/** @param logId the store's own. */
export function createAuditWriter({ key, signer, clock }: AuditOptions, logId: Uint8Array): AuditWriter {
  const logKey = logKeyOf(key, logId);
  const peer = peerNameOf(signer.publicKey);
  return {
    peer,
    append(before, events) {
      const timeMs = clock.nowMs();
      let count = before.count;
      let hash = count === 0 ? startHash(logId, peer) : before.hash;
      const entries = events.map((event) => {
        count += 1;
        const entry = makeEntry(logKey, hash, { sequence: count, timeMs, eventId: randomBytes(EVENT_ID_BYTES), event });
        hash = entryHash(entry);
        return entry;
      });
      const signedHead = signHead({ peer, log: logId, count, hash, timeMs }, signer);
      return { addition: { from: before.count + 1, entries, signedHead }, end: { count, hash } };
    },
    close: () => void logKey.fill(0),
  };
}

/** Follows the whole chain. Takes some 6 microseconds for each entry. @throws IntercloudError STORE_DAMAGED. */
export async function checkLog(
  directory: string,
  records: Records,
  end: LogEnd,
  { logId, peer }: { readonly logId: Uint8Array; readonly peer: PeerName },
): Promise<void> {
  const damaged = (what: string) => storeDamaged(directory, `its audit log does not check: ${what}`);
  const chain = createChainCheck({ log: logId, peer });
  for await (const page of pagesOf(records, 0)) {
    for (const [key, entry] of page) {
      const sequence = chain.count + 1;
      if (key !== logKey(sequence) || !chain.take(entry)) throw damaged(`entry ${sequence} is missing or altered`);
    }
  }
  if (chain.count !== end.count) throw damaged(`it has ${chain.count} entries where there were ${end.count}`);
  if (end.count > 0 && !equalBytes(chain.hash, end.hash)) throw damaged("its entries are not those that were written");
  const signedHead = await records.readLogHead();
  if (end.count === 0 && signedHead === undefined) return;
  if (!isHeadOf(signedHead, end, { logId, peer })) throw damaged("its signed head is missing or is another one");
}

function isHeadOf(
  signedHead: Uint8Array | undefined,
  end: LogEnd,
  { logId, peer }: { readonly logId: Uint8Array; readonly peer: PeerName },
): boolean {
  if (signedHead === undefined) return false;
  try {
    const { head, signatureValid } = readSignedHead(signedHead);
    const sameLog = head.peer === peer && equalBytes(head.log, logId);
    return signatureValid && sameLog && head.count === end.count && equalBytes(head.hash, end.hash);
  } catch (error) {
    if (error instanceof IntercloudError) return false;
    throw error;
  }
}

/** Reads a page ahead: the disk works while the page before is looked at. */
async function* pagesOf(records: Records, after: number): AsyncGenerator<readonly LogRow[]> {
  let reading = records.logPage(logKey(after), PAGE_ENTRIES);
  for (;;) {
    const page = await reading;
    const last = page.at(-1);
    if (last === undefined) return;
    reading = records.logPage(last[0], PAGE_ENTRIES);
    // Whoever stops early does not wait for it.
    reading.catch(() => undefined);
    yield page;
  }
}

export function storedLog(records: Records): StoredLog {
  return {
    signedHead: () => records.readLogHead(),
    async *entries(after) {
      for await (const page of pagesOf(records, after)) for (const [, entry] of page) yield entry;
    },
  };
}

/**
 * The log of a store that no process uses, without any key and without a check of the store: for whoever wants to know what
 * happened to it. @throws IntercloudError STORE_LOCKED, STORE_DAMAGED, DISK_FULL, STORE_FAILED.
 */
export async function openStoredLog(directory: string): Promise<StoredLog & { close(): Promise<void> }> {
  // Asked first, so that the tables of a store that is in use are not all read for nothing.
  await assertNotLocked(directory);
  const records = await openRecords(directory, false);
  return { ...storedLog(records), close: () => records.close() };
}
