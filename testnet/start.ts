/** Starting peers and waiting until they are ready. All or nothing: if one fails, those started with it are ended again. */
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { IntercloudError } from "../protocols/wire/errors.ts";
import { intercloudPeer, type PeerProgram, peerEnvironment } from "./peer-program.ts";
import {
  forgetProcess,
  logFile,
  type PlannedPeer,
  peerDirectory,
  readProcess,
  type Testnet,
  writeProcess,
} from "./plan.ts";
import { type ProcessId, processState, signalProcess, startProcess, waitUntilGone } from "./process.ts";
import { askReadiness } from "./readiness.ts";

const READY_TIMEOUT_MS = 60_000; // a slow machine with many peers; ready within seconds is usual
const POLL_INTERVAL_MS = 50;
const ASK_TIMEOUT_MS = 1_000;
const END_TIMEOUT_MS = 5_000;
const LOG_LINES_SHOWN = 5;

export interface StartOptions {
  readonly program?: PeerProgram;
  readonly readyTimeoutMs?: number;
  readonly signal?: AbortSignal;
}

/**
 * Starts these peers all at once and returns when all are ready. A peer that runs already is left alone and waited for.
 * @throws IntercloudError PEER_PAUSED, PEER_ENDED (with the last lines of its log), PEER_NOT_READY
 */
export async function startPeers(
  testnet: Testnet,
  peers: readonly PlannedPeer[],
  {
    program = intercloudPeer,
    readyTimeoutMs = READY_TIMEOUT_MS,
    signal = new AbortController().signal,
  }: StartOptions = {},
): Promise<void> {
  const toStart: PlannedPeer[] = [];
  const running = new Map<PlannedPeer, ProcessId>();
  for (const peer of peers) {
    const id = await readProcess(testnet, peer);
    const state = id === undefined ? "gone" : processState(id);
    if (state === "paused") throw peerPaused(peer);
    if (id === undefined || state === "gone") toStart.push(peer);
    else running.set(peer, id);
  }

  const started = new Map<PlannedPeer, ProcessId>();
  try {
    for (const peer of toStart) {
      const directory = peerDirectory(testnet, peer);
      const id = await startProcess({
        ...program(peer, directory),
        directory,
        environment: peerEnvironment(process.env),
        logFile: logFile(testnet, peer),
      });
      started.set(peer, id);
      await writeProcess(testnet, peer, id);
    }
    const deadlineMs = performance.now() + readyTimeoutMs;
    const all = [...running, ...started];
    await Promise.all(all.map(([peer, id]) => untilReady(testnet, peer, id, deadlineMs, signal)));
  } catch (error) {
    await endStarted(testnet, started);
    throw error;
  }
}

async function untilReady(
  testnet: Testnet,
  peer: PlannedPeer,
  id: ProcessId,
  deadlineMs: number,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    const { ready, causes } = await askReadiness(peer.adminPort, ASK_TIMEOUT_MS);
    // Asked after the answer: whoever else might listen on that port, it is our process that has to be alive.
    if (processState(id) === "gone") throw await peerEnded(testnet, peer);
    if (ready) return;
    if (performance.now() > deadlineMs) throw await peerNotReady(testnet, peer, causes);
    await sleep(POLL_INTERVAL_MS);
  }
}

async function endStarted(testnet: Testnet, started: ReadonlyMap<PlannedPeer, ProcessId>): Promise<void> {
  for (const id of started.values()) signalProcess(id, "SIGKILL");
  await waitUntilGone([...started.values()], END_TIMEOUT_MS);
  for (const peer of started.keys()) await forgetProcess(testnet, peer);
}

function peerPaused(peer: PlannedPeer): IntercloudError {
  return new IntercloudError(
    "PEER_PAUSED",
    "conflict",
    `${peer.name} is paused; let it go on with \`intercloud testnet resume ${peer.name}\``,
  );
}

async function peerEnded(testnet: Testnet, peer: PlannedPeer): Promise<IntercloudError> {
  const message = `${peer.name} ended while it was starting; ${await whatItSaid(testnet, peer)}`;
  return new IntercloudError("PEER_ENDED", "internal", message, { name: peer.name });
}

async function peerNotReady(testnet: Testnet, peer: PlannedPeer, causes: readonly string[]): Promise<IntercloudError> {
  const why = causes.length === 0 ? "" : ` (${causes.join(", ")})`;
  const message = `${peer.name} did not become ready in time${why}; ${await whatItSaid(testnet, peer)}`;
  return new IntercloudError("PEER_NOT_READY", "internal", message, { name: peer.name, causes });
}

async function whatItSaid(testnet: Testnet, peer: PlannedPeer): Promise<string> {
  const file = logFile(testnet, peer);
  const log = await readFile(file, "utf8").catch(() => "");
  const lines = log.trimEnd().split("\n").slice(-LOG_LINES_SHOWN);
  return log.trim() === "" ? `its log ${file} is empty` : `the end of its log ${file}:\n  ${lines.join("\n  ")}`;
}
