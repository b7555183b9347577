/** One run of a plan: the same each time, to the last byte. */
import { createHash } from "node:crypto";
// What is loaded when it is first needed takes real time, in which nothing seems to happen.
import "../../../protocols/custody/client/find-liar.ts";
import "../../../protocols/custody/client/find-lot-liar.ts";
import "../../../protocols/dealing/lot/request-lot.ts";
import "../../../protocols/dealing/self-deal.ts";
import { CHANGE_LIFETIME_MS } from "../../../protocols/custody/constants.ts";
import { DEAL_LIFETIME_MS } from "../../../protocols/dealing/index.ts";
import { CLOCK_SKEW_MS } from "../../../protocols/identity/index.ts";
import type { Finals, GivenPart, History, LieTold } from "../../../testnet/checker/history.ts";
import type { LiarTools } from "../../../testnet/liars/index.ts";
import { createFaults, type Faults } from "./faults.ts";
import { finalsOf } from "./finals.ts";
import type { Plan } from "./plan.ts";
import { createRandom } from "./random.ts";
import { createWorkload } from "./workload.ts";
import { createSimulatedWorld, type Parts, type SimulatedWorld } from "./world.ts";

export interface RunOptions {
  readonly plan: Plan;
  readonly partsOf: (lie: string, tools: LiarTools) => Parts;
}

export interface Run {
  readonly history: History;
  readonly finals: Finals;
  /** What went wrong inside of the code: bugs, each with its stack. */
  readonly bugs: readonly string[];
  /** Names of things that happened, to see after many runs that everything did. */
  readonly seen: readonly string[];
  /** Of everything that happened: two runs of one plan have the same. */
  readonly digest: string;
}

/** In the time of the simulation. */
const LIMIT_MS = 60 * 60_000;
const SETTLE_MS = 2 * 60_000;
const SWEEPS = 3;

export async function runPlan({ plan, partsOf }: RunOptions): Promise<Run> {
  const { seed } = plan;
  const seen = new Set<string>();
  const parts: GivenPart[] = [];
  let faults: Faults | undefined;
  const world = await createSimulatedWorld({
    ...{ seed, providers: plan.providers },
    onEvent: (_, { kind }) => seen.add(`event ${kind}`),
    onPart(peer, bytes) {
      const digest = createHash("sha256").update(bytes).digest("hex");
      parts.push({ peer, lengthBytes: bytes.length, digest });
    },
    onWrite: (i, when) => faults?.onWrite(i, when),
  });
  const { time } = world;
  const workload = createWorkload(world, (label) => createRandom(seed, label));
  const lies: LieTold[] = [];
  faults = createFaults({
    ...{ seed, world, workload, planned: plan.faults, partsOf },
    onLie: (lie) => lies.push(lie),
    onFault: ({ kind, lie }, isWhileBusy) => seen.add(`${lie ?? kind} ${isWhileBusy ? "while busy" : "while idle"}`),
  });
  const bugs: string[] = [];
  let calmFromMs = time.nowMs();
  try {
    faults.schedule();
    await allEnd(world, [...plan.stories.map((story) => workload.play(story)), passed(world, lastOf(plan))]);
    await allEnd(world, [faults.endAll()]);
    calmFromMs = time.nowMs();
    await rest(world);
    await allEnd(
      world,
      plan.stories.map((story) => workload.readLast(story)),
    );
  } catch (error) {
    bugs.push(stackOf(error));
  }
  const finals = await finalsOf(world, workload.tokens);
  const history: History = {
    ...{ operations: workload.operations, faults: faults.happened, lies, parts, calmFromMs, endMs: time.nowMs() },
  };
  bugs.push(...world.faults.map(stackOf));
  world.stop();
  for (const { events } of finals.stores) for (const { kind } of events) seen.add(`logged ${kind}`);
  for (const { lie } of lies) seen.add(`told ${lie.replace(/ .*/, "")}`);
  for (const { kind, outcome } of history.operations) {
    seen.add(`${kind} ${outcome?.ended === "failed" ? outcome.code : outcome?.ended}`);
  }
  const digest = createHash("sha256").update(JSON.stringify({ history, finals })).digest("hex");
  return { history, finals, bugs, seen: [...seen], digest };
}

/** When the last fault has begun and ended. */
function lastOf({ faults }: Plan): number {
  return Math.max(0, ...faults.map(({ fromMs, untilMs }) => Math.max(fromMs, untilMs ?? 0))) + 1;
}

function passed({ time }: SimulatedWorld, delayMs: number): Promise<void> {
  return new Promise((resolve) => void time.after(delayMs, resolve));
}

async function allEnd({ time }: SimulatedWorld, actions: readonly Promise<void>[]): Promise<void> {
  let isOver = false;
  let failure: { readonly error: unknown } | undefined;
  Promise.all(actions).then(
    () => {
      isOver = true;
    },
    (error: unknown) => {
      failure = { error };
      isOver = true;
    },
  );
  await time.run(() => isOver, LIMIT_MS);
  if (failure !== undefined) throw failure.error;
}

/** Everybody is up; what was left half done comes to its end, and what nobody ended is given up when its time is over. */
async function rest(world: SimulatedWorld): Promise<void> {
  const { time } = world;
  world.rest();
  const sweep = async () => {
    for (let i = 0; i < SWEEPS; i += 1) await allEnd(world, [world.housekeep()]);
  };
  await time.pass(SETTLE_MS);
  await sweep();
  await time.pass(CHANGE_LIFETIME_MS + 4 * CLOCK_SKEW_MS);
  await sweep();
  await time.pass(DEAL_LIFETIME_MS + 4 * CLOCK_SKEW_MS);
  await sweep();
  // At its start a provider looks for what belongs to nothing.
  await allEnd(world, [world.reboot()]);
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
