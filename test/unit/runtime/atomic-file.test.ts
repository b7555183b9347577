import { mkdir, readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { createFileAtomic, writeFileAtomic } from "../../../runtime/atomic-file.ts";
import { newFolder, removeFolders } from "./folder.ts";

afterEach(removeFolders);

test("writes, replaces and sets the mode whatever the umask", async () => {
  const folder = await newFolder();
  const path = join(folder, "file");
  await writeFileAtomic(path, Buffer.from("one"), 0o666);
  expect((await stat(path)).mode & 0o777).toBe(0o666);
  await writeFileAtomic(path, Buffer.from("two"), 0o600);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  expect(await readFile(path, "utf8")).toBe("two");
  expect(await readdir(folder)).toEqual(["file"]);
});

test("creates only what is new", async () => {
  const folder = await newFolder();
  const path = join(folder, "file");
  await createFileAtomic(path, Buffer.from("one"), 0o600);
  await expect(createFileAtomic(path, Buffer.from("two"), 0o600)).rejects.toMatchObject({ code: "EEXIST" });
  expect(await readFile(path, "utf8")).toBe("one");
  expect(await readdir(folder)).toEqual(["file"]);
});

test("of many who create one file at once, one succeeds", async () => {
  const path = join(await newFolder(), "file");
  const attempts = await Promise.allSettled(
    Array.from({ length: 10 }, (_, index) => createFileAtomic(path, Buffer.from(`${index}`), 0o600)),
  );
  const winners = attempts.flatMap(({ status }, index) => (status === "fulfilled" ? [`${index}`] : []));
  expect(winners).toEqual([await readFile(path, "utf8")]);
});

test("a write that fails leaves nothing behind", async () => {
  const folder = await newFolder();
  await mkdir(join(folder, "taken", "full"), { recursive: true });
  await expect(writeFileAtomic(join(folder, "taken"), Buffer.from("x"), 0o600)).rejects.toThrow();
  await expect(writeFileAtomic(join(folder, "missing", "file"), Buffer.from("x"), 0o600)).rejects.toThrow();
  expect(await readdir(folder)).toEqual(["taken"]);
});
