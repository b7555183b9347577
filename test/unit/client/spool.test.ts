import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { readdir } from "node:fs/promises";
import path from "node:path";
import { expect, test } from "vitest";
import { spool } from "../../../client/spool.ts";
import { bytesOf, collect, sourceOf } from "../../support/bytes.ts";
import { testFolder } from "./folder.ts";

const folder = await testFolder();
const entropy = (lengthBytes: number) => new Uint8Array(randomBytes(lengthBytes));

/** The nameless files of this process that were in `directory`. */
function namelessFiles(directory: string): string[] {
  return readdirSync("/proc/self/fd")
    .map((fd) => path.join("/proc/self/fd", fd))
    .filter((fd) => {
      try {
        return readlinkSync(fd).startsWith(directory);
      } catch {
        return false; // closed meanwhile
      }
    });
}

test("what was read once can be read twice, and the file has no name", async () => {
  const directory = path.join(folder, "twice");
  const spooled = await spool(sourceOf(bytesOf(1_000_003, 1), 65_537), { directory, entropy });
  expect(spooled.lengthBytes).toBe(1_000_003);
  expect(await readdir(directory)).toEqual([]);
  for (let time = 0; time < 2; time += 1) {
    expect(Buffer.compare(await collect(spooled.open()), bytesOf(1_000_003, 1))).toBe(0);
  }
  await spooled[Symbol.asyncDispose]();
  expect(namelessFiles(directory)).toEqual([]);
});

test("nobody can read the message in the file", async () => {
  const directory = path.join(folder, "unreadable");
  const message = Buffer.alloc(200_000, "the secret of the month ");
  const spooled = await spool(sourceOf(new Uint8Array(message), 10_000), { directory, entropy });
  const [file] = namelessFiles(directory);
  const kept = readFileSync(file ?? "");
  expect(kept.length).toBe(message.length);
  expect(kept.includes("secret")).toBe(false);
  await spooled[Symbol.asyncDispose]();
});

test.each([
  ["the source fails", failing()],
  ["the source is not even started", sourceOf(new Uint8Array(), 1), AbortSignal.abort(new Error("no"))],
])("nothing remains when %s", async (_, source, signal?: AbortSignal) => {
  const directory = path.join(folder, "failed");
  await expect(spool(source, { directory, entropy, ...(signal ? { signal } : {}) })).rejects.toThrow("no");
  expect(await readdir(directory)).toEqual([]);
  expect(namelessFiles(directory)).toEqual([]);
});

test("a source that is silent for ever does not keep it from stopping", async () => {
  const directory = path.join(folder, "silent");
  const controller = new AbortController();
  async function* silent(): AsyncIterable<Uint8Array> {
    yield bytesOf(10, 1);
    setImmediate(() => controller.abort(new Error("stopped")));
    await new Promise(() => undefined);
  }
  await expect(spool(silent(), { directory, entropy, signal: controller.signal })).rejects.toThrow("stopped");
  expect(namelessFiles(directory)).toEqual([]);
});

async function* failing(): AsyncIterable<Uint8Array> {
  yield bytesOf(100_000, 1);
  throw new Error("no");
}
