/** A testnet of small stand-in programs, so that starting and breaking processes is tested on real ones. */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { PeerProgram } from "../../../testnet/peer-program.ts";
import { type PlannedPeer, peerDirectory, type Testnet, writePlan } from "../../../testnet/plan.ts";
import { freePorts } from "../../../testnet/ports.ts";
import { killPeers } from "../../../testnet/stop.ts";

const PEER = fileURLToPath(new URL("./peer.ts", import.meta.url));

export type Behaviour = "ready" | "slow" | "never" | "dies" | "stubborn";

export interface FakeTestnet {
  readonly testnet: Testnet;
  readonly program: PeerProgram;
  peer(index: number): PlannedPeer;
  /** Ends every process and removes every file. */
  remove(): Promise<void>;
}

export async function makeFakeTestnet(behaviours: readonly Behaviour[]): Promise<FakeTestnet> {
  const directory = await mkdtemp(path.join(tmpdir(), "intercloud-"));
  const ports = await freePorts(behaviours.length);
  const peers = behaviours.map((_, index) => ({
    name: `provider-${index + 1}`,
    kind: "provider" as const,
    peer: `peer-${index + 1}`,
    addresses: [],
    duties: ["custody"],
    adminPort: ports[index] ?? 0,
  }));
  const testnet: Testnet = { directory, plan: { format: 1, threshold: 2, peers } };
  for (const peer of peers) await mkdir(peerDirectory(testnet, peer));
  await writePlan(testnet);
  return {
    testnet,
    program: (peer) => {
      const behaviour = behaviours[peers.findIndex(({ name }) => name === peer.name)] ?? "ready";
      return { command: process.execPath, args: [PEER, String(peer.adminPort), behaviour] };
    },
    peer(index) {
      const peer = peers[index];
      if (peer === undefined) throw new Error(`no peer ${index}`);
      return peer;
    },
    async remove() {
      await killPeers(testnet, peers);
      await rm(directory, { recursive: true, force: true });
    },
  };
}
