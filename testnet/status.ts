/** How each peer is, asked now. */
import { type PlannedPeer, readProcess, type Testnet } from "./plan.ts";
import { processState } from "./process.ts";
import { adminUrl, askReadiness } from "./readiness.ts";

const ASK_TIMEOUT_MS = 2_000;

/** `stopped`: ended on purpose by `down`, or never started. `dead`: killed, or it ended by itself. */
export type PeerState = "running" | "paused" | "stopped" | "dead";

export interface PeerStatus {
  readonly name: string;
  readonly kind: PlannedPeer["kind"];
  /** Null when it does not run. */
  readonly pid: number | null;
  readonly state: PeerState;
  readonly ready: boolean;
  /** Coded reasons for not being ready. */
  readonly causes: readonly string[];
  readonly duties: readonly string[];
  readonly peer: string;
  readonly addresses: readonly string[];
  readonly adminUrl: string;
}

/** In the order of the plan. */
export async function statusOf(testnet: Testnet): Promise<readonly PeerStatus[]> {
  return await Promise.all(testnet.plan.peers.map((peer) => peerStatus(testnet, peer)));
}

export async function peerState(
  testnet: Testnet,
  peer: PlannedPeer,
): Promise<{ state: PeerState; pid: number | null }> {
  const id = await readProcess(testnet, peer);
  if (id === undefined) return { state: "stopped", pid: null };
  const state = processState(id);
  return state === "gone" ? { state: "dead", pid: null } : { state, pid: id.pid };
}

async function peerStatus(testnet: Testnet, planned: PlannedPeer): Promise<PeerStatus> {
  const { name, kind, duties, peer, addresses, adminPort } = planned;
  const { state, pid } = await peerState(testnet, planned);
  const { ready, causes } =
    state === "running"
      ? await askReadiness(adminPort, ASK_TIMEOUT_MS)
      : { ready: false, causes: [`PROCESS_${state.toUpperCase()}`] };
  return { name, kind, pid, state, ready, causes, duties, peer, addresses, adminUrl: adminUrl(adminPort) };
}
