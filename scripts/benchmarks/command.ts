/**
 * What one command costs that is started for it and ends: `decrypt` of a small file, any 3 of 5 providers, against `clevis decrypt`
 * of one that was encrypted to any 3 of 5 tang servers. Both turn by turn, with all that they need on this machine.
 */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { freePorts } from "../../testnet/ports.ts";
import { atEnd } from "./cleanup.ts";
import { unpackedFromDebian } from "./debian.ts";
import { benchDirectory } from "./measured-testnet.ts";
import { say } from "./progress.ts";
import { median, percentile, type Row, timeRow } from "./row.ts";

const CLONE = fileURLToPath(new URL("../..", import.meta.url));
const SERVERS = 5;
const THRESHOLD = 3;
const MESSAGE_BYTES = 1024;
/** Until the compiled code is kept, files are in memory, and the providers have been asked before. */
const WARM_UP_RUNS = 3;
const RUNS = 21;
const SERVER_START_MS = 10_000;

/** Besides clevis and tang what they load or run; curl is taken from the machine. */
const PACKAGES = ["clevis", "jose", "libjose0", "libjansson4", "tang", "tang-common", "libhttp-parser2.9"];
const SOCAT_PACKAGES = ["socat", "libwrap0", "libnsl2", "libtirpc3"];

/** A command line that reads an encrypted file on stdin and writes the message to stdout. */
interface Decryptor {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly file: string;
}

export async function commandBench(): Promise<Row[]> {
  const directory = await benchDirectory("command");
  const message = randomBytes(MESSAGE_BYTES);
  writeFileSync(path.join(directory, "message"), message);
  const file = intercloudFile(directory);
  const env = { ...plainEnvironment(process.env), INTERCLOUD_HOME: path.join(directory, "testnet/client") };
  const decryptors = {
    clevis: await clevisFile(directory),
    package: {
      command: process.execPath,
      args: [builtProgram(directory), "decrypt"],
      file,
      env: keptBelow(directory, env),
    },
    clone: { command: path.join(CLONE, "bin/intercloud"), args: ["decrypt"], file, env },
  };
  const times = inTurns(decryptors, message);
  for (const [name, each] of Object.entries(times)) {
    const figures = [0.25, 0.5, 0.75].map((share) => `${percentile(each, share).toFixed(0)} ms`);
    say(
      `${name}: a quarter of ${RUNS} runs within ${figures[0]}, half within ${figures[1]}, three quarters within ${figures[2]}`,
    );
  }
  const theirs = median(times.clevis);
  return [
    timeRow("decrypt, cold, 3 of 5, against clevis with 3 of 5 tang servers", "ms", median(times.package), theirs, 1),
    timeRow("the same from a clone, where nothing is bundled", "ms", median(times.clone), theirs, null),
  ];
}

/** @returns how long each took, in milliseconds, from the start of the process to its end. */
function inTurns<Name extends string>(
  decryptors: Readonly<Record<Name, Decryptor>>,
  message: Uint8Array,
): Record<Name, number[]> {
  const names = Object.keys(decryptors) as Name[];
  const times = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<Name, number[]>;
  for (let run = 0; run < WARM_UP_RUNS + RUNS; run++) {
    for (const name of names) {
      const { command, args, env, file } = decryptors[name];
      const stdin = openSync(file, "r");
      const startedAtMs = performance.now();
      const { status, stdout, stderr } = spawnSync(command, args, { env, stdio: [stdin, "pipe", "pipe"] });
      const tookMs = performance.now() - startedAtMs;
      closeSync(stdin);
      if (status !== 0 || !stdout.equals(message)) throw new Error(`${name} did not decrypt: ${stderr.toString()}`);
      if (run >= WARM_UP_RUNS) times[name].push(tookMs);
    }
  }
  return times;
}

/** Starts a testnet and encrypts to it. */
function intercloudFile(directory: string): string {
  const testnet = path.join(directory, "testnet");
  const intercloud = (...args: readonly string[]) =>
    execFileSync(path.join(CLONE, "bin/intercloud"), args, { stdio: ["ignore", "ignore", "pipe"] });
  atEnd(async () => void intercloud("testnet", "down", "--dir", testnet));
  intercloud("testnet", "up", "--dir", testnet, "--providers", `${SERVERS}`, "--threshold", `${THRESHOLD}`);
  const file = path.join(directory, "message.age");
  intercloud("encrypt", "--home", path.join(testnet, "client"), "-o", file, path.join(directory, "message"));
  return file;
}

/** The program as it is published. */
function builtProgram(directory: string): string {
  const target = path.join(directory, "package");
  execFileSync(process.execPath, [path.join(CLONE, "scripts/build.ts"), target], { stdio: "pipe" });
  return path.join(target, "bin/main.js");
}

/** Starts tang servers and encrypts to them. */
async function clevisFile(directory: string): Promise<Decryptor> {
  const { env: found } = unpackedFromDebian("clevis", [...PACKAGES, ...SOCAT_PACKAGES]);
  const env = plainEnvironment(found);
  const ports = await freePorts(SERVERS);
  for (const port of ports) startTang(directory, port, env);
  await Promise.all(ports.map(untilAnswered));
  const pins = { tang: ports.map((port) => ({ url: `http://127.0.0.1:${port}` })) };
  const encrypted = execFileSync("clevis", ["encrypt", "sss", JSON.stringify({ t: THRESHOLD, pins }), "-y"], {
    ...{ env, stdio: ["pipe", "pipe", "pipe"] },
    input: readFileSync(path.join(directory, "message")),
  });
  const file = path.join(directory, "message.jwe");
  writeFileSync(file, encrypted);
  return { command: "clevis", args: ["decrypt"], env, file };
}

/** As Debian's unit does: a process of tangd for each connection, its keys in a folder. */
function startTang(directory: string, port: number, env: NodeJS.ProcessEnv): void {
  const keys = `tang-${port}`;
  mkdirSync(path.join(directory, keys));
  // What it says is that there is no user _tang to give the keys to.
  execFileSync("tangd-keygen", [keys], { cwd: directory, env, stdio: "ignore" });
  const listen = `TCP-LISTEN:${port},bind=127.0.0.1,reuseaddr,fork`;
  const server = spawn("socat", [listen, `EXEC:tangd ${keys}`], { cwd: directory, env, stdio: "ignore" });
  server.on("error", (error) => say(`socat could not be started: ${error.message}`));
  atEnd(async () => void server.kill());
}

async function untilAnswered(port: number): Promise<void> {
  const endsAtMs = performance.now() + SERVER_START_MS;
  while (!(await isAnswered(port))) {
    if (performance.now() > endsAtMs) throw new Error(`the tang server at port ${port} does not answer`);
    await sleep(50);
  }
}

async function isAnswered(port: number): Promise<boolean> {
  const socket = connect({ host: "127.0.0.1", port });
  try {
    return await new Promise((resolve) => {
      socket.once("connect", () => resolve(true));
      socket.once("error", () => resolve(false));
    });
  } finally {
    socket.destroy();
  }
}

/** Without what scripts/bench sets for the benchmarks themselves: whoever types a command has none of it. */
function plainEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const { NODE_COMPILE_CACHE, MALLOC_ARENA_MAX, MALLOC_TRIM_THRESHOLD_, ...plain } = env;
  return plain;
}

/** The published program's compiled code goes where the benchmark's other files are, not into the home of who runs it. */
function keptBelow(directory: string, env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return { ...env, XDG_CACHE_HOME: path.join(directory, "cache") };
}
