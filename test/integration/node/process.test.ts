/** A node as a process of its own: its exit codes, its end on SIGTERM, and its size. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { bytesOf, sourceOf } from "../../support/bytes.ts";
import { eventually } from "./eventually.ts";
import { makeNetwork, type Network } from "./network.ts";

/** The launcher becomes the Node that it starts, so its process id and its exit code are the node's. */
const INTERCLOUD = fileURLToPath(new URL("../../../bin/intercloud", import.meta.url));
const MAX_IDLE_BYTES = 120 * 1024 * 1024;

interface NodeProcess {
  readonly child: ChildProcess;
  /** What it wrote on stderr so far. */
  text(): string;
  readonly ended: Promise<number | null>;
}

let network: Network;
const started: NodeProcess[] = [];

beforeEach(async () => {
  network = await makeNetwork(3);
});
afterEach(async () => {
  for (const { child, ended } of started.splice(0)) {
    child.kill("SIGKILL");
    await ended;
  }
  await network.close();
});

function run(name: string, ...flags: string[]): NodeProcess {
  const child = spawn(INTERCLOUD, ["node", "run", "--dir", network.folder(name), ...flags], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let text = "";
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  const ended = once(child, "close").then(([code]) => code as number | null);
  const process_ = { child, ended, text: () => text };
  started.push(process_);
  return process_;
}

const within = <T>(timeoutMs: number, promise: Promise<T>) =>
  Promise.race([
    promise,
    sleep(timeoutMs, undefined, { ref: false }).then(() => Promise.reject(new Error("too late"))),
  ]);

/** Can be hashed; when it is sent, it stops in the middle. */
function stuckSource(lengthBytes: number) {
  const bytes = bytesOf(lengthBytes, 5);
  const reached = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  let opened = 0;
  async function* send() {
    yield bytes.subarray(0, lengthBytes / 2);
    reached.resolve();
    await released.promise;
  }
  const open = () => (opened++ === 0 ? sourceOf(bytes, 65_536) : send());
  return { source: { lengthBytes, open }, reached: reached.promise, release: () => released.resolve() };
}

const hasStarted = (node: NodeProcess) =>
  eventually("it has started", () => {
    if (node.child.exitCode !== null) throw new Error(`it ended: ${node.text()}`);
    return node.text().includes('"event":"node-started"');
  });

test("a node with work under way ends within five seconds of SIGTERM, with code 0", async () => {
  const nodes = network.names.map((name) => run(name));
  for (const node of nodes) await hasStarted(node);
  const user = await network.user();
  const options = { threshold: 2, copies: 2 };
  const token = await user.deposit(bytesOf(200_000, 1), options);
  expect(await user.retrieve(token)).toEqual(bytesOf(200_000, 1));
  const stuck = stuckSource(1_000_000);
  const under = user.deposit(bytesOf(1, 1), { ...options, source: stuck.source }).catch((error: unknown) => error);
  await within(20_000, stuck.reached);
  for (const { child } of nodes) child.kill("SIGTERM");
  const codes = await within(5_000, Promise.all(nodes.map(({ ended }) => ended)));
  expect(codes, nodes.map((node) => node.text()).join("\n")).toEqual([0, 0, 0]);
  stuck.release();
  expect(await under).toBeInstanceOf(Error);
  for (const node of nodes) expect(node.text()).toContain('"event":"stopped"');

  // What was acknowledged is there afterwards, also after an end without warning.
  const again = network.names.map((name) => run(name));
  for (const node of again) await hasStarted(node);
  expect(await user.retrieve(token)).toEqual(bytesOf(200_000, 1));
  for (const node of again) node.child.kill("SIGKILL");
  await Promise.all(again.map(({ ended }) => ended));
  const third = network.names.map((name) => run(name));
  for (const node of third) await hasStarted(node);
  expect(await user.retrieve(token)).toEqual(bytesOf(200_000, 1));
});

test("an idle node is not larger than it may be", async () => {
  // Compiling takes memory that stays; what is compiled is kept for the next start when a process ends in order.
  const first = run("provider-1");
  await hasStarted(first);
  first.child.kill("SIGTERM");
  await first.ended;
  const nodes = network.names.map((name) => run(name));
  for (const node of nodes) await hasStarted(node);
  await sleep(3_000);
  for (const { child } of nodes) {
    const status = await readFile(`/proc/${child.pid}/status`, "utf8");
    const residentBytes = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
    expect(residentBytes).toBeGreaterThan(0);
    expect(residentBytes).toBeLessThan(MAX_IDLE_BYTES);
  }
});

test("a signal while it is starting ends it as well", async () => {
  const node = run("provider-1");
  await eventually("it has begun", () => node.text().includes("admin-listening") || node.child.exitCode !== null);
  node.child.kill("SIGTERM");
  expect(await within(5_000, node.ended), node.text()).toBe(0);
});

test("what is wrong with its settings is said on stderr, with exit code 2", async () => {
  const file = path.join(network.folder("provider-1"), "config.json");
  const config = JSON.parse(await readFile(file, "utf8")) as object;
  await writeFile(file, JSON.stringify({ ...config, logLvel: "debug" }));
  const typo = run("provider-1");
  expect(await within(20_000, typo.ended)).toBe(2);
  expect(typo.text()).toContain('did you mean "logLevel"');
  const flag = run("provider-2", "--log-level", "loud");
  expect(await within(20_000, flag.ended)).toBe(2);
  expect(flag.text()).toContain("--log-level");
});
