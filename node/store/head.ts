/**
 * What must be true of all records together. LevelDB can lose records without an error (a flipped byte in its log, a lost
 * file); every commit therefore also writes a head, and at open the records are counted and summed up against it.
 *
 *   head ::= <sequence: u64> <count: u64> <sum: 32> <chain: 32> <previous chain: 32> <log count: u64> <log hash: 32>
 *
 * Stores of format 1 had no audit log, and heads without the last two.
 */
import { createHmac } from "node:crypto";
import { DIGEST_BYTES, equalBytes } from "../../protocols/crypto/digest.ts";

export interface Head {
  /** Number of commits so far. */
  readonly sequence: number;
  /** Number of records. */
  readonly count: number;
  /** Sum, modulo 2^256, of `recordTerm` over all records: it does not depend on their order, and one change is one step. */
  readonly sum: bigint;
  /** Hash over all commits, in order. */
  readonly chain: Uint8Array;
  /** The chain one commit ago: the anchor may be one commit behind. */
  readonly previousChain: Uint8Array;
  /** Where the audit log ends. */
  readonly log: LogEnd;
}

export interface LogEnd {
  /** Number of entries. */
  readonly count: number;
  /** The last entry's hash; zeros when there is none. */
  readonly hash: Uint8Array;
}

export interface SealedChange {
  readonly key: string;
  /** Undefined: the record is deleted. */
  readonly sealed: Uint8Array | undefined;
}

const CHAIN_BYTES = 32;
const HEAD_BYTES_WITHOUT_LOG = 8 + 8 + 32 + 2 * CHAIN_BYTES;
const HEAD_BYTES = HEAD_BYTES_WITHOUT_LOG + 8 + DIGEST_BYTES;
const MODULUS = 1n << 256n;

export const EMPTY_HEAD: Head = {
  sequence: 0,
  count: 0,
  sum: 0n,
  chain: new Uint8Array(CHAIN_BYTES),
  previousChain: new Uint8Array(CHAIN_BYTES),
  log: { count: 0, hash: new Uint8Array(DIGEST_BYTES) },
};

/** HMAC-SHA256(check key, key length || key || sealed value) as a number. */
export function recordTerm(checkKey: Uint8Array, key: string, sealed: Uint8Array): bigint {
  const hmac = createHmac("sha256", checkKey);
  addRecord(hmac, key, sealed);
  return BigInt(`0x${hmac.digest("hex")}`);
}

/**
 * The head after one more commit.
 * @param before the sealed value that each change replaces, undefined where there is none; same order as `changes`,
 * in which no key appears twice.
 * @param log where the audit log ends after it.
 */
export function nextHead(
  checkKey: Uint8Array,
  head: Head,
  changes: readonly SealedChange[],
  before: readonly (Uint8Array | undefined)[],
  log: LogEnd,
): Head {
  let { count, sum } = head;
  const chain = createHmac("sha256", checkKey).update(head.chain);
  for (const [index, { key, sealed }] of changes.entries()) {
    const old = before[index];
    if (old !== undefined) {
      sum -= recordTerm(checkKey, key, old);
      count -= 1;
    }
    if (sealed !== undefined) {
      sum += recordTerm(checkKey, key, sealed);
      count += 1;
    }
    addRecord(chain, key, sealed ?? new Uint8Array());
  }
  // No record has an empty key.
  if (log.count !== head.log.count) addRecord(chain, "", log.hash);
  return {
    sequence: head.sequence + 1,
    count,
    sum: ((sum % MODULUS) + MODULUS) % MODULUS,
    chain: new Uint8Array(chain.digest()),
    previousChain: head.chain,
    log,
  };
}

function addRecord(hmac: ReturnType<typeof createHmac>, key: string, sealed: Uint8Array): void {
  const keyBytes = Buffer.from(key, "utf8");
  const lengths = Buffer.alloc(8);
  lengths.writeUInt32BE(keyBytes.length, 0);
  lengths.writeUInt32BE(sealed.length, 4);
  hmac.update(lengths).update(keyBytes).update(sealed);
}

export function encodeHead(head: Head): Uint8Array {
  const bytes = Buffer.alloc(HEAD_BYTES);
  bytes.writeBigUInt64BE(BigInt(head.sequence), 0);
  bytes.writeBigUInt64BE(BigInt(head.count), 8);
  bytes.write(head.sum.toString(16).padStart(64, "0"), 16, "hex");
  bytes.set(head.chain, 48);
  bytes.set(head.previousChain, 80);
  bytes.writeBigUInt64BE(BigInt(head.log.count), 112);
  bytes.set(head.log.hash, 120);
  return bytes;
}

/** Undefined when these bytes are not a head. */
export function decodeHead(bytes: Uint8Array): Head | undefined {
  if (bytes.length !== HEAD_BYTES && bytes.length !== HEAD_BYTES_WITHOUT_LOG) return undefined;
  const view = Buffer.from(bytes);
  const hasLog = bytes.length === HEAD_BYTES;
  return {
    sequence: Number(view.readBigUInt64BE(0)),
    count: Number(view.readBigUInt64BE(8)),
    sum: BigInt(`0x${view.toString("hex", 16, 48)}`),
    chain: new Uint8Array(view.subarray(48, 80)),
    previousChain: new Uint8Array(view.subarray(80, 112)),
    log: hasLog
      ? { count: Number(view.readBigUInt64BE(112)), hash: new Uint8Array(view.subarray(120)) }
      : EMPTY_HEAD.log,
  };
}

export function equalHeads(a: Head, b: Head): boolean {
  return equalBytes(encodeHead(a), encodeHead(b));
}
