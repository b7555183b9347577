/** The story that a newcomer runs first. */
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { intercloud, ROOT } from "./intercloud.ts";

const TRY = path.join(ROOT, "scripts/try");

let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), "intercloud-"));
});

afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

async function processesNaming(text: string): Promise<readonly string[]> {
  const pids = (await readdir("/proc")).filter((name) => /^[0-9]+$/.test(name));
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")));
  return lines.filter((line) => line.includes(text));
}

async function leftovers(): Promise<readonly string[]> {
  return (await readdir(path.join(ROOT, ".cache"))).filter((name) => name.startsWith("try-"));
}

test("scripts/try keeps a file, loses two providers and gets it back, and leaves nothing", async () => {
  const file = path.join(directory, "-a file");
  await writeFile(file, "x");
  const before = await leftovers();
  const { exitCode, stdout, stderr } = await intercloud([file], { program: TRY });
  expect({ exitCode, stderr: exitCode === 0 ? "" : stderr }).toEqual({ exitCode: 0, stderr: "" });
  for (const text of ["ict1", "Kill two", "It is the same", "All of it worked"]) expect(stdout).toContain(text);
  expect(await leftovers()).toEqual(before);
});

test("whoever stops reading the story ends it, and nothing is left", async () => {
  const before = await leftovers();
  let pid = 0;
  const { exitCode } = await intercloud([], {
    program: TRY,
    onStart(child) {
      pid = child.pid ?? 0;
      // The second step begins when all six processes are there.
      child.stdout?.on("data", (chunk) => String(chunk).includes("2. Deposit") && child.stdout?.destroy());
    },
  });
  expect(exitCode).toBe(141);
  expect(await leftovers()).toEqual(before);
  expect(await processesNaming(`try-${pid}/`)).toEqual([]);
});

test("a file that cannot be read is wrong use", async () => {
  const { exitCode, stderr } = await intercloud([path.join(directory, "nothing")], { program: TRY });
  expect(exitCode).toBe(2);
  expect(stderr).toContain("usage: scripts/try [FILE]");
});
