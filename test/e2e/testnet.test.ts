/** The testnet's commands on real nodes. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { PeerStatus } from "../../testnet/status.ts";
import { intercloud, intercloudJson } from "./intercloud.ts";

let directory: string;
let dir: string;

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), "intercloud-"));
  dir = path.join(directory, "net");
});

afterAll(async () => {
  await intercloud(["testnet", "down", "--dir", dir]);
  await rm(directory, { recursive: true, force: true });
});

async function statusOf(name: string): Promise<PeerStatus> {
  const { peers } = await intercloudJson(["testnet", "status", "--dir", dir]);
  const found = peers.find((peer: PeerStatus) => peer.name === name);
  if (found === undefined) throw new Error(`no ${name}`);
  return found;
}

describe("a testnet of three providers", () => {
  test("comes up with all peers ready and a home for the user", async () => {
    const up = await intercloudJson(["testnet", "up", "--providers", "3", "--threshold", "2", "--dir", dir]);
    expect(up).toMatchObject({ directory: dir, home: path.join(dir, "client"), threshold: 2 });
    expect(up.peers.map(({ name }: PeerStatus) => name)).toEqual([
      "provider-1",
      "provider-2",
      "provider-3",
      "dealer-1",
    ]);
    for (const peer of up.peers) {
      expect(peer).toMatchObject({ state: "running", ready: true, causes: [], pid: expect.any(Number) });
      expect(peer.addresses[0]).toMatch(/^\/ip4\/127\.0\.0\.1\/tcp\/\d+/);
      expect((await fetch(`${peer.adminUrl}/healthz`)).status).toBe(200);
    }
    expect(JSON.parse(await readFile(path.join(up.home, "federation.json"), "utf8")).providers).toHaveLength(3);
    expect((await intercloud(["id", "show"], { home: up.home })).stdout).toContain("key:");
  });

  test("shows the same as a table for people", async () => {
    const { exitCode, stdout, stderr } = await intercloud(["testnet", "status", "--dir", dir]);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    expect(stdout.trim().split("\n")).toHaveLength(5);
    expect(stdout).toMatch(/^provider-2 +running +\d+ +yes /m);
  });

  test("is not started twice", async () => {
    const { exitCode, stdout, stderr } = await intercloud(["testnet", "up", "--dir", dir]);
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
    expect(stderr).toContain("[TESTNET_RUNNING]");
  });

  test("a killed peer is dead, and comes back with the same name in the network", async () => {
    const before = await statusOf("provider-2");
    expect(await intercloudJson(["testnet", "kill", "provider-2", "--dir", dir])).toMatchObject({
      peers: [{ name: "provider-2", state: "dead", pid: null, ready: false }],
    });
    await intercloudJson(["testnet", "start", "provider-2", "--dir", dir]);
    const after = await statusOf("provider-2");
    expect(after).toMatchObject({ state: "running", ready: true, peer: before.peer, addresses: before.addresses });
    expect(after.pid).not.toBe(before.pid);
  });

  test("a paused peer is paused until it is resumed", async () => {
    await intercloudJson(["testnet", "pause", "provider-1", "dealer-1", "--dir", dir]);
    expect(await statusOf("dealer-1")).toMatchObject({ state: "paused", ready: false, causes: ["PROCESS_PAUSED"] });
    await intercloudJson(["testnet", "resume", "provider-1", "dealer-1", "--dir", dir]);
    await expect.poll(async () => (await statusOf("provider-1")).ready, { timeout: 30_000 }).toBe(true);
    expect(await statusOf("dealer-1")).toMatchObject({ state: "running" });
  });

  test("a name that it does not have is not found, and its names are told", async () => {
    for (const command of ["kill", "pause", "resume", "start"]) {
      const { exitCode, stdout, stderr } = await intercloud(["testnet", command, "provider-9", "--dir", dir]);
      expect({ exitCode, stdout }, command).toEqual({ exitCode: 6, stdout: "" });
      expect(stderr).toContain("provider-1, provider-2, provider-3, dealer-1");
    }
  });

  test("goes down, and comes up again with its data; other numbers are refused", async () => {
    const before = await statusOf("provider-3");
    const down = await intercloudJson(["testnet", "down", "--dir", dir]);
    for (const peer of down.peers) expect(peer).toMatchObject({ state: "stopped", pid: null });
    const other = await intercloud(["testnet", "up", "--providers", "4", "--dir", dir]);
    expect(other.exitCode).toBe(2);
    expect(other.stderr).toContain("--providers 3");
    await intercloudJson(["testnet", "up", "--dir", dir]);
    expect(await statusOf("provider-3")).toMatchObject({ state: "running", ready: true, peer: before.peer });
  });
});

test("a directory with other files is left alone", async () => {
  const occupied = await mkdtemp(path.join(directory, "occupied-"));
  await writeFile(path.join(occupied, "thesis.txt"), "mine");
  const { exitCode, stderr } = await intercloud(["testnet", "up", "--dir", occupied]);
  expect(exitCode).toBe(1);
  expect(stderr).toContain("[DIRECTORY_NOT_EMPTY]");
  expect(await readFile(path.join(occupied, "thesis.txt"), "utf8")).toBe("mine");
});

test.each([
  [["--threshold", "6"]],
  [["--providers", "3", "--threshold", "4"]],
  [["--threshold", "1"]],
  [["--providers", "255"]],
  [["--dealers", "0"]],
])("numbers that make no testnet are wrong use: %j", async (args) => {
  const { exitCode } = await intercloud(["testnet", "up", "--dir", path.join(directory, "never"), ...args]);
  expect(exitCode).toBe(2);
});

test("where there is none, every command says so", async () => {
  for (const args of [["status"], ["down"], ["kill", "provider-1"], ["start", "provider-1"]]) {
    const { exitCode, stderr } = await intercloud(["testnet", ...args, "--dir", path.join(directory, "nowhere")]);
    expect(exitCode, args.join(" ")).toBe(6);
    expect(stderr).toContain("[NO_TESTNET]");
  }
});
