import { execFileSync } from "node:child_process";
import { createWriteStream } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { expect, test } from "vitest";
import { bytesSource, fileSource } from "../../../client/sources.ts";
import { bytesOf, collect } from "../../support/bytes.ts";
import { testFolder } from "./folder.ts";

const folder = await testFolder();

test("bytes are read twice, and a consumer that changes its chunks does not change them", async () => {
  for (const bytes of [bytesOf(600_000, 1), Buffer.from(bytesOf(600_000, 1))]) {
    const source = bytesSource(bytes);
    for await (const chunk of source.open()) chunk.fill(0);
    expect(Buffer.compare(await collect(source.open()), bytesOf(600_000, 1))).toBe(0);
    expect(source.lengthBytes).toBe(600_000);
  }
});

test("a file says its length and is read twice", async () => {
  const file = path.join(folder, "file");
  await writeFile(file, bytesOf(700_001, 2));
  const source = await fileSource(file);
  if (!("open" in source)) throw new Error("a file can be read twice");
  expect(source.lengthBytes).toBe(700_001);
  for (let time = 0; time < 2; time += 1) {
    expect(Buffer.compare(await collect(source.open()), bytesOf(700_001, 2))).toBe(0);
  }
});

test("a named pipe is a one-shot source", async () => {
  const pipe = path.join(folder, "pipe");
  execFileSync("mkfifo", [pipe]);
  const source = await fileSource(pipe);
  if (!(Symbol.asyncIterator in source)) throw new Error("a pipe is read once");
  const writer = createWriteStream(pipe);
  writer.end(bytesOf(300_000, 3));
  expect(Buffer.compare(await collect(source), bytesOf(300_000, 3))).toBe(0);
});

test("a file that the system makes up, and whose length is 0 therefore, is read to its end", async () => {
  const source = await fileSource("/proc/self/status");
  if (!(Symbol.asyncIterator in source)) throw new Error("its length is not known before");
  expect(Buffer.from(await collect(source)).toString()).toMatch(/^Name:/);
});

test("what cannot be read is said before anything is asked of anybody, with exit code 2", async () => {
  await expect(fileSource(path.join(folder, "none"))).rejects.toMatchObject({ code: "NO_FILE", status: "bad-request" });
  await mkdir(path.join(folder, "directory"));
  await expect(fileSource(path.join(folder, "directory"))).rejects.toMatchObject({
    code: "NOT_A_FILE",
    status: "bad-request",
  });
});
