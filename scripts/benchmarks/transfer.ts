/** `put --whole` and `get` against the same bytes over the same hops with handlers that only forward. */
import type { Route } from "../../protocols/rounds/descriptor.ts";
import { type MeasuredTestnet, startMeasuredTestnet } from "./measured-testnet.ts";
import { cpuSeconds } from "./process-figures.ts";
import { say } from "./progress.ts";
import { median, type Row, ratioRow } from "./row.ts";
import type { TransferTask } from "./tasks.ts";

const MIB = 1024 * 1024;
const LENGTH_BYTES = 256 * MIB;
/** Before anything is measured, so that both sides' code is compiled. */
const WARM_UP_BYTES = 64 * MIB;
/** Ours and the other take turns, because a machine is not equally quick all the time. */
const ROUNDS = 5;
const TARGET = 0.6;

interface Kind {
  readonly action: "put" | "get";
  readonly route: Route;
  readonly target: number | null;
}

/** `put` goes by chain and `get` by fanout when the user does not say otherwise. */
const KINDS: readonly Kind[] = [
  { action: "put", route: "chain", target: TARGET },
  { action: "get", route: "fanout", target: TARGET },
  { action: "get", route: "chain", target: null },
  { action: "put", route: "fanout", target: null },
];

interface Sample {
  readonly seconds: number;
  /** Of all processes. */
  readonly cpuSeconds: number;
}

export async function transferBench(): Promise<Row[]> {
  const testnet = await startMeasuredTestnet("transfer");
  const samples = new Map(KINDS.map((kind) => [kind, { ours: [] as Sample[], theirs: [] as Sample[] }]));
  await measureRound(testnet, WARM_UP_BYTES, () => {});
  for (let round = 1; round <= ROUNDS; round++) {
    await measureRound(testnet, LENGTH_BYTES, (kind, ours, theirs) => {
      say(`${round}/${ROUNDS} ${kind.action} ${kind.route}: ${told(ours)}; forwarding only: ${told(theirs)}`);
      samples.get(kind)?.ours.push(ours);
      samples.get(kind)?.theirs.push(theirs);
    });
  }
  return [...samples].flatMap(([{ action, route, target }, { ours, theirs }]) => {
    const name = `${action === "put" ? "put --whole" : "get"}, ${route}, 256 MiB, n=5 t=3`;
    const rate = (of: readonly Sample[]) => LENGTH_BYTES / MIB / median(of.map(({ seconds }) => seconds));
    const perCpu = (of: readonly Sample[]) => LENGTH_BYTES / MIB / median(of.map((sample) => sample.cpuSeconds));
    return [
      ratioRow(`${name}, against forwarding only`, "MiB/s", rate(ours), rate(theirs), target),
      ratioRow(`${name}, by CPU time of all processes`, "MiB per CPU second", perCpu(ours), perCpu(theirs), null),
    ];
  });
}

async function measureRound(
  testnet: MeasuredTestnet,
  lengthBytes: number,
  report: (kind: Kind, ours: Sample, theirs: Sample) => void,
): Promise<void> {
  const file = await testnet.file(lengthBytes);
  let token = "";
  for (const kind of KINDS) {
    const { action, route } = kind;
    const theirs = await measure(testnet, { action: `forward-${action}`, route, lengthBytes });
    const ours = await measure(testnet, { action, route, lengthBytes, file, token });
    if (ours.token !== undefined) token = ours.token;
    report(kind, ours, theirs);
  }
  await testnet.discardBodies();
}

async function measure(testnet: MeasuredTestnet, task: TransferTask): Promise<Sample & { readonly token?: string }> {
  const before = allCpuSeconds(testnet);
  const result = await testnet.run(task);
  return { ...result, cpuSeconds: allCpuSeconds(testnet) - before };
}

function allCpuSeconds({ pids }: MeasuredTestnet): number {
  return [...pids.values()].reduce((sum, pid) => sum + cpuSeconds(pid), 0);
}

const told = (sample: Sample) => `${sample.seconds.toFixed(2)} s, ${sample.cpuSeconds.toFixed(1)} CPU s`;
