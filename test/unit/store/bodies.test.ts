import { randomBytes } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { OpenStore } from "../../../node/store/index.ts";
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

async function* chunksOf(...chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

async function readAll(name: string, offsetBytes = 0): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of store.bodies.read(name, offsetBytes)) {
    expect(chunk.length).toBeLessThanOrEqual(256 * 1024);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

async function names(): Promise<string[]> {
  const found: string[] = [];
  for await (const name of store.bodies.names()) found.push(name);
  return found;
}

const bodyFiles = () => readdir(join(directory, "bodies"));

test("bodies of any length and chunking are read back from any offset", async () => {
  const length = fc.oneof(fc.nat(300), fc.constantFrom(65_535, 65_536, 65_537, 1 << 20, (1 << 20) + 1, 2_500_000));
  await fc.assert(
    fc.asyncProperty(
      length,
      fc.array(fc.integer({ min: 0, max: 1_500_000 }), { maxLength: 8 }),
      fc.nat(),
      async (lengthBytes, cuts, offset) => {
        const body = randomBytes(lengthBytes);
        const bounds = [0, ...cuts.map((cut) => Math.min(cut, lengthBytes)).sort((a, b) => a - b), lengthBytes];
        const chunks = bounds.slice(1).map((end, index) => body.subarray(bounds[index], end));
        await store.bodies.write("ab-1", chunksOf(...chunks));
        const offsetBytes = offset % (lengthBytes + 1);
        expect((await readAll("ab-1", offsetBytes)).equals(body.subarray(offsetBytes))).toBe(true);
        expect(await store.bodies.lengthBytes("ab-1")).toBe(lengthBytes);
      },
    ),
    { numRuns: 40 },
  );
});

test("a source may use its memory again for the next chunk", async () => {
  async function* reusing(): AsyncGenerator<Uint8Array> {
    const buffer = new Uint8Array(1000);
    for (let value = 0; value < 5000; value++) yield buffer.fill(value % 251);
  }
  await store.bodies.write("ab", reusing());
  const read = await readAll("ab");
  expect(read.length).toBe(5_000_000);
  expect(read.every((byte, index) => byte === Math.floor(index / 1000) % 251)).toBe(true);
});

test("chunks that are read belong to the reader", async () => {
  const body = randomBytes(300_000);
  await store.bodies.write("ab", chunksOf(body));
  const chunks: Uint8Array[] = [];
  for await (const chunk of store.bodies.read("ab", 0)) chunks.push(chunk);
  expect(new Set(chunks.map(({ buffer }) => buffer)).size).toBe(chunks.length);
  expect(Buffer.concat(chunks).equals(body)).toBe(true);
});

test("a body is replaced as a whole, and a reader of the old one is not disturbed", async () => {
  await store.bodies.write("ab", chunksOf(new Uint8Array(200_000).fill(1)));
  const reader = store.bodies.read("ab", 0)[Symbol.asyncIterator]();
  const first = await reader.next();
  await store.bodies.write("ab", chunksOf(new Uint8Array(100).fill(2)));
  const second = await reader.next();
  expect(first.value?.[0]).toBe(1);
  expect(second.value?.[0]).toBe(1);
  await reader.return?.();
  expect(await readAll("ab")).toEqual(Buffer.alloc(100, 2));
});

test("a source that fails leaves nothing and its error comes out as it is", async () => {
  const failure = Object.assign(new Error("the sender died"), { code: "ECONNRESET" });
  async function* failing(): AsyncGenerator<Uint8Array> {
    yield randomBytes(1_500_000);
    throw failure;
  }
  await store.bodies.write("ab", chunksOf(Uint8Array.of(1)));
  await expect(store.bodies.write("ab", failing())).rejects.toBe(failure);
  await expect(store.bodies.write("cd", failing())).rejects.toBe(failure);
  expect(await bodyFiles()).toEqual(["ab"]);
  expect(await readAll("ab")).toEqual(Buffer.of(1));
});

test("while a body is being written there is nothing under its name", async () => {
  async function* watched(): AsyncGenerator<Uint8Array> {
    yield randomBytes(3_000_000);
    expect(await store.bodies.lengthBytes("ab")).toBeUndefined();
    expect(await names()).toEqual([]);
    await expect(readAll("ab")).rejects.toMatchObject({ code: "BODY_MISSING" });
  }
  await store.bodies.write("ab", watched());
  expect(await names()).toEqual(["ab"]);
});

test("two writes of one name do not mix", async () => {
  const one = new Uint8Array(2_000_000).fill(1);
  const two = new Uint8Array(2_000_000).fill(2);
  await Promise.all([store.bodies.write("ab", chunksOf(one)), store.bodies.write("ab", chunksOf(two))]);
  const read = await readAll("ab");
  expect(read.equals(one) || read.equals(two)).toBe(true);
  expect(await bodyFiles()).toEqual(["ab"]);
});

test("a removed body is gone, removing it again does nothing", async () => {
  await store.bodies.write("ab", chunksOf(Uint8Array.of(1)));
  await store.bodies.remove("ab");
  await store.bodies.remove("ab");
  expect(await store.bodies.lengthBytes("ab")).toBeUndefined();
  expect(await bodyFiles()).toEqual([]);
});

test("what a killed process left half written is removed at open", async () => {
  await store.bodies.write("ab", chunksOf(Uint8Array.of(1)));
  await store.close();
  await writeFile(join(directory, "bodies", "cd.3.partial"), "half");
  const warnings: unknown[] = [];
  store = await open(directory, { onWarning: (event, fields) => warnings.push([event, fields]) });
  expect(await bodyFiles()).toEqual(["ab"]);
  expect(warnings).toEqual([["store-partial-bodies-removed", { count: 1 }]]);
});

test.each(["", "../ab", "AB", "a/b", "ab.partial", "a".repeat(129)])("the name %j is refused", async (name) => {
  const expected = { code: "BAD_BODY_NAME" };
  await expect(store.bodies.write(name, chunksOf())).rejects.toMatchObject(expected);
  await expect(readAll(name)).rejects.toMatchObject(expected);
  await expect(store.bodies.lengthBytes(name)).rejects.toMatchObject(expected);
  await expect(store.bodies.remove(name)).rejects.toMatchObject(expected);
});

test("reading stops early without leaving the file open", async () => {
  await store.bodies.write("ab", chunksOf(randomBytes(1_000_000)));
  const openFiles = async () => (await readdir("/proc/self/fd")).length;
  const before = await openFiles();
  for (let round = 0; round < 20; round++) for await (const _ of store.bodies.read("ab", 0)) break;
  expect(await openFiles()).toBeLessThan(before + 10);
});

test("an empty body and an offset behind the end read as nothing", async () => {
  await store.bodies.write("ab", chunksOf());
  expect(await store.bodies.lengthBytes("ab")).toBe(0);
  expect((await readAll("ab", 5)).length).toBe(0);
  expect(await readFile(join(directory, "bodies", "ab"))).toEqual(Buffer.alloc(0));
});
