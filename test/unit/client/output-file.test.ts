import { execFileSync } from "node:child_process";
import { mkdir, readdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { expect, test } from "vitest";
import { writeOutput } from "../../../client/output-file.ts";
import { bytesOf, sourceOf } from "../../support/bytes.ts";
import { testFolder } from "./folder.ts";

const folder = await testFolder();

async function newFolder(name: string): Promise<string> {
  const made = path.join(folder, name);
  await mkdir(made);
  return made;
}

test("the file is whole, readable by its owner alone, and there is nothing beside it", async () => {
  const directory = await newFolder("whole");
  await writeOutput(path.join(directory, "out"), sourceOf(bytesOf(300_000, 1), 7_000), { force: false });
  expect(await readdir(directory)).toEqual(["out"]);
  expect(Buffer.compare(await readFile(path.join(directory, "out")), bytesOf(300_000, 1))).toBe(0);
  expect((await stat(path.join(directory, "out"))).mode & 0o777).toBe(0o600);
});

test("a message that breaks off leaves nothing, and an older file as it was", async () => {
  const directory = await newFolder("broken");
  const file = path.join(directory, "out");
  await expect(writeOutput(file, broken(), { force: false })).rejects.toThrow("broke off");
  expect(await readdir(directory)).toEqual([]);
  await writeFile(file, "older");
  await expect(writeOutput(file, broken(), { force: true })).rejects.toThrow("broke off");
  expect(await readdir(directory)).toEqual(["out"]);
  expect(await readFile(file, "utf8")).toBe("older");
});

test("a file that exists is replaced only with force, also when it appears meanwhile", async () => {
  const directory = await newFolder("exists");
  const file = path.join(directory, "out");
  const refused = { code: "FILE_EXISTS", status: "bad-request" };
  async function* late(): AsyncIterable<Uint8Array> {
    await writeFile(file, "from somebody else");
    yield bytesOf(10, 1);
  }
  await expect(writeOutput(file, late(), { force: false })).rejects.toMatchObject(refused);
  await expect(writeOutput(file, sourceOf(bytesOf(10, 1), 5), { force: false })).rejects.toMatchObject(refused);
  expect(await readFile(file, "utf8")).toBe("from somebody else");
  await writeOutput(file, sourceOf(bytesOf(10, 1), 5), { force: true });
  expect(Buffer.compare(await readFile(file), bytesOf(10, 1))).toBe(0);
  expect(await readdir(directory)).toEqual(["out"]);
});

test("a device is written to and stays a device", async () => {
  await writeOutput("/dev/null", sourceOf(bytesOf(100_000, 1), 7_000), { force: true });
  expect((await stat("/dev/null")).isCharacterDevice()).toBe(true);
});

test("a pipe is left to the shell, because waiting for its reader could not be stopped", async () => {
  const pipe = path.join(await newFolder("pipe"), "pipe");
  execFileSync("mkfifo", [pipe]);
  const written = writeOutput(pipe, sourceOf(bytesOf(10, 1), 5), { force: true });
  await expect(written).rejects.toMatchObject({ code: "NOT_A_FILE", message: expect.stringContaining("> ") });
});

test("a directory, and a place that does not exist, are wrong use", async () => {
  const directory = await newFolder("places");
  await symlink(directory, path.join(directory, "link"));
  const write = (file: string) => writeOutput(file, sourceOf(bytesOf(10, 1), 5), { force: true });
  await expect(write(directory)).rejects.toMatchObject({ code: "NOT_A_FILE", status: "bad-request" });
  await expect(write(path.join(directory, "link"))).rejects.toMatchObject({ code: "NOT_A_FILE" });
  await expect(write("")).rejects.toMatchObject({ code: "NOT_A_FILE", status: "bad-request" });
  await expect(write(path.join(directory, "no/where"))).rejects.toMatchObject({ code: "NO_DIRECTORY" });
});

async function* broken(): AsyncIterable<Uint8Array> {
  yield bytesOf(100_000, 1);
  throw new Error("broke off");
}
