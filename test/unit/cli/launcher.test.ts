/** bin/intercloud in a small clone with stand-ins for npm and Node, so that what it does on each kind of machine is seen. */
import { spawn } from "node:child_process";
import { chmod, copyFile, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

const BIN = path.resolve(import.meta.dirname, "../../../bin");
const SYSTEM_PATH = "/usr/bin:/bin"; // for sh's own tools; a node or npm in there is hidden by the stand-ins

let directory: string;
let clone: string;
let tools: string;

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), "intercloud-"));
  clone = path.join(directory, "a clone");
  tools = path.join(directory, "tools");
  await mkdir(path.join(clone, "bin"), { recursive: true });
  await mkdir(tools);
  for (const file of ["intercloud", "prepare.sh"]) await copyFile(path.join(BIN, file), path.join(clone, "bin", file));
  await program(path.join(tools, "npm"), 'echo "$@" >>"$NPM_CALLS"\necho "npm talks"\nexit 1');
  await machineNode("v20.20.2");
});

afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

async function program(file: string, body: string): Promise<void> {
  await writeFile(file, `#!/bin/sh\n${body}\n`);
  await chmod(file, 0o755);
}

/** A Node that says its version, or else who it is, its arguments and what it reads. */
function nodeBody(name: string, version: string): string {
  return `if [ "$1" = --version ]; then echo ${version}; exit; fi\necho "${name}"\nfor a in "$@"; do echo "[$a]"; done\ncat\nexit 7`;
}

async function machineNode(version: string): Promise<void> {
  await program(path.join(tools, "node"), nodeBody("machine", version));
}

async function ownNode(version: string): Promise<void> {
  await mkdir(path.join(clone, "node_modules/.bin"), { recursive: true });
  await program(path.join(clone, "node_modules/.bin/node"), nodeBody("own", version));
}

async function markInstalled(): Promise<void> {
  await mkdir(path.join(clone, "node_modules"), { recursive: true });
  await writeFile(path.join(clone, "node_modules/.package-lock.json"), "{}");
}

/** An npm whose `ci` takes a moment and ends like the real one, with its own mark. */
async function workingNpm(): Promise<void> {
  const body = [
    'echo "$@" >>"$NPM_CALLS"',
    "sleep 0.3",
    "mkdir -p node_modules",
    "echo '{}' >node_modules/.package-lock.json",
    'mkdir -p "$npm_config_cache" && echo x >"$npm_config_cache/x"',
    'echo "npm talks"',
  ];
  await program(path.join(tools, "npm"), body.join("\n"));
}

interface Outcome {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function launch(
  args: readonly string[],
  {
    env = {},
    stdin = "",
    file = path.join(clone, "bin/intercloud"),
  }: { env?: Record<string, string>; stdin?: string; file?: string } = {},
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, {
      env: { PATH: `${tools}:${SYSTEM_PATH}`, NPM_CALLS: path.join(directory, "npm-calls"), ...env },
    });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text) => {
      stderr += text;
    });
    child.on("error", reject);
    child.on("close", (exitCode) => resolve({ exitCode, stdout, stderr }));
    child.stdin.on("error", () => undefined); // not every outcome reads it
    child.stdin.end(stdin);
  });
}

async function npmCalls(): Promise<readonly string[]> {
  const text = await readFile(path.join(directory, "npm-calls"), "utf8").catch(() => "");
  return text.split("\n").filter((line) => line !== "");
}

test("becomes the clone's own Node with the same arguments, stdin, stdout and exit code", async () => {
  await markInstalled();
  await ownNode("v26.10.0");
  const { exitCode, stdout, stderr } = await launch(["put", "a b", "", "$x", "*"], { stdin: "line 1\nline 2" });
  expect({ exitCode, stderr }).toEqual({ exitCode: 7, stderr: "" });
  const lines = stdout.split("\n");
  expect(lines[0]).toBe("own");
  expect(lines).toContain(`[${path.join(clone, "bin/main.ts")}]`);
  const main = lines.indexOf(`[${path.join(clone, "bin/main.ts")}]`);
  expect(lines.slice(main + 1)).toEqual(["[put]", "[a b]", "[]", "[$x]", "[*]", "line 1", "line 2"]);
  expect(lines.slice(1, main).every((flag) => flag.startsWith("[--"))).toBe(true);
  expect(await npmCalls()).toEqual([]);
});

test("is found through links, relative ones too", async () => {
  await markInstalled();
  await ownNode("v26.10.0");
  await symlink(path.join(clone, "bin/intercloud"), path.join(directory, "absolute"));
  await symlink("../absolute", path.join(tools, "ic"));
  for (const file of [path.join(directory, "absolute"), path.join(tools, "ic"), "ic"]) {
    const { stdout } = await launch(["--help"], { file, env: { PATH: `${tools}:${SYSTEM_PATH}` } });
    expect(stdout, file).toContain(`[${path.join(clone, "bin/main.ts")}]`);
  }
});

test("a bare clone is installed once, and npm says nothing on stdout and reads nothing", async () => {
  await workingNpm();
  await machineNode("v22.18.0");
  const first = await launch(["get"], { stdin: "mine" });
  expect(first.stdout).toMatch(/^machine\n[\s\S]*\[get\]\nmine$/);
  expect(first.stdout).not.toContain("npm talks");
  expect(first.stderr).toContain("npm ci");
  const second = await launch(["get"]);
  expect(second.stderr).toBe("");
  expect(await npmCalls()).toEqual([expect.stringMatching(/^ci /)]);
  // npm kept its cache in the clone, and it was removed when it was of no more use
  expect(await readdir(path.join(clone, ".cache"))).toEqual([]);
});

test("an install that was interrupted is done again", async () => {
  await mkdir(path.join(clone, "node_modules/level"), { recursive: true }); // what npm leaves when it is killed half way
  await workingNpm();
  await machineNode("v24.0.0");
  expect((await launch(["get"])).exitCode).toBe(7);
  expect(await npmCalls()).toHaveLength(1);
});

test("two at once install once; the lock of a dead one is taken over", async () => {
  await workingNpm();
  await machineNode("v26.0.0");
  await mkdir(path.join(clone, ".cache/install.lock"), { recursive: true });
  const dead = spawn("true");
  await new Promise((resolve) => dead.on("exit", resolve));
  await writeFile(path.join(clone, ".cache/install.lock/pid"), String(dead.pid));
  const outcomes = await Promise.all([launch(["a"]), launch(["b"])]);
  expect(outcomes.map(({ exitCode }) => exitCode)).toEqual([7, 7]);
  expect(await npmCalls()).toHaveLength(1);
});

test("an install that fails says so and is tried again the next time", async () => {
  const { exitCode, stdout, stderr } = await launch(["get"]);
  expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
  expect(stderr).toMatch(/npm ci failed.*try again/);
  await workingNpm();
  await machineNode("v26.0.0");
  expect((await launch(["get"])).exitCode).toBe(7);
});

test.each([
  ["v22.18.0", true],
  ["v22.23.3", true],
  ["v23.0.0", true],
  ["v26.10.0", true],
  ["v100.1.0", true],
  ["v22.17.9", false],
  ["v20.20.2", false],
  ["v9.99.0", false],
  ["nonsense", false],
])("the machine's Node %s will do: %s", async (version, isGood) => {
  await markInstalled();
  await machineNode(version);
  const { exitCode, stdout, stderr } = await launch(["get"]);
  if (isGood) {
    expect({ exitCode, stderr }).toEqual({ exitCode: 7, stderr: "" });
  } else {
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
    expect(stderr).toMatch(/no Node of version 22\.18 or later.*INTERCLOUD_NODE/);
  }
});

test("a Node of its own that does not run here is passed over", async () => {
  await markInstalled();
  await mkdir(path.join(clone, "node_modules/.bin"));
  await writeFile(path.join(clone, "node_modules/.bin/node"), Buffer.from([0x7f, 0x45, 0x4c, 0x46, 0, 0]), {
    mode: 0o755,
  });
  await machineNode("v24.3.0");
  expect((await launch(["get"])).stdout).toMatch(/^machine\n/);
});

test("INTERCLOUD_NODE is used before all others, and an unfit one is an error rather than passed over", async () => {
  await markInstalled();
  await ownNode("v26.10.0");
  const chosen = path.join(directory, "my node");
  await program(chosen, nodeBody("chosen", "v24.1.0"));
  expect((await launch(["get"], { env: { INTERCLOUD_NODE: chosen } })).stdout).toMatch(/^chosen\n/);
  const { exitCode, stdout, stderr } = await launch(["get"], { env: { INTERCLOUD_NODE: "/nonexistent" } });
  expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
  expect(stderr).toContain("INTERCLOUD_NODE");
});
