/** Whatever somebody does to a log, the check finds it, and names the first entry that it was done to. */
import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  entryHash,
  eventKeyOf,
  type LogReport,
  makeEntry,
  openEntry,
  readEntry,
  signHead,
  startHash,
  verifyLog,
} from "../../../protocols/audit/index.ts";
import { inOrder, type MadeLog, makeLog, NOW_MS } from "./log.ts";

const LENGTH = 12;
const log = makeLog(LENGTH);
const signedHead = log.headAt(LENGTH);
const sequence = fc.integer({ min: 1, max: LENGTH });

const verify = (entries: readonly Uint8Array[], head = signedHead, receipts: readonly Uint8Array[] = []) =>
  verifyLog({ signedHead: head, entries: inOrder(entries), receipts });
const changed = (change: (entries: Uint8Array[]) => void): Uint8Array[] => {
  const entries = [...log.entries];
  change(entries);
  return entries;
};
const expectBroken = (report: LogReport, at: number, problem: string) =>
  expect(report).toMatchObject({ valid: false, goodEntries: at - 1, firstBroken: { sequence: at, problem } });

function altered(entry: Uint8Array, bit: number): Uint8Array {
  const copy = entry.slice();
  const at = bit % (copy.length * 8);
  copy[at >> 3] = copy[at >> 3]! ^ (1 << (at & 7));
  return copy;
}

test("a log that nobody touched is good, at every length and with every receipt", async () => {
  for (let count = 1; count <= LENGTH; count += 1) {
    const seen: number[] = [];
    const report = await verifyLog({
      signedHead: log.headAt(count),
      entries: inOrder(log.entries.slice(0, count)),
      receipts: Array.from({ length: count }, (_, index) => log.headAt(index + 1)),
      onEntry: (entry) => void seen.push(entry.sequence),
    });
    expect(report).toMatchObject({ valid: true, signatureValid: true, goodEntries: count, firstBroken: undefined });
    expect(report.receipts.map(({ problem }) => problem)).toEqual(Array(count).fill(null));
    expect(seen).toEqual(Array.from({ length: count }, (_, index) => index + 1));
  }
});

describe("what somebody does without computing hashes anew", () => {
  test("entries are removed: the first of them is missing", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(sequence, { minLength: 1 }), async (gone) => {
        const entries = log.entries.filter((_, index) => !gone.includes(index + 1));
        expectBroken(await verify(entries), Math.min(...gone), "missing");
      }),
    );
  });

  test("bits of any entries are flipped: the first of them is altered", async () => {
    const flips = fc.uniqueArray(fc.tuple(sequence, fc.nat()), { minLength: 1, selector: ([at]) => at });
    await fc.assert(
      fc.asyncProperty(flips, async (bits) => {
        const entries = changed((all) => {
          for (const [at, bit] of bits) all[at - 1] = altered(all[at - 1]!, bit);
        });
        const report = await verify(entries);
        const first = Math.min(...bits.map(([at]) => at));
        expect(report).toMatchObject({ valid: false, goodEntries: first - 1, firstBroken: { sequence: first } });
      }),
      { numRuns: 300 },
    );
  });

  test("entries are put in another order: the first that is not in its place is named", async () => {
    await fc.assert(
      fc.asyncProperty(fc.shuffledSubarray([...log.entries], { minLength: LENGTH }), async (entries) => {
        const first = entries.findIndex((entry, index) => readEntry(entry)?.sequence !== index + 1);
        const report = await verify(entries);
        if (first === -1) expect(report.valid).toBe(true);
        else expectBroken(report, first + 1, "reordered");
      }),
    );
  });

  test("the end is cut off: the first entry that is gone is missing", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: LENGTH - 1 }), async (left) => {
        expectBroken(await verify(log.entries.slice(0, left)), left + 1, "missing");
      }),
    );
  });

  test("an entry is there twice: the place behind it is taken", async () => {
    await fc.assert(
      fc.asyncProperty(sequence, fc.integer({ min: 0, max: LENGTH }), async (which, where) => {
        const entries = changed((all) => void all.splice(where, 0, log.entries[which - 1]!));
        const report = await verify(entries);
        const first = entries.findIndex((entry, index) => readEntry(entry)?.sequence !== index + 1) + 1;
        expectBroken(report, first, first > LENGTH ? "unsigned" : "reordered");
      }),
    );
  });

  test("an entry of another node's log, or of another log of this node, is in the place of ours", async () => {
    const strangers = [makeLog(LENGTH), makeLog(LENGTH, log.signer)];
    await fc.assert(
      fc.asyncProperty(sequence, fc.constantFrom(...strangers), async (at, stranger) => {
        const entries = changed((all) => void all.splice(at - 1, 1, stranger.entries[at - 1]!));
        expectBroken(await verify(entries), at, "altered");
        // All of it from there on.
        const spliced = [...log.entries.slice(0, at - 1), ...stranger.entries.slice(at - 1)];
        expectBroken(await verify(spliced), at, "altered");
      }),
    );
  });

  test("any mixture of these is found", async () => {
    const stranger = makeLog(LENGTH);
    const position = fc.nat(LENGTH - 1);
    const step = fc.oneof(
      fc.record({ kind: fc.constant("remove" as const), at: position }),
      fc.record({ kind: fc.constant("alter" as const), at: position, bit: fc.nat() }),
      fc.record({ kind: fc.constant("swap" as const), at: position, with: position }),
      fc.record({ kind: fc.constant("repeat" as const), at: position, with: position }),
      fc.record({ kind: fc.constant("splice" as const), at: position, with: position }),
      fc.record({ kind: fc.constant("garbage" as const), at: position, bytes: fc.uint8Array({ maxLength: 200 }) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 5 }), async (steps) => {
        const entries = changed((all) => {
          for (const one of steps) {
            const old = all[one.at];
            if (old === undefined) continue;
            if (one.kind === "remove") all.splice(one.at, 1);
            if (one.kind === "alter" && old.length > 0) all[one.at] = altered(old, one.bit);
            const other = one.kind === "swap" ? all[one.with] : undefined;
            if (one.kind === "swap" && other !== undefined) [all[one.at], all[one.with]] = [other, old];
            if (one.kind === "repeat") all.splice(one.with, 0, old);
            if (one.kind === "splice") all.splice(one.at, 0, stranger.entries[one.with]!);
            if (one.kind === "garbage") all.splice(one.at, 0, one.bytes);
          }
        });
        const isSame =
          entries.length === LENGTH && entries.every((entry, i) => Buffer.compare(entry, log.entries[i]!) === 0);
        const report = await verify(entries);
        expect(report.valid).toBe(isSame);
        const good = entries.findIndex((entry, i) => Buffer.compare(entry, log.entries[i] ?? new Uint8Array()) !== 0);
        expect(report.goodEntries).toBe(good === -1 ? Math.min(entries.length, LENGTH) : good);
      }),
      { numRuns: 500 },
    );
  });
});

/** Seals these events anew, as only the node itself can, or with made-up contents, as anybody can. */
function rewritten(made: MadeLog, from: number, logKey: Uint8Array): Uint8Array[] {
  const entries = made.entries.slice(0, from - 1);
  let hash = from === 1 ? startHash(made.logId, made.peer) : entryHash(made.entries[from - 2]!);
  for (let at = from; at <= made.entries.length; at += 1) {
    const eventId = new Uint8Array(randomBytes(16));
    const entry = makeEntry(logKey, hash, { sequence: at, timeMs: NOW_MS, eventId, event: new Uint8Array(40) });
    entries.push(entry);
    hash = entryHash(entry);
  }
  return entries;
}

describe("what somebody does who computes the chain anew", () => {
  const stranger = new Uint8Array(randomBytes(32));

  test("the head does not sign for it, and the node's key opens nothing of it", async () => {
    for (let from = 1; from <= LENGTH; from += 1) {
      const entries = rewritten(log, from, stranger);
      expect(await verify(entries)).toMatchObject({
        valid: false,
        firstBroken: { sequence: LENGTH, problem: "rewritten" },
      });
      const opens = (entry: Uint8Array) =>
        openEntry(eventKeyOf(log.logKey, readEntry(entry)?.eventId ?? new Uint8Array()), entry) !== undefined;
      expect(entries.findIndex((entry) => !opens(entry)) + 1).toBe(from);
    }
  });

  test("a longer one is behind what was signed", async () => {
    const longer = makeLog(LENGTH + 3);
    expectBroken(await verify(longer.entries, longer.headAt(LENGTH)), LENGTH + 1, "unsigned");
  });

  test("the node itself signs it again: only a receipt of an earlier day tells", async () => {
    for (let from = 1; from <= LENGTH; from += 1) {
      const entries = rewritten(log, from, log.logKey);
      const fields = { peer: log.peer, log: log.logId, count: LENGTH, timeMs: NOW_MS };
      const head = signHead({ ...fields, hash: entryHash(entries.at(-1)!) }, log.signer);
      expect((await verify(entries, head)).valid).toBe(true);
      const receipts = Array.from({ length: LENGTH }, (_, index) => log.headAt(index + 1));
      const report = await verify(entries, head, receipts);
      expect(report.valid).toBe(false);
      expect(report.receipts.map(({ problem }) => problem)).toEqual(
        receipts.map((_, index) => (index + 1 < from ? null : "changed")),
      );
    }
  });
});

describe("receipts", () => {
  test("a log that was cut and signed again, or rolled back, is shorter than its receipt says", async () => {
    const report = await verify(log.entries.slice(0, 5), log.headAt(5), [log.headAt(5), log.headAt(9)]);
    expect(report).toMatchObject({ valid: false, firstBroken: undefined, goodEntries: 5 });
    expect(report.receipts.map(({ problem }) => problem)).toEqual([null, "shorter"]);
  });

  test("a receipt of another node, of another log of this node, or that nobody signed, stands for nothing", async () => {
    const other = makeLog(3, log.signer);
    const forged = signHead(
      { peer: log.peer, log: log.logId, count: 3, hash: entryHash(log.entries[2]!), timeMs: NOW_MS },
      makeLog(1).signer,
    );
    const report = await verify(log.entries, signedHead, [makeLog(3).headAt(3), other.headAt(3), forged]);
    expect(report.valid).toBe(false);
    expect(report.receipts.map(({ problem }) => problem)).toEqual(["other log", "other log", "signature"]);
  });

  test("a receipt for what comes before the break still holds", async () => {
    const entries = changed((all) => void all.splice(6, 1));
    const report = await verify(entries, signedHead, [log.headAt(6), log.headAt(7)]);
    expectBroken(report, 7, "missing");
    expect(report.receipts.map(({ problem }) => problem)).toEqual([null, "changed"]);
  });
});

test("a head that cannot be read, or is signed by somebody else, vouches for nothing", async () => {
  for (const bytes of [new Uint8Array(), new Uint8Array(100), signedHead.slice(0, -1)]) {
    expect(await verify(log.entries, bytes)).toMatchObject({ valid: false, head: undefined, goodEntries: 0 });
  }
  const fields = { peer: log.peer, log: log.logId, count: LENGTH, timeMs: NOW_MS };
  const stolen = signHead({ ...fields, hash: entryHash(log.entries.at(-1)!) }, makeLog(1).signer);
  expect(await verify(log.entries, stolen)).toMatchObject({
    ...{ valid: false, signatureValid: false, goodEntries: LENGTH },
    firstBroken: undefined,
  });
});

test("somebody who sends entries without end keeps nobody for ever", async () => {
  async function* endless() {
    for (;;) yield log.entries[4]!;
  }
  const report = await verifyLog({ signedHead, entries: endless() });
  expectBroken(report, 1, "missing");
});
