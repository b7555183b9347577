/**
 * An entry of the audit log: an event under a key of its own, chained to the entry before it.
 *
 *   entry          ::= <format: u8 = 1> <sequence: u64> <time: u64> <event id: 16> <key commitment: 32> <sealed event> <entry hash: 32>
 *   sealed event   ::= AES-256-GCM under the event key, nonce 0; all of the entry before it is authenticated with it; tag: 16
 *   log key        ::= HKDF-SHA256(the node's audit key, salt = log id, "intercloud/audit-log/v1")
 *   event key      ::= HKDF-SHA256(log key, salt = event id, "intercloud/audit-event/v1")
 *   key commitment ::= SHA-256("intercloud/audit-key/v1" 00 <event key>)
 *   entry hash     ::= SHA-256("intercloud/audit-entry/v1" 00 <entry hash of the entry before> <all of this entry before it>)
 *
 * The first entry follows SHA-256("intercloud/audit-start/v1" 00 <log id: 16> <peer>). An entry carries its own hash and not the
 * one before, so that the first entry that does not check is the first that was changed. GCM alone does not fix the key: without the
 * commitment a node could make an entry that opens to one event under one key and to another under another.
 */
import { createCipheriv, createDecipheriv, hash } from "node:crypto";
import { DIGEST_BYTES, digestOf, equalBytes } from "../crypto/digest.ts";
import { deriveKey } from "../crypto/key-agreement.ts";
import { IntercloudError } from "../wire/errors.ts";
import type { PeerName } from "../wire/transport.ts";
import { EVENT_ID_BYTES, MAX_EVENT_BYTES } from "./constants.ts";

const FORMAT = 1;
const SEQUENCE_AT = 1;
const TIME_AT = 9;
const ID_AT = 17;
const COMMITMENT_AT = ID_AT + EVENT_ID_BYTES;
const SEALED_AT = COMMITMENT_AT + DIGEST_BYTES;
const TAG_BYTES = 16;
/** As in messages. */
const MAX_TIME_MS = 2 ** 50;
// The key is fresh for each event, so the nonce may be constant.
const NONCE = new Uint8Array(12);

const MIN_ENTRY_BYTES = SEALED_AT + TAG_BYTES + DIGEST_BYTES;
export const MAX_ENTRY_BYTES = MIN_ENTRY_BYTES + MAX_EVENT_BYTES;

export interface Entry {
  /** 1 for the first. */
  readonly sequence: number;
  /** By the node's clock. */
  readonly timeMs: number;
  readonly eventId: Uint8Array;
}

/** What the first entry of a log is chained to. */
export function startHash(logId: Uint8Array, peer: PeerName): Uint8Array {
  return digestOf("intercloud/audit-start/v1", logId, Buffer.from(peer, "utf8"));
}

export function logKeyOf(auditKey: Uint8Array, logId: Uint8Array): Uint8Array {
  return deriveKey(auditKey, logId, "intercloud/audit-log/v1");
}

/** Opens this one event and no other. */
export function eventKeyOf(logKey: Uint8Array, eventId: Uint8Array): Uint8Array {
  return deriveKey(logKey, eventId, "intercloud/audit-event/v1");
}

export interface EntryFields {
  readonly sequence: number;
  readonly timeMs: number;
  /** Random: a log that was put back to an older state must not use a key twice. */
  readonly eventId: Uint8Array;
  readonly event: Uint8Array;
}

/** @throws IntercloudError EVENT_TOO_LONG. */
export function checkedEvent(event: Uint8Array): Uint8Array {
  if (event.length <= MAX_EVENT_BYTES) return event;
  throw new IntercloudError("EVENT_TOO_LONG", "internal", `an audit event has ${MAX_EVENT_BYTES} bytes at most`);
}

/** @throws IntercloudError EVENT_TOO_LONG. */
export function makeEntry(logKey: Uint8Array, previousHash: Uint8Array, fields: EntryFields): Uint8Array {
  const { sequence, timeMs, eventId } = fields;
  const event = checkedEvent(fields.event);
  const eventKey = eventKeyOf(logKey, eventId);
  const entry = Buffer.alloc(MIN_ENTRY_BYTES + event.length);
  entry.writeUInt8(FORMAT, 0);
  entry.writeBigUInt64BE(BigInt(sequence), SEQUENCE_AT);
  entry.writeBigUInt64BE(BigInt(timeMs), TIME_AT);
  entry.set(eventId, ID_AT);
  entry.set(commitmentTo(eventKey), COMMITMENT_AT);
  const cipher = createCipheriv("aes-256-gcm", eventKey, NONCE);
  cipher.setAAD(entry.subarray(0, SEALED_AT));
  entry.set(cipher.update(event), SEALED_AT);
  cipher.final();
  entry.set(cipher.getAuthTag(), SEALED_AT + event.length);
  eventKey.fill(0);
  entry.set(hashAfter(previousHash, entry), entry.length - DIGEST_BYTES);
  return new Uint8Array(entry.buffer, entry.byteOffset, entry.byteLength);
}

/** Undefined when these bytes are not an entry. Whether it is in its place is the chain's business. */
export function readEntry(bytes: Uint8Array): Entry | undefined {
  if (bytes.length < MIN_ENTRY_BYTES || bytes.length > MAX_ENTRY_BYTES || bytes[0] !== FORMAT) return undefined;
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const sequence = Number(view.readBigUInt64BE(SEQUENCE_AT));
  const timeMs = Number(view.readBigUInt64BE(TIME_AT));
  if (!Number.isSafeInteger(sequence) || timeMs > MAX_TIME_MS) return undefined;
  return { sequence, timeMs, eventId: bytes.subarray(ID_AT, COMMITMENT_AT) };
}

/** What the next entry is chained to. */
export function entryHash(entry: Uint8Array): Uint8Array {
  return new Uint8Array(entry.subarray(entry.length - DIGEST_BYTES));
}

/** Whether the entry follows the one with `previousHash`, unchanged since it was written. */
export function isChained(previousHash: Uint8Array, entry: Uint8Array): boolean {
  return equalBytes(hashAfter(previousHash, entry), entry.subarray(entry.length - DIGEST_BYTES));
}

/** The event, or undefined when the key is not this entry's or the entry was changed. */
export function openEntry(eventKey: Uint8Array, entry: Uint8Array): Uint8Array | undefined {
  const commitment = entry.subarray(COMMITMENT_AT, SEALED_AT);
  if (readEntry(entry) === undefined || !equalBytes(commitmentTo(eventKey), commitment)) return undefined;
  const tagAt = entry.length - DIGEST_BYTES - TAG_BYTES;
  const decipher = createDecipheriv("aes-256-gcm", eventKey, NONCE);
  decipher.setAAD(entry.subarray(0, SEALED_AT));
  decipher.setAuthTag(entry.subarray(tagAt, tagAt + TAG_BYTES));
  try {
    const event = decipher.update(entry.subarray(SEALED_AT, tagAt));
    decipher.final();
    return new Uint8Array(event);
  } catch {
    return undefined;
  }
}

function commitmentTo(eventKey: Uint8Array): Uint8Array {
  return digestOf("intercloud/audit-key/v1", eventKey);
}

const HASH_DOMAIN = Buffer.from("intercloud/audit-entry/v1\0", "utf8");
// One call and no garbage for each of a million entries that are checked when a store opens.
const hashInput = Buffer.alloc(HASH_DOMAIN.length + DIGEST_BYTES + MAX_ENTRY_BYTES);
hashInput.set(HASH_DOMAIN, 0);

function hashAfter(previousHash: Uint8Array, entry: Uint8Array): Uint8Array {
  const body = entry.subarray(0, entry.length - DIGEST_BYTES);
  hashInput.set(previousHash, HASH_DOMAIN.length);
  hashInput.set(body, HASH_DOMAIN.length + DIGEST_BYTES);
  return hash("sha256", hashInput.subarray(0, HASH_DOMAIN.length + DIGEST_BYTES + body.length), "buffer");
}
