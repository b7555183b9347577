/** A testnet of the product's nodes and dealer, and a user, each in a process of its own, that can also forward only. */
import { type ChildProcess, fork } from "node:child_process";
import { mkdir, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { createTestnet } from "../../testnet/create.ts";
import { DAEMON_FLAGS, type PeerProgram } from "../../testnet/peer-program.ts";
import { clientHome, peerDirectory, readProcess, type Testnet } from "../../testnet/plan.ts";
import { freePorts } from "../../testnet/ports.ts";
import { startPeers } from "../../testnet/start.ts";
import { stopPeers } from "../../testnet/stop.ts";
import { atEnd } from "./cleanup.ts";
import { startDelayProxy } from "./delay-proxy.ts";
import type { Operations, RateTask, Task, TaskResult, TransferTask } from "./tasks.ts";

/** @param listens where each peer listens, if not at the address that the federation file has */
const benchPeer =
  (listens: ReadonlyMap<string, number>): PeerProgram =>
  (peer, directory) => {
    const port = listens.get(peer.name);
    return {
      command: process.execPath,
      args: [
        ...process.execArgv,
        ...DAEMON_FLAGS,
        fileURLToPath(new URL("./bench-peer.ts", import.meta.url)),
        peer.kind,
        directory,
        ...(port === undefined ? [] : [`/ip4/127.0.0.1/tcp/${port}`]),
      ],
    };
  };

const USER = fileURLToPath(new URL("./bench-user.ts", import.meta.url));
const CLONE = fileURLToPath(new URL("../..", import.meta.url));

export interface MeasuredTestnet {
  /** Process ids by name: provider-1 ..., dealer-1, user. */
  readonly pids: ReadonlyMap<string, number>;
  /** A file of that many zeros, which takes no room on the disk. */
  file(lengthBytes: number): Promise<string>;
  /** @throws what failed in the user's process. */
  run(task: TransferTask): Promise<{ readonly seconds: number; readonly token?: string }>;
  run(task: RateTask): Promise<Operations>;
  /** All users at the same time, each its part of the operations and of the rate. */
  runAtAll(task: RateTask): Promise<Operations>;
  /** Throws away what the providers keep of all deposits so far: they cannot be got any more. */
  discardBodies(): Promise<void>;
}

/** An empty directory below the clone, removed at the end. */
export async function benchDirectory(name: string): Promise<string> {
  const directory = path.join(CLONE, ".cache", `bench-${name}-${process.pid}`);
  atEnd(() => rm(directory, { recursive: true, force: true }));
  await mkdir(directory, { recursive: true });
  return directory;
}

export interface MeasuredShape {
  /** n and t; 5 and 3 by default. */
  readonly providers?: number;
  readonly threshold?: number;
  /** Deals that the user's home keeps in stock; none by default. */
  readonly stock?: number;
  /** Processes that play the same user; one by default. */
  readonly users?: number;
  /** Of every link between two peers; none is added by default. */
  readonly roundTripMs?: number;
}

/** It is ended, and its files are removed, when the benchmark ends. */
export async function startMeasuredTestnet(
  name: string,
  { providers = 5, threshold = 3, roundTripMs = 0, stock = 0, users: userCount = 1 }: MeasuredShape = {},
): Promise<MeasuredTestnet> {
  const directory = await benchDirectory(name);
  const testnetDirectory = path.join(directory, "testnet");
  await mkdir(testnetDirectory);
  const testnet = await createTestnet(testnetDirectory, { providers, threshold, dealers: 1 });
  atEnd(async () => void (await stopPeers(testnet, testnet.plan.peers)));
  const listens = roundTripMs > 0 ? await delayAll(testnet, roundTripMs / 2) : new Map<string, number>();
  await startPeers(testnet, testnet.plan.peers, { program: benchPeer(listens) });
  await setStock(clientHome(testnetDirectory), stock);
  const users: ChildProcess[] = [];
  for (let i = 0; i < userCount; i += 1) users.push(await startUser(clientHome(testnetDirectory)));
  const user = users[0]!;
  return {
    pids: await pidsOf(testnet, user),
    async file(lengthBytes) {
      const file = path.join(directory, `${lengthBytes}-bytes`);
      await writeFile(file, "");
      await truncate(file, lengthBytes);
      return file;
    },
    run: (task: Task) => runTask(user, task),
    async runAtAll(task) {
      const { count, inFlight, perSecond } = task;
      const part = { ...task, count: Math.ceil(count / userCount), inFlight: Math.ceil(inFlight / userCount) };
      const own = perSecond === undefined ? part : { ...part, perSecond: perSecond / userCount };
      return addedUp(await Promise.all(users.map((each) => runTask(each, own) as Promise<Operations>)));
    },
    async discardBodies() {
      for (const peer of testnet.plan.peers.filter(({ kind }) => kind === "provider")) {
        const bodies = path.join(peerDirectory(testnet, peer), "store", "bodies");
        for (const body of await readdir(bodies)) await rm(path.join(bodies, body));
      }
    },
  };
}

function addedUp(all: readonly Operations[]): Operations {
  const sum = (of: (each: Operations) => number) => all.reduce((total, each) => total + of(each), 0);
  return {
    seconds: Math.max(...all.map(({ seconds }) => seconds)),
    done: sum(({ done }) => done),
    failed: sum(({ failed }) => failed),
    latenciesMs: all.flatMap(({ latenciesMs }) => latenciesMs),
    asksPerOperation: sum(({ asksPerOperation }) => asksPerOperation) / all.length,
  };
}

async function setStock(home: string, stock: number): Promise<void> {
  const file = path.join(home, "config.json");
  const config = JSON.parse(await readFile(file, "utf8")) as object;
  await writeFile(file, JSON.stringify({ ...config, stock }));
}

/** Puts a relay at the address of each peer, and the peer behind it. @returns where each peer is to listen. */
async function delayAll(testnet: Testnet, delayMs: number): Promise<Map<string, number>> {
  const { peers } = testnet.plan;
  const ports = await freePorts(peers.length);
  const listens = new Map<string, number>();
  for (const [i, { name, addresses }] of peers.entries()) {
    const toPort = ports[i] as number;
    await startDelayProxy(Number(addresses[0]?.split("/").at(-1)), toPort, delayMs);
    listens.set(name, toPort);
  }
  return listens;
}

async function startUser(home: string): Promise<ChildProcess> {
  // What it may have to say belongs to stderr, like ours.
  const user = fork(USER, [home], { stdio: ["ignore", 2, 2, "ipc"] });
  atEnd(async () => {
    if (user.connected) user.disconnect();
  });
  await answerOf(user);
  return user;
}

// biome-ignore lint/suspicious/noExplicitAny: which result it is follows from the task
async function runTask(user: ChildProcess, task: Task): Promise<any> {
  const answer = answerOf(user);
  user.send(task);
  return await answer;
}

async function answerOf(user: ChildProcess) {
  const result = await new Promise<TaskResult>((resolve, reject) => {
    const onExit = () => reject(new Error("the user's process ended"));
    user.once("exit", onExit);
    user.once("message", (message: TaskResult) => {
      user.off("exit", onExit);
      resolve(message);
    });
  });
  if ("failure" in result) throw new Error(`in the user's process: ${result.failure}`);
  return result;
}

async function pidsOf(testnet: Testnet, user: ChildProcess): Promise<Map<string, number>> {
  const pids = new Map<string, number>();
  for (const peer of testnet.plan.peers) {
    const id = await readProcess(testnet, peer);
    if (id !== undefined) pids.set(peer.name, id.pid);
  }
  if (user.pid !== undefined) pids.set("user", user.pid);
  return pids;
}
