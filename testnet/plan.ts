/**
 * What a testnet consists of, written once when it is made: `DIR/testnet.json`. What runs is not in it: each peer's process is
 * in `DIR/<name>/process.json`, so that two commands that start or kill different peers never write the same file.
 */
import { mkdir, readFile, rm } from "node:fs/promises";
import path from "node:path";
import * as v from "valibot";
import { IntercloudError } from "../protocols/wire/errors.ts";
import { writeFileAtomic } from "../runtime/atomic-file.ts";
import type { ProcessId } from "./process.ts";

const PORT = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(65_535));

const PEER = v.strictObject({
  name: v.pipe(v.string(), v.regex(/^(provider|dealer)-[0-9]{1,3}$/)),
  kind: v.picklist(["provider", "dealer"]),
  /** Its name in the network, made from its key. */
  peer: v.string(),
  addresses: v.array(v.string()),
  duties: v.array(v.string()),
  adminPort: PORT,
});

const PLAN = v.strictObject({
  format: v.literal(1),
  threshold: v.pipe(v.number(), v.integer()),
  peers: v.array(PEER),
});

const PROCESS_ID = v.strictObject({ pid: v.number(), startTicks: v.string(), bootId: v.string() });

export type PlannedPeer = v.InferOutput<typeof PEER>;
export type Plan = v.InferOutput<typeof PLAN>;

export interface Testnet {
  /** Absolute. */
  readonly directory: string;
  readonly plan: Plan;
}

export function planFile(directory: string): string {
  return path.join(directory, "testnet.json");
}

export function clientHome(directory: string): string {
  return path.join(directory, "client");
}

export function peerDirectory(testnet: Testnet, peer: PlannedPeer): string {
  return path.join(testnet.directory, peer.name);
}

export function logFile(testnet: Testnet, peer: PlannedPeer): string {
  return path.join(peerDirectory(testnet, peer), "node.log");
}

/** The testnet in `directory`, or undefined when there is none. @throws IntercloudError TESTNET_DAMAGED */
export async function findTestnet(directory: string): Promise<Testnet | undefined> {
  const plan = await readJson(planFile(directory), PLAN);
  return plan === undefined ? undefined : { directory, plan };
}

/** @throws IntercloudError NO_TESTNET when the directory holds none */
export async function openTestnet(directory: string): Promise<Testnet> {
  const testnet = await findTestnet(directory);
  if (testnet !== undefined) return testnet;
  throw new IntercloudError(
    "NO_TESTNET",
    "not-found",
    `there is no testnet in ${directory}; start one with \`intercloud testnet up --dir ${directory}\`, or name its directory`,
  );
}

export async function writePlan(testnet: Testnet): Promise<void> {
  await writeJsonFile(planFile(testnet.directory), testnet.plan);
}

/** The process that was last started for this peer; undefined when it was stopped on purpose or never started. */
export async function readProcess(testnet: Testnet, peer: PlannedPeer): Promise<ProcessId | undefined> {
  return await readJson(processFile(testnet, peer), PROCESS_ID);
}

export async function writeProcess(testnet: Testnet, peer: PlannedPeer, id: ProcessId): Promise<void> {
  await writeJsonFile(processFile(testnet, peer), id);
}

export async function forgetProcess(testnet: Testnet, peer: PlannedPeer): Promise<void> {
  await rm(processFile(testnet, peer), { force: true });
}

/** @throws IntercloudError NO_SUCH_PEER with the names there are */
export function selectPeers(testnet: Testnet, names: readonly string[]): readonly PlannedPeer[] {
  const byName = new Map(testnet.plan.peers.map((peer) => [peer.name, peer]));
  return [...new Set(names)].map((name) => {
    const peer = byName.get(name);
    if (peer !== undefined) return peer;
    throw new IntercloudError(
      "NO_SUCH_PEER",
      "not-found",
      `this testnet has no "${name}"; its peers are ${[...byName.keys()].join(", ")}`,
      { name },
    );
  });
}

function processFile(testnet: Testnet, peer: PlannedPeer): string {
  return path.join(peerDirectory(testnet, peer), "process.json");
}

async function writeJsonFile(file: string, value: unknown): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  await writeFileAtomic(file, Buffer.from(`${JSON.stringify(value, null, 2)}\n`), 0o600);
}

async function readJson<Schema extends v.GenericSchema>(
  file: string,
  schema: Schema,
): Promise<v.InferOutput<Schema> | undefined> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR")) {
      return undefined;
    }
    throw error;
  }
  try {
    return v.parse(schema, JSON.parse(text));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const message = `${file} cannot be used (${why}); end its processes, remove the directory and start a new testnet`;
    throw new IntercloudError("TESTNET_DAMAGED", "internal", message, {}, error);
  }
}
