/** Every kind of damage that LevelDB hides must end in an error, and must do so each time. */
import { cp, readFile, rename, rm, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { eventsIn } from "../../support/audit-log.ts";
import {
  contents,
  del,
  filesOf,
  fill,
  flipBit,
  largest,
  newFolder,
  open,
  put,
  removeFolders,
  replace,
  withLevel,
} from "./folder.ts";

const RECORDS = 40;
const commits = Array.from({ length: RECORDS }, (_, index) => [put(`record/${index}`, `value ${index} `.repeat(20))]);

let directory: string;

beforeEach(async () => {
  directory = await newFolder();
  await fill(directory, commits);
});
afterEach(removeFolders);

/** Moves everything out of the log into tables. */
async function compact(): Promise<void> {
  const store = await open(directory);
  await store.purge();
  await store.close();
}

async function expectDamaged(what = ""): Promise<void> {
  for (let attempt = 0; attempt < 2; attempt++) {
    await expect(open(directory)).rejects.toMatchObject({
      code: "STORE_DAMAGED",
      status: "damaged",
      message: expect.stringContaining(`${directory} is damaged: ${what}`),
    });
  }
}

describe("what LevelDB hides", () => {
  test("the tail of the log is cut off", async () => {
    const log = await largest(directory, ".log");
    await truncate(log, (await stat(log)).size - 10);
    await expectDamaged();
  });

  test("the last commit is cleanly cut off the log", async () => {
    const store = await open(directory);
    await store.commit([put("kept", "1")]);
    const log = await largest(directory, ".log");
    const { size } = await stat(log);
    await store.commit([put("lost", "1")]);
    await store.close();
    await truncate(log, size);
    await expectDamaged();
  });

  test("a byte in the middle of the log is flipped", async () => {
    const log = await largest(directory, ".log");
    await flipBit(log, Math.floor((await stat(log)).size / 2));
    await expectDamaged();
  });

  test("the log is gone", async () => {
    await rm(await largest(directory, ".log"));
    await expectDamaged();
  });

  test("CURRENT is gone", async () => {
    await compact();
    await rm(join(directory, "records", "CURRENT"));
    await expectDamaged();
  });

  test("a byte of a table is flipped", async () => {
    await compact();
    const table = await largest(directory, ".ldb");
    await flipBit(table, Math.floor((await stat(table)).size / 2));
    await expectDamaged();
  });

  test("a table is gone", async () => {
    await compact();
    await rm(await largest(directory, ".ldb"));
    await expectDamaged();
  });

  test("a table that a killed process left half written is no damage", async () => {
    await compact();
    await cp(await largest(directory, ".ldb"), join(directory, "records", "000999.ldb"));
    await flipBit(join(directory, "records", "000999.ldb"), 100);
    const store = await open(directory);
    expect((await contents(store)).length).toBe(RECORDS);
    await store.close();
  });

  test("a second process says that the store is in use, not that it is damaged", async () => {
    const store = await open(directory);
    await store.purge();
    await flipBit(await largest(directory, ".ldb"), 100);
    await expect(open(directory)).rejects.toMatchObject({ code: "STORE_LOCKED" });
    await store.close();
    await expectDamaged();
  });

  test("the MANIFEST is cut off", async () => {
    await compact();
    const current = (await readFile(join(directory, "records", "CURRENT"), "utf8")).trim();
    const manifest = join(directory, "records", current);
    await truncate(manifest, Math.floor((await stat(manifest)).size / 2));
    await expectDamaged();
  });

  test("the database folder is gone", async () => {
    await rm(join(directory, "records"), { recursive: true });
    await expectDamaged();
  });

  test("the database folder is empty", async () => {
    await replace(join(directory, "records"), await newFolder());
    await expectDamaged();
  });

  test("the database is an older copy of itself", async () => {
    const copy = join(await newFolder(), "records");
    await cp(join(directory, "records"), copy, { recursive: true });
    await fill(directory, [[put("newer", "1")], [del("record/3")]]);
    await replace(join(directory, "records"), copy);
    await expectDamaged();
  });

  test("the database is an older copy that went its own way", async () => {
    const copy = join(await newFolder(), "store");
    await cp(directory, copy, { recursive: true });
    await fill(directory, [[put("here", "1")]]);
    await fill(copy, [[put("there", "1")]]);
    await replace(join(directory, "records"), join(copy, "records"));
    await expectDamaged();
  });

  test("the database is a copy that went its own way, one commit further than this store", async () => {
    const copy = join(await newFolder(), "store");
    await cp(directory, copy, { recursive: true });
    await fill(directory, [[put("here", "1")]]);
    await fill(copy, [[put("there", "1")], [put("there", "2")]]);
    await replace(join(directory, "records"), join(copy, "records"));
    await expectDamaged();
  });

  test("the database is another store's, with the same key", async () => {
    const other = await newFolder();
    await fill(other, commits);
    await replace(join(directory, "records"), join(other, "records"));
    await expectDamaged();
  });
});

describe("what somebody does to single records", () => {
  test("one is deleted", async () => {
    await withLevel(directory, (level) => level.del("r:record/7"));
    await expectDamaged("it holds 39 records where there were 40");
  });

  test("one is added", async () => {
    await withLevel(directory, async (level) => level.put("r:record/new", await level.get("r:record/7")));
    await expectDamaged();
  });

  test("two values are swapped", async () => {
    await withLevel(directory, async (level) => {
      const [a, b] = await level.getMany(["r:record/1", "r:record/2"]);
      if (a === undefined || b === undefined) throw new Error("the records are not where this test looks for them");
      await level.batch([
        { type: "put", key: "r:record/1", value: b },
        { type: "put", key: "r:record/2", value: a },
      ]);
    });
    await expectDamaged();
  });

  test("one is put back to its older value", async () => {
    const older = await withLevel(directory, (level) => level.get("r:record/1"));
    await fill(directory, [[put("record/1", "newer")]]);
    await withLevel(directory, (level) => level.put("r:record/1", older));
    await expectDamaged();
  });

  test("the head is gone", async () => {
    await withLevel(directory, (level) => level.del("!head"));
    await expectDamaged();
  });

  test("a record that changes while the store is open does not come back", async () => {
    await compact();
    const store = await open(directory);
    const table = await largest(directory, ".ldb");
    const bytes = await readFile(table);
    const sealedAt = bytes.indexOf("record/5");
    await store.close();
    await flipBit(table, sealedAt + 60);
    await expectDamaged();
  });
});

describe("the anchor", () => {
  const anchor = () => join(directory, "HEAD");

  test("is gone", async () => {
    await rm(anchor());
    await expectDamaged();
  });

  test("is empty", async () => {
    await truncate(anchor(), 0);
    await expectDamaged();
  });

  test("is of another store with the same key", async () => {
    const other = await newFolder();
    await fill(other, commits);
    await replace(anchor(), join(other, "HEAD"));
    await expectDamaged();
  });

  test("is two commits behind", async () => {
    const copy = join(await newFolder(), "HEAD");
    await cp(anchor(), copy);
    await fill(directory, [[put("a", "1")], [put("b", "1")]]);
    await replace(anchor(), copy);
    await expectDamaged();
  });

  test("one commit behind is a crash between batch and anchor: nothing is lost", async () => {
    const copy = join(await newFolder(), "HEAD");
    await cp(anchor(), copy);
    await fill(directory, [[put("a", "1")]]);
    await replace(anchor(), copy);
    const warnings: string[] = [];
    const store = await open(directory, { onWarning: (event) => warnings.push(event) });
    expect(warnings).toEqual(["store-anchor-caught-up"]);
    expect((await contents(store)).length).toBe(RECORDS + 1);
    await store.close();
    await (await open(directory)).close();
  });

  test.each([1, 2])("a slot torn by a crash is put right (%i commits)", async (more) => {
    await fill(
      directory,
      Array.from({ length: more }, (_, index) => [put("a", `${index}`)]),
    );
    await flipBit(anchor(), ((RECORDS + more) % 2) * 512 + 20);
    const store = await open(directory);
    expect((await contents(store)).length).toBe(RECORDS + 1);
    await store.close();
    await flipBit(anchor(), ((RECORDS + more) % 2) * 512 + 20);
    await (await open(directory)).close();
  });

  test("the older slot does not check: a crash cannot explain that", async () => {
    await flipBit(anchor(), ((RECORDS + 1) % 2) * 512 + 20);
    await expectDamaged();
  });

  test("a torn slot together with a lost commit is noticed", async () => {
    const copy = join(await newFolder(), "records");
    await cp(join(directory, "records"), copy, { recursive: true });
    await fill(directory, [[put("lost", "1")]]);
    await replace(join(directory, "records"), copy);
    await flipBit(anchor(), ((RECORDS + 1) % 2) * 512 + 20);
    await expectDamaged();
  });
});

describe("FORMAT", () => {
  test("is gone", async () => {
    await rm(join(directory, "FORMAT"));
    await expectDamaged();
  });

  test("is gone, and only bodies are left", async () => {
    await writeFile(join(directory, "bodies", "aa"), "body");
    for (const name of ["FORMAT", "HEAD", "records"]) await rm(join(directory, name), { recursive: true });
    await expectDamaged();
  });

  test("is not JSON", async () => {
    await writeFile(join(directory, "FORMAT"), "format 1");
    await expectDamaged();
  });

  test("a store that was moved as a whole opens", async () => {
    const elsewhere = join(await newFolder(), "moved");
    await rename(directory, elsewhere);
    const store = await open(elsewhere);
    expect((await contents(store)).length).toBe(RECORDS);
    await store.close();
  });
});

test("whatever bit is flipped: the store is refused, or it is whole", async () => {
  await compact();
  const event = (index: number) => ({ kind: "append" as const, event: Uint8Array.of(index) });
  await fill(directory, [Array.from({ length: 20 }, (_, index) => event(index))]);
  await compact();
  await fill(directory, [
    [put("in the log", "1"), event(20)],
    [del("record/9"), event(21)],
  ]);
  const whole = await open(directory);
  const expected = await contents(whole);
  const expectedEvents = await eventsIn(whole.log);
  expect(expectedEvents).toHaveLength(22);
  await whole.close();
  const pristine = join(await newFolder(), "store");
  await cp(directory, pristine, { recursive: true });
  const outcomes = new Map<string, number>();
  const files = (await filesOf(pristine)).filter((name) => !/LOG(\.old)?$|LOCK$/.test(name));

  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...files), fc.nat(), fc.nat(7), async (name, position, bit) => {
      const { size } = await stat(join(pristine, name));
      fc.pre(size > 0);
      await replace(directory, pristine);
      await flipBit(join(directory, name), position % size, bit);
      const outcome = await open(directory).then(
        async (store) => {
          expect(await contents(store)).toEqual(expected);
          for (const [key] of expected) expect(await store.get(key)).toBeDefined();
          expect(await eventsIn(store.log)).toEqual(expectedEvents);
          await store.close();
          return "whole";
        },
        (error: { code: string }) => error.code,
      );
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      expect(["whole", "STORE_DAMAGED", "STORE_WRONG_KEY", "STORE_FORMAT"]).toContain(outcome);
    }),
    { numRuns: 200 },
  );
  expect(outcomes.get("STORE_DAMAGED")).toBeGreaterThan(0);
}, 60_000);
