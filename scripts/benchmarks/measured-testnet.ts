/** A testnet of the product's nodes and dealer, and a user, each in a process of its own, that can also forward only. */
import { type ChildProcess, fork } from "node:child_process";
import { mkdir, readdir, rm, truncate, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { createTestnet } from "../../testnet/create.ts";
import { DAEMON_FLAGS, type PeerProgram } from "../../testnet/peer-program.ts";
import { clientHome, peerDirectory, readProcess, type Testnet } from "../../testnet/plan.ts";
import { startPeers } from "../../testnet/start.ts";
import { stopPeers } from "../../testnet/stop.ts";
import { atEnd } from "./cleanup.ts";
import type { Task, TaskResult } from "./tasks.ts";

const benchPeer: PeerProgram = (peer, directory) => ({
  command: process.execPath,
  args: [
    ...process.execArgv,
    ...DAEMON_FLAGS,
    fileURLToPath(new URL("./bench-peer.ts", import.meta.url)),
    peer.kind,
    directory,
  ],
});

const USER = fileURLToPath(new URL("./bench-user.ts", import.meta.url));
const CLONE = fileURLToPath(new URL("../..", import.meta.url));

export interface MeasuredTestnet {
  /** Process ids by name: provider-1 ..., dealer-1, user. */
  readonly pids: ReadonlyMap<string, number>;
  /** A file of that many zeros, which takes no room on the disk. */
  file(lengthBytes: number): Promise<string>;
  /** @throws what failed in the user's process. */
  run(task: Task): Promise<{ readonly seconds: number; readonly token?: string }>;
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

/** It is ended, and its files are removed, when the benchmark ends. */
export async function startMeasuredTestnet(name: string): Promise<MeasuredTestnet> {
  const directory = await benchDirectory(name);
  const testnetDirectory = path.join(directory, "testnet");
  await mkdir(testnetDirectory);
  const testnet = await createTestnet(testnetDirectory, { providers: 5, threshold: 3, dealers: 1 });
  atEnd(async () => void (await stopPeers(testnet, testnet.plan.peers)));
  await startPeers(testnet, testnet.plan.peers, { program: benchPeer });
  const user = await startUser(clientHome(testnetDirectory));
  return {
    pids: await pidsOf(testnet, user),
    async file(lengthBytes) {
      const file = path.join(directory, `${lengthBytes}-bytes`);
      await writeFile(file, "");
      await truncate(file, lengthBytes);
      return file;
    },
    run: (task) => runTask(user, task),
    async discardBodies() {
      for (const peer of testnet.plan.peers.filter(({ kind }) => kind === "provider")) {
        const bodies = path.join(peerDirectory(testnet, peer), "store", "bodies");
        for (const body of await readdir(bodies)) await rm(path.join(bodies, body));
      }
    },
  };
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

async function runTask(user: ChildProcess, task: Task) {
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
