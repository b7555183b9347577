/** Short bodies among the records and long ones in files, by one name each. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { OpenStore } from "../../../node/store/index.ts";
import { bodyChanges, MAX_INLINE_BODY_BYTES } from "../../../protocols/storage/index.ts";
import { bytesOf, collect, errorOf, sourceOf } from "../../support/bytes.ts";
import { newFolder, open, removeFolders } from "./folder.ts";

let directory: string;
let store: OpenStore;

beforeEach(async () => {
  directory = await newFolder();
  store = await open(directory);
});
afterEach(async () => {
  await store.close();
  await removeFolders();
});

const read = async (name: string, offsetBytes = 0) => await collect(store.bodies.read(name, offsetBytes));
const files = () => readdir(join(directory, "bodies"));
async function names(): Promise<string[]> {
  const found: string[] = [];
  for await (const name of store.bodies.names()) found.push(name);
  return found.sort();
}
const keep = async (name: string, bytes: Uint8Array) => await store.commit(await bodyChanges(store, name, bytes));

it("a short body is in the commit, a longer one in a file, and both are read, listed and removed alike", async () => {
  const short = bytesOf(MAX_INLINE_BODY_BYTES, 1);
  const long = bytesOf(MAX_INLINE_BODY_BYTES + 1, 2);
  await keep("short", short);
  await keep("long", long);
  expect(await files()).toEqual(["long"]);
  expect(await names()).toEqual(["long", "short"]);
  for (const [name, bytes] of [
    ["short", short],
    ["long", long],
  ] as const) {
    expect(await store.bodies.lengthBytes(name)).toBe(bytes.length);
    for (const offset of [0, 1, bytes.length - 1, bytes.length]) {
      expect(await read(name, offset)).toEqual(bytes.slice(offset));
    }
    await store.bodies.remove(name);
    await store.bodies.remove(name);
    expect(await store.bodies.lengthBytes(name)).toBeUndefined();
    expect(await errorOf(read(name))).toMatchObject({ code: "BODY_MISSING" });
  }
  expect(await names()).toEqual([]);
});

it("what is written later under a name is what is there, whichever kind it is", async () => {
  const [first, second, third] = [bytesOf(10, 1), bytesOf(10_000, 2), bytesOf(20, 3)];
  await keep("body", first);
  await store.bodies.write("body", sourceOf(second, 1_000));
  expect(await read("body")).toEqual(second);
  await keep("body", third);
  expect(await read("body")).toEqual(third);
  expect(await names()).toEqual(["body"]);
  await store.bodies.remove("body");
  expect(await names()).toEqual([]);
  expect(await files()).toEqual([]);
});

it("is there after the store was opened again, and all or nothing of a commit is", async () => {
  await store.commit([
    { kind: "body", name: "body", bytes: bytesOf(100, 1) },
    { kind: "put", key: "record", value: bytesOf(5, 1) },
  ]);
  await store.close();
  store = await open(directory);
  expect(await read("body")).toEqual(bytesOf(100, 1));
  expect(store.recordCount).toBe(2);
  const bad = store.commit([
    { kind: "put", key: "other", value: bytesOf(5, 1) },
    { kind: "body", name: "Not A Name", bytes: bytesOf(1, 1) },
  ]);
  expect(await errorOf(bad)).toMatchObject({ code: "BAD_BODY_NAME" });
  const long = store.commit([{ kind: "body", name: "long", bytes: new Uint8Array(MAX_INLINE_BODY_BYTES + 1) }]);
  expect(await errorOf(long)).toMatchObject({ code: "BODY_TOO_LONG" });
  expect(await store.get("other")).toBeUndefined();
});

it("is sealed like every record", async () => {
  const secret = Buffer.from("a correction that nobody should find by looking at the disk");
  await keep("body", secret);
  await store.purge();
  const folder = join(directory, "records");
  for (const file of await readdir(folder)) expect((await readFile(join(folder, file))).includes(secret)).toBe(false);
  expect(await read("body")).toEqual(new Uint8Array(secret));
});
