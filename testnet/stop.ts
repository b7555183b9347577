/** Ending, freezing and waking peers. */
import { IntercloudError } from "../protocols/wire/errors.ts";
import { forgetProcess, type PlannedPeer, readProcess, type Testnet } from "./plan.ts";
import { type ProcessId, processState, signalProcess, waitUntilGone, waitUntilNone } from "./process.ts";

const CLEAN_STOP_TIMEOUT_MS = 5_000; // what a daemon promises for SIGTERM
const KILL_TIMEOUT_MS = 5_000; // SIGKILL is certain, but the system may be slow to clear away a large process

const STOP_CONTINUE_TIMEOUT_MS = 1_000; // takes effect at once unless the machine is overloaded

/**
 * Asks all of them to stop, at once, and kills those that do not. Their data stays.
 * @returns names of those that had to be killed
 */
export async function stopPeers(
  testnet: Testnet,
  peers: readonly PlannedPeer[],
  cleanStopTimeoutMs = CLEAN_STOP_TIMEOUT_MS,
): Promise<readonly string[]> {
  const alive = await livingAmong(testnet, peers);
  for (const id of alive.values()) signalProcess(id, "SIGTERM");
  for (const id of alive.values()) signalProcess(id, "SIGCONT"); // a frozen process acts on a SIGTERM when it wakes
  const late = await waitUntilGone([...alive.values()], cleanStopTimeoutMs);
  await killAll(late);
  for (const peer of peers) await forgetProcess(testnet, peer);
  return [...alive].filter(([, id]) => late.includes(id)).map(([peer]) => peer.name);
}

/** Kills without warning and returns when the processes are gone. @returns names of those that were alive */
export async function killPeers(testnet: Testnet, peers: readonly PlannedPeer[]): Promise<readonly string[]> {
  const alive = await livingAmong(testnet, peers);
  await killAll([...alive.values()]);
  return [...alive.keys()].map((peer) => peer.name);
}

/** Freezes; a frozen one stays frozen. @throws IntercloudError PEER_NOT_RUNNING before anything is frozen */
export async function pausePeers(testnet: Testnet, peers: readonly PlannedPeer[]): Promise<void> {
  const ids = await allRunning(testnet, peers);
  for (const id of ids) signalProcess(id, "SIGSTOP");
  await waitUntilNone(ids, "running", STOP_CONTINUE_TIMEOUT_MS);
}

/** Wakes; one that is awake stays so. @throws IntercloudError PEER_NOT_RUNNING before anything is woken */
export async function resumePeers(testnet: Testnet, peers: readonly PlannedPeer[]): Promise<void> {
  const ids = await allRunning(testnet, peers);
  for (const id of ids) signalProcess(id, "SIGCONT");
  await waitUntilNone(ids, "paused", STOP_CONTINUE_TIMEOUT_MS);
}

async function killAll(ids: readonly ProcessId[]): Promise<void> {
  for (const id of ids) signalProcess(id, "SIGKILL");
  const left = await waitUntilGone(ids, KILL_TIMEOUT_MS);
  if (left.length === 0) return;
  const pids = left.map((id) => id.pid).join(", ");
  throw new IntercloudError("PROCESS_NOT_ENDED", "internal", `still there after SIGKILL: process ${pids}; try again`);
}

async function livingAmong(testnet: Testnet, peers: readonly PlannedPeer[]): Promise<Map<PlannedPeer, ProcessId>> {
  const alive = new Map<PlannedPeer, ProcessId>();
  for (const peer of peers) {
    const id = await readProcess(testnet, peer);
    if (id !== undefined && processState(id) !== "gone") alive.set(peer, id);
  }
  return alive;
}

async function allRunning(testnet: Testnet, peers: readonly PlannedPeer[]): Promise<readonly ProcessId[]> {
  const alive = await livingAmong(testnet, peers);
  const missing = peers.find((peer) => !alive.has(peer));
  if (missing === undefined) return [...alive.values()];
  throw new IntercloudError(
    "PEER_NOT_RUNNING",
    "conflict",
    `${missing.name} does not run; start it with \`intercloud testnet start ${missing.name}\``,
  );
}
