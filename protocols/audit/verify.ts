/** Checking an audit log: that its entries are all there, unchanged and in order, up to the one that the signed head names. */
import { equalBytes } from "../crypto/digest.ts";
import { IntercloudError } from "../wire/errors.ts";
import { type Entry, entryHash, isChained, readEntry, startHash } from "./entry.ts";
import { type AuditHead, readSignedHead } from "./head.ts";

/** The first entry that is not as it should be. */
export interface Broken {
  readonly sequence: number;
  readonly problem:
    | "missing"
    /** Its bytes are not those that were written. */
    | "altered"
    /** Another entry is in its place, and it comes later. */
    | "reordered"
    /** The log goes on behind the entry that the head names. */
    | "unsigned"
    /** All entries fit, and the last is not the one that was signed: somebody computed the chain anew, from where cannot be seen. */
    | "rewritten";
}

/** A head that was exported earlier, held against the log. */
export interface ReceiptReport {
  readonly count: number;
  readonly timeMs: number;
  /** Null when the log still begins with what the receipt names. */
  readonly problem: null | "signature" | "other log" | "shorter" | "changed";
}

export interface LogReport {
  /** The chain is whole, ends where its node signed that it ends, and goes on from every receipt. */
  readonly valid: boolean;
  /** Undefined when it cannot be read. */
  readonly head: AuditHead | undefined;
  readonly signatureValid: boolean;
  /** How many entries from the first on are in their place and fit each other. */
  readonly goodEntries: number;
  readonly firstBroken: Broken | undefined;
  readonly receipts: readonly ReceiptReport[];
}

/** Follows the chain from the first entry on. */
export interface ChainCheck {
  /** Of entries that fitted, and the last one's hash. */
  readonly count: number;
  readonly hash: Uint8Array;
  /** False when this is not the next entry; then the check stays where it was. */
  take(entry: Uint8Array): boolean;
}

export function createChainCheck({ log, peer }: Pick<AuditHead, "log" | "peer">): ChainCheck {
  let count = 0;
  let hash = startHash(log, peer);
  return {
    get count() {
      return count;
    },
    get hash() {
      return hash;
    },
    take(bytes) {
      if (readEntry(bytes)?.sequence !== count + 1 || !isChained(hash, bytes)) return false;
      count += 1;
      hash = entryHash(bytes);
      return true;
    },
  };
}

export interface VerifyOptions {
  readonly signedHead: Uint8Array;
  /** In the order in which they are stored. */
  readonly entries: AsyncIterable<Uint8Array>;
  /** Signed heads of earlier days. */
  readonly receipts?: readonly Uint8Array[];
  /** Told of every entry that fits, in order. */
  readonly onEntry?: (entry: Entry, bytes: Uint8Array) => void;
}

/** Never throws for what is wrong with the log: that is in the report. @throws IntercloudError for a receipt that is none. */
export async function verifyLog(options: VerifyOptions): Promise<LogReport> {
  const { signedHead, entries, receipts = [], onEntry } = options;
  const held = receipts.map(readSignedHead);
  const read = readHead(signedHead);
  if (read === undefined) {
    return {
      ...{ valid: false, head: undefined, signatureValid: false, goodEntries: 0, firstBroken: undefined },
      receipts: held.map((receipt) => reportOf(receipt, "other log")),
    };
  }
  const { head, signatureValid } = read;
  const chain = createChainCheck(head);
  /** The hashes at which receipts say that the log once ended. */
  const hashes = new Map<number, Uint8Array>(held.map((receipt) => [receipt.head.count, new Uint8Array()]));
  const iterator = entries[Symbol.asyncIterator]();
  let firstBroken: Broken | undefined;
  try {
    for (let next = await iterator.next(); !next.done; next = await iterator.next()) {
      const sequence = chain.count + 1;
      if (sequence > head.count) firstBroken = { sequence, problem: "unsigned" };
      else if (!chain.take(next.value)) firstBroken = await whatBroke(head.count, sequence, next.value, iterator);
      if (firstBroken !== undefined) break;
      onEntry?.(readEntry(next.value) as Entry, next.value);
      if (hashes.has(sequence)) hashes.set(sequence, chain.hash);
    }
  } finally {
    await iterator.return?.();
  }
  if (firstBroken === undefined) firstBroken = whatIsWrongAtTheEnd(head, chain);
  const checked = held.map((receipt) => {
    return reportOf(receipt, whatIsWrongWith(receipt.head, head, hashes.get(receipt.head.count)));
  });
  const valid = signatureValid && firstBroken === undefined && checked.every(({ problem }) => problem === null);
  return { valid, head, signatureValid, goodEntries: chain.count, firstBroken, receipts: checked };
}

function readHead(bytes: Uint8Array): ReturnType<typeof readSignedHead> | undefined {
  try {
    return readSignedHead(bytes);
  } catch (error) {
    if (error instanceof IntercloudError) return undefined;
    throw error;
  }
}

/** `entry` should be number `sequence` of `count`, and is not. */
async function whatBroke(
  count: number,
  sequence: number,
  entry: Uint8Array,
  rest: AsyncIterator<Uint8Array>,
): Promise<Broken> {
  const found = readEntry(entry)?.sequence;
  if (found === undefined || found === sequence) return { sequence, problem: "altered" };
  // Whoever answers with entries without end does not keep us for ever.
  for (let left = count; left > 0; left--) {
    const next = await rest.next();
    if (next.done) break;
    if (readEntry(next.value)?.sequence === sequence) return { sequence, problem: "reordered" };
  }
  return { sequence, problem: "missing" };
}

function whatIsWrongAtTheEnd(head: AuditHead, chain: ChainCheck): Broken | undefined {
  if (chain.count < head.count) return { sequence: chain.count + 1, problem: "missing" };
  return equalBytes(chain.hash, head.hash) ? undefined : { sequence: head.count, problem: "rewritten" };
}

/** @param hash at which the log once had as many entries as the receipt says; empty when it has not, or broke before. */
function whatIsWrongWith(
  receipt: AuditHead,
  head: AuditHead,
  hash: Uint8Array = new Uint8Array(),
): ReceiptReport["problem"] {
  if (receipt.peer !== head.peer || !equalBytes(receipt.log, head.log)) return "other log";
  if (receipt.count > head.count) return "shorter";
  return equalBytes(hash, receipt.hash) ? null : "changed";
}

function reportOf(
  { head, signatureValid }: ReturnType<typeof readSignedHead>,
  problem: ReceiptReport["problem"],
): ReceiptReport {
  return { count: head.count, timeMs: head.timeMs, problem: signatureValid ? problem : "signature" };
}
