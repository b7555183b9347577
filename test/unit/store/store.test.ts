import { mkdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import {
  anyFileHolds,
  contents,
  del,
  fill,
  KEY,
  largest,
  newFolder,
  open,
  put,
  removeFolders,
  text,
  withLevel,
} from "./folder.ts";

afterEach(removeFolders);

test("what was committed is read back, also after opening again", async () => {
  const directory = await newFolder();
  let store = await open(directory);
  await store.commit([put("deal/1", "one"), put("deal/2", "two")]);
  await store.commit([put("deal/1", "changed"), del("deal/2"), put("empty", "")]);
  const expected = [
    ["deal/1", "changed"],
    ["empty", ""],
  ];
  expect(await contents(store)).toEqual(expected);
  await store.close();
  store = await open(directory);
  expect(await contents(store)).toEqual(expected);
  expect(await store.get("deal/1")).toEqual(text("changed"));
  expect(await store.get("deal/2")).toBeUndefined();
  expect(store.recordCount).toBe(2);
  await store.close();
});

test("entries come by prefix, in key order, over several pages", async () => {
  const store = await open(await newFolder());
  const keys = Array.from({ length: 300 }, (_, index) => `b/${String(index).padStart(3, "0")}`);
  await store.commit([...keys.toReversed().map((key) => put(key, key)), put("a", "a"), put("b", "b"), put("b0", "b0")]);
  expect((await contents(store, "b/")).map(([key]) => key)).toEqual(keys);
  expect((await contents(store)).map(([key]) => key)).toEqual(["a", "b", ...keys, "b0"]);
  expect(await contents(store, "c")).toEqual([]);
  await store.close();
});

test("the last change of a key in one commit counts", async () => {
  const directory = await newFolder();
  await fill(directory, [[put("a", "1"), put("a", "2"), put("b", "1"), del("b"), del("missing")], []]);
  const store = await open(directory);
  expect(await contents(store)).toEqual([["a", "2"]]);
  await store.close();
});

test("a value is taken as it was when commit was called", async () => {
  const store = await open(await newFolder());
  const first = store.commit([put("other", "x")]);
  const value = text("before");
  const second = store.commit([{ kind: "put", key: "a", value }]);
  value.fill(0);
  await Promise.all([first, second]);
  expect(await store.get("a")).toEqual(text("before"));
  await store.close();
});

test("commits that come at once are all kept", async () => {
  const directory = await newFolder();
  const store = await open(directory);
  await Promise.all(Array.from({ length: 200 }, (_, index) => store.commit([put(`k${index % 50}`, `v${index}`)])));
  await store.close();
  const again = await open(directory);
  expect(new Map(await contents(again))).toEqual(
    new Map(Array.from({ length: 50 }, (_, index) => [`k${index}`, `v${index + 150}`])),
  );
  await again.close();
});

test("values are not in the files in clear", async () => {
  const directory = await newFolder();
  await fill(directory, [[put("name", "a secret that is easy to find")]]);
  expect(await anyFileHolds(directory, text("name"))).toBe(true);
  expect(await anyFileHolds(directory, text("a secret that is easy to find"))).toBe(false);
});

test.each(["", "x".repeat(1025), "\ud800"])("the key %j is refused", async (key) => {
  const store = await open(await newFolder());
  await expect(store.commit([put(key, "value")])).rejects.toMatchObject({ code: "BAD_RECORD_KEY" });
  await expect(store.get(key)).rejects.toMatchObject({ code: "BAD_RECORD_KEY" });
  await store.close();
});

test("another key is refused and changes nothing", async () => {
  const directory = await newFolder();
  await fill(directory, [[put("a", "1")]]);
  await expect(open(directory, { key: new Uint8Array(32).fill(8) })).rejects.toMatchObject({ code: "STORE_WRONG_KEY" });
  await expect(open(directory, { key: new Uint8Array(16) })).rejects.toMatchObject({ code: "BAD_KEY" });
  const store = await open(directory);
  expect(await contents(store)).toEqual([["a", "1"]]);
  await store.close();
});

test("a second opening is refused while the first one lasts", async () => {
  const directory = await newFolder();
  const store = await open(directory);
  await expect(open(directory)).rejects.toMatchObject({ code: "STORE_LOCKED", status: "conflict" });
  await store.commit([put("a", "1")]);
  await store.close();
  await (await open(directory)).close();
});

test("an unknown format version is refused", async () => {
  const directory = await newFolder();
  await fill(directory, []);
  await writeFile(join(directory, "FORMAT"), JSON.stringify({ format: 3, something: "new" }));
  await expect(open(directory)).rejects.toMatchObject({ code: "STORE_FORMAT" });
});

test("a making that was interrupted starts again", async () => {
  const directory = await newFolder();
  await fill(directory, [[put("left", "over")]]);
  await rename(join(directory, "FORMAT"), join(directory, "FORMAT.partial"));
  const store = await open(directory);
  expect(await contents(store)).toEqual([]);
  await store.commit([put("a", "1")]);
  await store.close();
  await (await open(directory)).close();
});

test("a closed store refuses", async () => {
  const store = await open(await newFolder());
  const closing = store.close();
  await expect(store.commit([put("a", "1")])).rejects.toMatchObject({ code: "STORE_CLOSED" });
  await expect(store.get("a")).rejects.toMatchObject({ code: "STORE_CLOSED" });
  await expect(contents(store)).rejects.toMatchObject({ code: "STORE_CLOSED" });
  await expect(store.purge()).rejects.toMatchObject({ code: "STORE_CLOSED" });
  await closing;
  await store.close();
});

test("close waits for the commits that were asked for", async () => {
  const directory = await newFolder();
  const store = await open(directory);
  const commits = Promise.all(Array.from({ length: 20 }, (_, index) => store.commit([put(`k${index}`, "v")])));
  await store.close();
  await commits;
  const again = await open(directory);
  expect((await contents(again)).length).toBe(20);
  await again.close();
});

test("below the reserve nothing more is stored, and deleting goes on", async () => {
  const directory = await newFolder();
  await fill(directory, [[put("a", "1"), put("b", "2")]]);
  const store = await open(directory, { reserveBytes: Number.MAX_SAFE_INTEGER });
  await expect(store.commit([put("c", "3")])).rejects.toMatchObject({ code: "DISK_FULL", status: "full" });
  await expect(store.bodies.write("aa", (async function* () {})())).rejects.toMatchObject({ code: "DISK_FULL" });
  await store.commit([del("a")]);
  await store.purge();
  expect(await contents(store)).toEqual([["b", "2"]]);
  expect(await store.freeBytes()).toBeGreaterThan(0);
  await store.close();
});

test("below the reserve what goes may leave a trace, until half of the reserve is gone as well", async () => {
  const directory = await newFolder();
  await fill(directory, [[put("a", "1"), put("b", "2")]]);
  const store = await open(directory);
  const freeBytes = await store.freeBytes();
  await store.close();
  const trace = { ...put("a", "gone"), isTrace: true } as const;

  const tight = await open(directory, { reserveBytes: 1.5 * freeBytes });
  await expect(tight.commit([put("c", "3")])).rejects.toMatchObject({ code: "DISK_FULL" });
  await expect(tight.commit([trace, put("c", "3")])).rejects.toMatchObject({ code: "DISK_FULL" });
  await tight.commit([trace, del("b")]);
  expect(await contents(tight)).toEqual([["a", "gone"]]);
  await tight.close();

  const tighter = await open(directory, { reserveBytes: 4 * freeBytes });
  await expect(tighter.commit([trace])).rejects.toMatchObject({ code: "DISK_FULL" });
  await tighter.commit([del("a")]);
  await tighter.close();
});

test("the folder is for its owner only", async () => {
  const directory = join(await newFolder(), "store");
  await fill(directory, []);
  expect((await stat(directory)).mode & 0o777).toBe(0o700);
});

test("a folder that cannot be used is a failure of the disk, not an empty store", async () => {
  const directory = await newFolder();
  await writeFile(join(directory, "bodies"), "in the way");
  await expect(open(directory)).rejects.toMatchObject({ code: "STORE_FAILED" });
  await rm(join(directory, "bodies"));
  await mkdir(join(directory, "FORMAT"));
  await expect(open(directory)).rejects.toMatchObject({ code: "STORE_FAILED" });
});

/** The sealed bytes of a record, as they lie in the files. */
const sealedValue = (directory: string, key: string) =>
  withLevel(directory, async (level) => await level.get(`r:${key}`));

test("after a purge no file holds a deleted or replaced value", async () => {
  const directory = await newFolder();
  await fill(directory, [
    [put("gone", "1".repeat(100)), put("replaced", "2".repeat(100)), put("kept", "3".repeat(100))],
  ]);
  const gone = await sealedValue(directory, "gone");
  const replaced = await sealedValue(directory, "replaced");
  const kept = await sealedValue(directory, "kept");
  const store = await open(directory);
  await store.purge(); // moves everything to the lowest level, where LevelDB leaves it alone longest
  expect(await anyFileHolds(directory, gone)).toBe(true);
  await store.commit([del("gone"), put("replaced", "4")]);
  expect(await anyFileHolds(directory, gone)).toBe(true);
  const reading = store.entries("");
  await reading[Symbol.asyncIterator]().next();
  await store.purge();
  expect(await anyFileHolds(directory, gone)).toBe(false);
  expect(await anyFileHolds(directory, replaced)).toBe(false);
  expect(await anyFileHolds(directory, kept)).toBe(true);
  expect(await contents(store)).toEqual([
    ["kept", "3".repeat(100)],
    ["replaced", "4"],
  ]);
  await store.close();
  await (await open(directory, { key: KEY })).close();
});

test.each(["new", "purged before"])(
  "a value put and deleted within one log is purged (a store that is %s)",
  async (kind) => {
    const directory = await newFolder();
    const store = await open(directory);
    await store.commit([put("early", "x"), put("z-late", "x")]);
    if (kind !== "new") await store.purge();
    await store.commit([put("m-short-lived", "x".repeat(100))]);
    const log = await readFile(await largest(directory, ".log"));
    const keyAt = log.indexOf("r:m-short-lived");
    expect(keyAt).toBeGreaterThan(0);
    const sealed = log.subarray(keyAt + 20, keyAt + 100);
    // Both the value and its deletion are in memory and in the log now, together.
    await store.commit([del("m-short-lived")]);
    expect(await anyFileHolds(directory, sealed)).toBe(true);
    await store.purge();
    expect(await anyFileHolds(directory, sealed)).toBe(false);
    await store.close();
  },
);

test("a purge among commits and reads disturbs neither", async () => {
  const directory = await newFolder();
  const store = await open(directory);
  await store.commit([put("a", "1")]);
  const work = Array.from({ length: 20 }, async (_, index) => {
    await store.commit([put(`k${index}`, `${index}`)]);
    await store.purge();
    expect(await store.get("a")).toEqual(text("1"));
    expect(await store.get(`k${index}`)).toEqual(text(`${index}`));
    expect((await contents(store, "a")).length).toBe(1);
  });
  await Promise.all(work);
  expect(store.recordCount).toBe(21);
  await store.close();
});
