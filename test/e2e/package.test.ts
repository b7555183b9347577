/** What is published: built, packed, unpacked somewhere else, and run from there as a program and as a library. */
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ROOT } from "./intercloud.ts";

const run = promisify(execFile);

let directory: string;
let unpacked: string;

/** The program's compiled code would go to the home of who runs the tests. */
const environment = () => ({
  ...process.env,
  XDG_CACHE_HOME: path.join(directory, "cache"),
  NODE_COMPILE_CACHE: undefined,
});

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), "intercloud-"));
  const built = path.join(directory, "built");
  await run(process.execPath, [path.join(ROOT, "scripts/build.ts"), built]);
  const { stdout } = await run("npm", ["pack", built, "--silent", "--pack-destination", directory]);
  // As npm would install it: the package beside its dependencies, which are taken from this clone.
  const modules = path.join(directory, "somewhere/node_modules");
  unpacked = path.join(modules, "intercloud");
  await mkdir(unpacked, { recursive: true });
  await run("tar", ["-xzf", path.join(directory, stdout.trim()), "--strip-components=1", "-C", unpacked]);
  await symlink(path.join(ROOT, "node_modules"), path.join(unpacked, "node_modules"));
});

afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

test("it holds JavaScript and declarations, its licence, and nothing of the sources or tests", async () => {
  const { stdout } = await run("find", [unpacked, "-type", "f", "-not", "-path", "*/node_modules/*/node_modules/*"]);
  const files = stdout
    .trim()
    .split("\n")
    .map((file) => path.relative(unpacked, file));
  expect(files).toContain("LICENSE");
  expect(files).toContain("client/index.d.ts");
  expect(files.filter((file) => /\.ts$/.test(file) && !/\.d\.ts$/.test(file))).toEqual([]);
  expect(files.filter((file) => /^(test|scripts)\//.test(file))).toEqual([]);
  const { dependencies, devDependencies, optionalDependencies } = JSON.parse(
    await readFile(path.join(unpacked, "package.json"), "utf8"),
  );
  expect(Object.keys(dependencies)).toContain("libp2p");
  expect({ devDependencies, optionalDependencies }).toEqual({});
});

test("its program is executable and every command can be loaded", async () => {
  const main = path.join(unpacked, "bin/main.js");
  expect((await stat(main)).mode & 0o111).toBe(0o111);
  expect(await readFile(main, "utf8")).toMatch(/^#!\/usr\/bin\/env node\n/);
  const env = environment();
  const { stdout } = await run(process.execPath, [main, "--help"], { env });
  expect(stdout).toContain("Usage: intercloud");
  const { COMMAND_TABLE } = await import("../../bin/commands.ts");
  for (const { name, summary } of COMMAND_TABLE.commands) {
    const help = await run(process.execPath, [main, ...name.split(" "), "--help"], { env });
    expect(help.stdout, name).toContain(summary.split(" ")[0]);
  }
});

test("its program is bundled, with the licences of what is in it, keeps its compiled code, and says where it failed", async () => {
  const bin = path.join(unpacked, "bin");
  expect(await readFile(path.join(bin, "LICENSES.txt"), "utf8")).toMatch(/^libp2p [\d.]+ \(.*MIT.*\)$/m);
  const env = { ...environment(), INTERCLOUD_HOME: path.join(directory, "no-home"), INTERCLOUD_DEBUG: "1" };
  const failing = run(process.execPath, [path.join(bin, "main.js"), "list"], { env });
  await expect(failing).rejects.toMatchObject({ stderr: expect.stringMatching(/NO_HOME.*client\/home\.ts:\d+/s) });
  const kept = (await stat(path.join(directory, "cache/intercloud"))).mode & 0o777;
  expect(kept).toBe(0o700);
  const { stdout } = await run("find", [path.join(directory, "cache/intercloud"), "-type", "f"]);
  expect(stdout).not.toBe("");
});

test("a program in another directory can import it, with types", async () => {
  const user = path.join(directory, "somewhere");
  await writeFile(path.join(user, "package.json"), JSON.stringify({ type: "module" }));
  await writeFile(
    path.join(user, "use.ts"),
    'import * as sdk from "intercloud";\nexport const names = Object.keys(sdk);\n',
  );
  await writeFile(
    path.join(user, "run.js"),
    'import * as sdk from "intercloud";\nconsole.log(Object.keys(sdk).join());\n',
  );
  const { stdout } = await run(process.execPath, ["run.js"], { cwd: user });
  expect(stdout.trim().split(",").length).toBeGreaterThan(0);
  const compilerOptions = {
    noEmit: true,
    strict: true,
    module: "nodenext",
    target: "es2024",
    typeRoots: [path.join(ROOT, "node_modules/@types")],
    types: ["node"],
  };
  await writeFile(path.join(user, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["use.ts"] }));
  const tsc = path.join(ROOT, "node_modules/typescript/bin/tsc");
  await run(process.execPath, [tsc, "--project", "tsconfig.json"], { cwd: user });
});
