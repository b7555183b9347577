/** The audit log in the store: in the same commit as what it tells of, never changed, and checked at every opening. */
import { cp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openStoredLog } from "../../../node/store/index.ts";
import { entryHash, readEntry, readSignedHead, signHead } from "../../../protocols/audit/index.ts";
import { peerNameOf } from "../../../protocols/crypto/peer-name.ts";
import { signerFromSeed } from "../../../protocols/crypto/signing.ts";
import type { Change } from "../../../protocols/storage/index.ts";
import { AUDIT, eventsIn } from "../../support/audit-log.ts";
import {
  anyFileHolds,
  contents,
  del,
  filesOf,
  fill,
  newFolder,
  open,
  put,
  removeFolders,
  replace,
  text,
  withLevel,
} from "./folder.ts";

afterEach(removeFolders);

const append = (event: string | Uint8Array): Change => ({
  kind: "append",
  event: typeof event === "string" ? text(event) : event,
});
const rowKey = (sequence: number) => `~log:${String(sequence).padStart(16, "0")}`;
const HEAD_ROW = "~log-head";

async function textsIn(directory: string): Promise<string[]> {
  const store = await open(directory);
  try {
    return (await eventsIn(store.log)).map((event) => Buffer.from(event).toString());
  } finally {
    await store.close();
  }
}

async function headOf(directory: string) {
  const log = await openStoredLog(directory);
  try {
    return readSignedHead((await log.signedHead()) ?? new Uint8Array());
  } finally {
    await log.close();
  }
}

describe("appending", () => {
  test("events are kept in the order of the commits, with and without records, over openings", async () => {
    const directory = await newFolder();
    await fill(directory, [
      [append("one")],
      [put("a", "1"), append("two"), append("three"), del("b")],
      [put("c", "1")],
    ]);
    await fill(directory, [[append("four")]]);
    expect(await textsIn(directory)).toEqual(["one", "two", "three", "four"]);
    const { head, signatureValid } = await headOf(directory);
    expect(signatureValid).toBe(true);
    expect(head).toMatchObject({ count: 4, peer: peerNameOf(AUDIT.signer.publicKey), timeMs: AUDIT.clock.nowMs() });
  });

  test("commits that come at once share one head, and each event is there once", async () => {
    const directory = await newFolder();
    const store = await open(directory);
    const events = Array.from({ length: 200 }, (_, index) => `event ${index}`);
    await Promise.all(events.map((event) => store.commit([put("same key", event), append(event)])));
    expect(store.log.count).toBe(200);
    await store.close();
    expect(await textsIn(directory)).toEqual(events);
  });

  test("records and the log do not meet: neither shows the other's", async () => {
    const store = await open(await newFolder());
    await store.commit([put("a", "1"), append("one")]);
    expect(await contents(store)).toEqual([["a", "1"]]);
    expect(store.recordCount).toBe(1);
    for (const key of [HEAD_ROW, rowKey(1)]) expect(await store.get(key)).toBeUndefined();
    await store.commit([put(rowKey(1), "mine"), del(HEAD_ROW)]);
    expect((await eventsIn(store.log)).map((event) => Buffer.from(event).toString())).toEqual(["one"]);
    await store.close();
  });

  test("an event is taken as it was when commit was called", async () => {
    const directory = await newFolder();
    const store = await open(directory);
    const event = Buffer.from("before");
    const first = store.commit([put("other", "x")]);
    const second = store.commit([append(event)]);
    event.fill(0);
    await Promise.all([first, second]);
    await store.close();
    expect(await textsIn(directory)).toEqual(["before"]);
  });

  test("an event that is too long is refused, and spoils nothing for others", async () => {
    const directory = await newFolder();
    const store = await open(directory);
    const good = store.commit([put("a", "1"), append("good")]);
    await expect(store.commit([put("b", "1"), append(new Uint8Array(5_000))])).rejects.toMatchObject({
      code: "EVENT_TOO_LONG",
    });
    await good;
    expect(await contents(store)).toEqual([["a", "1"]]);
    await store.close();
    expect(await textsIn(directory)).toEqual(["good"]);
  });

  test("times come from the clock", async () => {
    const directory = await newFolder();
    let nowMs = 1_000;
    const store = await open(directory, { audit: { ...AUDIT, clock: { nowMs: () => nowMs } } });
    await store.commit([append("one")]);
    nowMs = 2_000;
    await store.commit([append("two")]);
    const times: (number | undefined)[] = [];
    for await (const entry of store.log.entries(0)) times.push(readEntry(entry)?.timeMs);
    expect(times).toEqual([1_000, 2_000]);
    await store.close();
  });

  test("reading can begin anywhere", async () => {
    const store = await open(await newFolder());
    await store.commit(Array.from({ length: 2_500 }, (_, index) => append(`${index}`)));
    for (const after of [0, 1, 999, 1_000, 2_499, 2_500, 9_999]) {
      const sequences: (number | undefined)[] = [];
      for await (const entry of store.log.entries(after)) sequences.push(readEntry(entry)?.sequence);
      expect(sequences).toHaveLength(Math.max(0, 2_500 - after));
      if (after < 2_500) expect([sequences[0], sequences.at(-1)]).toEqual([after + 1, 2_500]);
    }
    await store.close();
  });

  test("a new store has no log, and an empty commit makes none", async () => {
    const store = await open(await newFolder());
    await store.commit([]);
    await store.commit([put("a", "1")]);
    expect(store.log.count).toBe(0);
    expect(await store.log.signedHead()).toBeUndefined();
    await store.close();
  });
});

describe("what is on the disk", () => {
  test("no event is in the files in clear", async () => {
    const directory = await newFolder();
    await fill(directory, [[append("an event that is easy to find")]]);
    expect(await anyFileHolds(directory, text("~log:"))).toBe(true);
    expect(await anyFileHolds(directory, text("an event that is easy to find"))).toBe(false);
  });

  test("a purge forgets what was deleted, among and behind a long log, and leaves the log's tables alone", async () => {
    const directory = await newFolder();
    // LevelDB rewrites its upper two levels as a whole, some ten megabytes; this is more.
    const longLog = Array.from({ length: 32 }, () => Array.from({ length: 250 }, () => append("x".repeat(4_000))));
    await fill(directory, [[put("gone", "1".repeat(100)), append("deposited")], ...longLog]);
    const gone = await withLevel(directory, (level) => level.get("r:gone"));
    const store = await open(directory);
    await store.purge();
    const tables = (await filesOf(directory)).filter((name) => name.endsWith(".ldb"));
    await store.commit([del("gone"), append("destroyed")]);
    expect(await anyFileHolds(directory, gone)).toBe(true);
    await store.purge();
    expect(await anyFileHolds(directory, gone)).toBe(false);
    await store.close();
    const kept = (await filesOf(directory)).filter((name) => tables.includes(name));
    expect(kept.length).toBeGreaterThanOrEqual(2);
    const events = await textsIn(directory);
    expect(events).toHaveLength(2 + 8_000);
    expect([events[0], events.at(-1)]).toEqual(["deposited", "destroyed"]);
  });

  test("with too little room for records the log still takes events, and then it does not either", async () => {
    const directory = await newFolder();
    await fill(directory, [[put("a", "1"), append("one")]]);
    const probe = await open(directory);
    const freeBytes = await probe.freeBytes();
    await probe.close();
    // Half of it is free: too little for records, enough for events alone.
    const low = await open(directory, { reserveBytes: freeBytes * 1.5 });
    await expect(low.commit([put("b", "1"), append("two")])).rejects.toMatchObject({ code: "DISK_FULL" });
    await low.commit([append("served")]);
    await low.commit([del("a"), append("burnt")]);
    await low.close();
    const full = await open(directory, { reserveBytes: freeBytes * 4 });
    await expect(full.commit([append("served")])).rejects.toMatchObject({ code: "DISK_FULL", status: "full" });
    await full.commit([del("a")]);
    await full.close();
    expect(await textsIn(directory)).toEqual(["one", "served", "burnt"]);
  });

  test("a store of the format before the log is read, gets a log and becomes one of the new format", async () => {
    const directory = await newFolder();
    await fill(directory, [[put("a", "1")]]);
    const file = join(directory, "FORMAT");
    const format = JSON.parse(await readFile(file, "utf8"));
    expect(format.format).toBe(2);
    await writeFile(file, JSON.stringify({ ...format, format: 1 }));
    const store = await open(directory);
    expect(await contents(store)).toEqual([["a", "1"]]);
    await store.commit([append("first")]);
    await store.close();
    expect(JSON.parse(await readFile(file, "utf8"))).toEqual(format);
    expect(await textsIn(directory)).toEqual(["first"]);
  });
});

describe("what somebody does to a stopped node's log", () => {
  const COUNT = 9;
  let directory: string;
  beforeEach(async () => {
    directory = await newFolder();
    const commits = Array.from({ length: COUNT }, (_, index) => [put(`r${index}`, "1"), append(`event ${index}`)]);
    await fill(directory, commits);
  });

  async function expectDamaged(what: string): Promise<void> {
    for (let attempt = 0; attempt < 2; attempt++) {
      await expect(open(directory)).rejects.toMatchObject({
        ...{ code: "STORE_DAMAGED", status: "damaged" },
        message: expect.stringContaining(`its audit log does not check: ${what}`),
      });
    }
  }

  test("an entry is removed, wherever it is", async () => {
    const pristine = join(await newFolder(), "store");
    await cp(directory, pristine, { recursive: true });
    for (let sequence = 1; sequence <= COUNT; sequence += 1) {
      await replace(directory, pristine);
      await withLevel(directory, (level) => level.del(rowKey(sequence)));
      await expectDamaged(sequence === COUNT ? "it has 8 entries where there were 9" : `entry ${sequence} is missing`);
    }
  });

  test("a bit of an entry is flipped", async () => {
    const pristine = join(await newFolder(), "store");
    await cp(directory, pristine, { recursive: true });
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: COUNT }), fc.nat(), async (sequence, bit) => {
        await replace(directory, pristine);
        await withLevel(directory, async (level) => {
          const entry = Buffer.from(await level.get(rowKey(sequence)));
          const at = bit % (entry.length * 8);
          entry.writeUInt8(entry.readUInt8(at >> 3) ^ (1 << (at & 7)), at >> 3);
          await level.put(rowKey(sequence), entry);
        });
        await expectDamaged(`entry ${sequence} is missing or altered`);
      }),
      { numRuns: 20 },
    );
  });

  test("two entries change places", async () => {
    await withLevel(directory, async (level) => {
      const [a, b] = await level.getMany([rowKey(3), rowKey(7)]);
      await level.batch([
        { type: "put", key: rowKey(3), value: b! },
        { type: "put", key: rowKey(7), value: a! },
      ]);
    });
    await expectDamaged("entry 3 is missing or altered");
  });

  test("the last entries are cut off, with the head that was signed for what is left", async () => {
    const olderHead = await withLevel(directory, (level) => level.get(HEAD_ROW));
    await fill(directory, [[append("ten")], [append("eleven")]]);
    await withLevel(directory, async (level) => {
      await level.batch([
        { type: "del", key: rowKey(10) },
        { type: "del", key: rowKey(11) },
        { type: "put", key: HEAD_ROW, value: olderHead },
      ]);
    });
    await expectDamaged("it has 9 entries where there were 11");
  });

  test("an entry is added, under the next number, another name, or twice", async () => {
    const pristine = join(await newFolder(), "store");
    await cp(directory, pristine, { recursive: true });
    for (const key of [rowKey(COUNT + 1), rowKey(0), "~log:0000000000000005a", "~log:zzz", "~log::"]) {
      await replace(directory, pristine);
      await withLevel(directory, async (level) => level.put(key, await level.get(rowKey(5))));
      await expectDamaged("entry ");
    }
  });

  test("the whole log is removed, or its head, or the head is somebody else's", async () => {
    const pristine = join(await newFolder(), "store");
    await cp(directory, pristine, { recursive: true });
    await withLevel(directory, (level) => level.clear({ gt: "~end" }));
    await expectDamaged("it has 0 entries where there were 9");

    await replace(directory, pristine);
    await withLevel(directory, (level) => level.del(HEAD_ROW));
    await expectDamaged("its signed head is missing");

    await replace(directory, pristine);
    await withLevel(directory, async (level) => {
      const { head } = readSignedHead(await level.get(HEAD_ROW));
      const thief = signerFromSeed(new Uint8Array(32).fill(1));
      await level.put(HEAD_ROW, signHead(head, thief));
    });
    await expectDamaged("its signed head is missing or is another one");
  });

  test("the log is another store's, of the same node", async () => {
    const other = await newFolder();
    await fill(other, [Array.from({ length: COUNT }, (_, index) => append(`event ${index}`))]);
    const rows = await withLevel(other, (level) => level.iterator({ gt: "~end" }).all());
    await withLevel(directory, (level) =>
      level.batch(rows.map(([key, value]) => ({ type: "put" as const, key, value }))),
    );
    await expectDamaged("entry 1 is missing or altered");
  });

  test("the node's own key cannot mend it either: what the records say about the log is sealed", async () => {
    // Whoever has the signing key alone (not the store's) cuts the log and signs the rest.
    await withLevel(directory, async (level) => {
      const { head } = readSignedHead(await level.get(HEAD_ROW));
      const last = await level.get(rowKey(COUNT - 1));
      await level.del(rowKey(COUNT));
      await level.put(HEAD_ROW, signHead({ ...head, count: COUNT - 1, hash: entryHash(last) }, AUDIT.signer));
    });
    await expectDamaged("it has 8 entries where there were 9");
  });

  test("a log can be read without any key, also when the store does not open any more", async () => {
    await withLevel(directory, (level) => level.del(rowKey(4)));
    const log = await openStoredLog(directory);
    const sequences: (number | undefined)[] = [];
    for await (const entry of log.entries(0)) sequences.push(readEntry(entry)?.sequence);
    await log.close();
    expect(sequences).toEqual([1, 2, 3, 5, 6, 7, 8, 9]);
    const store = open(directory);
    await expect(store).rejects.toMatchObject({ code: "STORE_DAMAGED" });
  });

  test("the log of a store that is in use is not read behind its back", async () => {
    const store = await open(directory);
    await expect(openStoredLog(directory)).rejects.toMatchObject({ code: "STORE_LOCKED" });
    await store.close();
  });

  test("a node with another key does not take the log for its own", async () => {
    const audit = { ...AUDIT, signer: signerFromSeed(new Uint8Array(32).fill(8)) };
    await expect(open(directory, { audit })).rejects.toMatchObject({ code: "STORE_DAMAGED" });
  });
});
