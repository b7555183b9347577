import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { afterEach, describe, expect, test } from "vitest";
import { withLock } from "../../../testnet/lock.ts";
import {
  forgetProcess,
  logFile,
  openTestnet,
  peerDirectory,
  readProcess,
  selectPeers,
  writeProcess,
} from "../../../testnet/plan.ts";
import {
  identifyProcess,
  type ProcessId,
  processState,
  signalProcess,
  startProcess,
} from "../../../testnet/process.ts";
import { askReadiness } from "../../../testnet/readiness.ts";
import { startPeers } from "../../../testnet/start.ts";
import { killPeers, pausePeers, resumePeers, stopPeers } from "../../../testnet/stop.ts";
import { type Behaviour, type FakeTestnet, makeFakeTestnet } from "./fake-testnet.ts";

let fake: FakeTestnet | undefined;

afterEach(async () => {
  await fake?.remove();
  fake = undefined;
});

async function make(...behaviours: Behaviour[]) {
  fake = await makeFakeTestnet(behaviours);
  const { testnet, program, peer } = fake;
  const peers = testnet.plan.peers;
  const idOf = async (index: number): Promise<ProcessId> => {
    const id = await readProcess(testnet, peer(index));
    if (id === undefined) throw new Error(`peer ${index} has no process`);
    return id;
  };
  return { testnet, program, peers, peer, idOf, start: () => startPeers(testnet, peers, { program }) };
}

describe("starting", () => {
  test("returns when all are ready, and they outlive the call", async () => {
    const { start, idOf, peers } = await make("ready", "slow", "ready");
    await start();
    for (const [index, peer] of peers.entries()) {
      expect(processState(await idOf(index))).toBe("running");
      expect(await askReadiness(peer.adminPort, 1_000)).toEqual({ ready: true, causes: [] });
    }
  });

  test("a peer that dies ends the start, shows its last words, and takes the others down", async () => {
    const { start, testnet, peers } = await make("ready", "dies");
    await expect(start()).rejects.toMatchObject({
      code: "PEER_ENDED",
      message: expect.stringContaining("cannot open the store: it is damaged"),
    });
    for (const peer of peers) {
      expect(await readProcess(testnet, peer)).toBeUndefined();
      expect((await askReadiness(peer.adminPort, 1_000)).causes).toEqual(["NO_ANSWER"]);
    }
  });

  test("a peer that is never ready ends the wait with its causes", async () => {
    const { testnet, program, peers, peer } = await make("never");
    const directory = peerDirectory(testnet, peer(0));
    const started = { ...program(peer(0), directory), directory, environment: {}, logFile: logFile(testnet, peer(0)) };
    await writeProcess(testnet, peer(0), await startProcess(started));
    const causes = async () => (await askReadiness(peer(0).adminPort, 1_000)).causes;
    await expect.poll(causes, { timeout: 15_000 }).toEqual(["NO_PEERS"]);
    await expect(startPeers(testnet, peers, { program, readyTimeoutMs: 0 })).rejects.toMatchObject({
      code: "PEER_NOT_READY",
      details: { name: "provider-1", causes: ["NO_PEERS"] },
    });
  });

  test("what was started for nothing is ended again", async () => {
    const { testnet, program, peers, peer } = await make("never");
    await expect(startPeers(testnet, peers, { program, readyTimeoutMs: 0 })).rejects.toMatchObject({
      code: "PEER_NOT_READY",
    });
    expect(await readProcess(testnet, peer(0))).toBeUndefined();
  });

  test("a peer that runs already is left alone, also when a later one fails", async () => {
    const { testnet, program, peers, idOf } = await make("ready", "dies");
    await startPeers(testnet, peers.slice(0, 1), { program });
    const before = await idOf(0);
    await expect(startPeers(testnet, peers, { program })).rejects.toMatchObject({ code: "PEER_ENDED" });
    expect(await idOf(0)).toEqual(before);
    expect(processState(before)).toBe("running");
  });

  test("a program that does not exist is an error of ours", async () => {
    const { testnet, peers } = await make("ready");
    const program = () => ({ command: "/nonexistent/node", args: [] });
    await expect(startPeers(testnet, peers, { program })).rejects.toMatchObject({ code: "PROCESS_NOT_STARTED" });
  });

  test("an abort ends the wait and what was started", async () => {
    const { testnet, program, peers, peer } = await make("never");
    const controller = new AbortController();
    const starting = startPeers(testnet, peers, { program, signal: controller.signal });
    setTimeout(() => controller.abort(new Error("enough")), 100);
    await expect(starting).rejects.toThrow("enough");
    expect(await readProcess(testnet, peer(0))).toBeUndefined();
  });
});

describe("ending", () => {
  test("kill returns when the process is gone; start brings it back", async () => {
    const { testnet, program, peers, idOf, start } = await make("ready", "ready");
    await start();
    const killed = await idOf(0);
    expect(await killPeers(testnet, peers.slice(0, 1))).toEqual(["provider-1"]);
    expect(processState(killed)).toBe("gone");
    expect(processState(await idOf(1))).toBe("running");
    expect(await killPeers(testnet, peers.slice(0, 1))).toEqual([]);

    await startPeers(testnet, peers.slice(0, 1), { program });
    expect(processState(await idOf(0))).toBe("running");
    expect((await idOf(0)).pid).not.toBe(killed.pid);
  });

  test("stop asks first and kills who does not listen", async () => {
    const { testnet, peers, idOf, start } = await make("ready", "stubborn");
    await start();
    const ids = [await idOf(0), await idOf(1)];
    expect(await stopPeers(testnet, peers, 300)).toEqual(["provider-2"]);
    expect(ids.map(processState)).toEqual(["gone", "gone"]);
    for (const peer of peers) expect(await readProcess(testnet, peer)).toBeUndefined();
  });

  test("a paused peer does not answer, goes on when resumed, and can be stopped and killed while paused", async () => {
    const { testnet, program, peers, idOf, start, peer } = await make("ready", "ready");
    await start();
    await pausePeers(testnet, peers);
    expect(processState(await idOf(0))).toBe("paused");
    expect(await askReadiness(peer(0).adminPort, 200)).toMatchObject({ ready: false });
    await expect(startPeers(testnet, peers, { program })).rejects.toMatchObject({ code: "PEER_PAUSED" });

    await resumePeers(testnet, peers);
    expect(await askReadiness(peer(0).adminPort, 5_000)).toMatchObject({ ready: true });

    await pausePeers(testnet, peers);
    await killPeers(testnet, peers.slice(0, 1));
    expect(processState(await idOf(0))).toBe("gone");
    expect(await stopPeers(testnet, peers)).toEqual([]); // the paused one woke up and stopped cleanly
  });

  test("what does not run can be neither paused nor resumed", async () => {
    const { testnet, peers, idOf, start } = await make("ready", "ready");
    await start();
    await killPeers(testnet, peers.slice(1));
    await expect(pausePeers(testnet, peers)).rejects.toMatchObject({ code: "PEER_NOT_RUNNING" });
    expect(processState(await idOf(0))).toBe("running"); // nothing was frozen half way
    await expect(resumePeers(testnet, peers)).rejects.toMatchObject({ code: "PEER_NOT_RUNNING" });
  });
});

describe("pids", () => {
  test("a pid that was given to another process is never signalled", async () => {
    const { testnet, peers, start, idOf, peer } = await make("ready");
    await start();
    const real = await idOf(0);
    const bystander = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "ignore" });
    const ended = once(bystander, "exit");
    try {
      // As if the peer had ended, and its pid now belonged to a process that started at another time, or after a reboot.
      const pid = bystander.pid as number;
      const now = identifyProcess(pid) as ProcessId;
      for (const stale of [
        { ...real, pid },
        { ...now, bootId: "another boot" },
      ]) {
        expect(processState(stale)).toBe("gone");
        expect(signalProcess(stale, "SIGKILL")).toBe(false);
        await writeProcess(testnet, peer(0), stale);
        expect(await killPeers(testnet, peers)).toEqual([]);
        expect(await stopPeers(testnet, peers)).toEqual([]);
        expect(processState(now)).toBe("running");
      }
    } finally {
      bystander.kill("SIGKILL");
      await ended;
      await writeProcess(testnet, peer(0), real);
    }
  });

  test("a process that ended has no identity", async () => {
    const child = spawn("true", { stdio: "ignore" });
    const pid = child.pid as number;
    await once(child, "exit");
    expect(identifyProcess(pid)).toBeUndefined();
  });
});

describe("the plan", () => {
  test("a directory without a testnet, and a name that it does not have, are not found", async () => {
    const { testnet } = await make("ready", "ready");
    expect((await openTestnet(testnet.directory)).plan).toEqual(testnet.plan);
    await expect(openTestnet(`${testnet.directory}/nothing`)).rejects.toMatchObject({
      code: "NO_TESTNET",
      status: "not-found",
    });
    expect(() => selectPeers(testnet, ["provider-2", "provider-9"])).toThrow(/provider-9.*provider-1, provider-2/);
    expect(selectPeers(testnet, ["provider-2", "provider-2"])).toHaveLength(1);
  });

  test("forgetting a process that was never written is no error", async () => {
    const { testnet, peer } = await make("ready");
    await forgetProcess(testnet, peer(0));
    expect(await readProcess(testnet, peer(0))).toBeUndefined();
  });
});

describe("the lock", () => {
  test("only one at a time holds it, and a dead holder loses it", async () => {
    const { testnet } = await make("ready");
    const inside = await withLock(testnet.directory, async () => {
      await expect(withLock(testnet.directory, async () => "second")).rejects.toMatchObject({ code: "TESTNET_BUSY" });
      return "first";
    });
    expect(inside).toBe("first");

    const dead = { pid: process.pid, startTicks: "1", bootId: "another boot" };
    await writeFile(`${testnet.directory}/testnet.lock`, JSON.stringify(dead));
    expect(await withLock(testnet.directory, async () => "taken over")).toBe("taken over");
  });

  test("it is released when the work fails", async () => {
    const { testnet } = await make("ready");
    await expect(withLock(testnet.directory, () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect(await withLock(testnet.directory, async () => "next")).toBe("next");
  });
});
