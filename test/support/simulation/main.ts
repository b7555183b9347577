/** `scripts/chaos`: many simulations, and the smallest plan of one that goes wrong; or all mutants, each of which has to be found out. */
import { randomInt } from "node:crypto";
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import type { Violation } from "../../../testnet/checker/check.ts";
import { judge } from "./judge.ts";
import { newPlan } from "./lies.ts";
import { MUTANTS } from "./mutants/mutants.ts";
import { shrink, without } from "./pieces.ts";
import type { Plan } from "./plan.ts";
import { simulateAll } from "./pool.ts";
import { ENOUGH_SEEDS, unseen } from "./sometimes.ts";
import { replayCommand, tellHistory, tellPlan } from "./tell.ts";

const USAGE = `usage: scripts/chaos [--seeds N] [--from S] [--jobs J]
       scripts/chaos --seed S [--without PIECES]
       scripts/chaos --mutants [--mutant NAME] [--seeds N] [--from S] [--jobs J]

  --seeds N          how many simulations, 200 without it; of each mutant, how many at most until it is found out, 2000 without it
  --from S           the first seed; a random one without it, which is printed
  --jobs J           in how many processes; one for each core without it
  --seed S           this simulation only, with all that happens in it
  --without PIECES   leaves out faults (f1), deposits (a) and steps (a.2) of its plan
  --mutants          runs mistakes in our own code, or in a disk, on purpose: each has to be found out
  --mutant NAME      this one only
`;

interface Options {
  readonly seeds: number;
  readonly from: number;
  readonly jobs: number;
  readonly seed: number | undefined;
  readonly without: ReadonlySet<string>;
  readonly mutants: readonly string[];
}

const DEFAULT_SEEDS = 200;
const DEFAULT_MUTANT_SEEDS = 2_000;
/** Of the failures of a run, so many are made smaller. */
const MOST_SHRUNK = 3;

// Whoever reads what we say may have seen enough.
process.stdout.on("error", () => process.exit(1));
process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  const options = read(args);
  if (options === undefined) {
    process.stderr.write(USAGE);
    return 2;
  }
  if (options.mutants.length > 0) return await findOut(options);
  if (options.seed !== undefined) return await one(options.seed, options.without);
  return await many(options);
}

function read(args: readonly string[]): Options | undefined {
  try {
    const text = { type: "string" } as const;
    const flag = { type: "boolean" } as const;
    const { values } = parseArgs({
      args: [...args],
      options: { seeds: text, from: text, jobs: text, seed: text, without: text, mutants: flag, mutant: text },
    });
    const number = (value: string | undefined, otherwise: number, least: number) => {
      const read = value === undefined ? otherwise : Number(value);
      if (!Number.isSafeInteger(read) || read < least) throw new Error("not such a number");
      return read;
    };
    if (values.without !== undefined && values.seed === undefined) return undefined;
    const names = MUTANTS.map(({ name }) => name);
    if (values.mutant !== undefined && !names.includes(values.mutant)) return undefined;
    const mutants = values.mutant !== undefined ? [values.mutant] : values.mutants === true ? names : [];
    return {
      seeds: number(values.seeds, mutants.length > 0 ? DEFAULT_MUTANT_SEEDS : DEFAULT_SEEDS, 1),
      from: number(values.from, randomInt(2 ** 31), 0),
      jobs: number(values.jobs, availableParallelism(), 1),
      seed: values.seed === undefined ? undefined : number(values.seed, 0, 0),
      without: new Set(values.without?.split(",").filter((piece) => piece !== "")),
      mutants,
    };
  } catch {
    return undefined;
  }
}

/** One simulation, told in full. */
async function one(seed: number, left: ReadonlySet<string>): Promise<number> {
  const plan = newPlan(seed);
  const { run, violations } = await judge(without(plan, left));
  say([...tellPlan(plan, left), "", ...tellHistory(run.history), "", ...violations.map(tellViolation)]);
  say([violations.length === 0 ? "nothing is wrong" : `${violations.length} things are wrong`]);
  return violations.length === 0 ? 0 : 1;
}

async function many({ seeds, from, jobs }: Options): Promise<number> {
  const begunAtMs = performance.now();
  process.stderr.write(`${seeds} simulations from seed ${from} on\n`);
  const seen = new Map<string, number>();
  const failed = new Map<number, readonly Violation[]>();
  await simulateAll({
    ...{ from, seeds, jobs },
    onResult(result) {
      for (const what of result.seen) seen.set(what, (seen.get(what) ?? 0) + 1);
      if (result.violations.length > 0) failed.set(result.seed, result.violations);
      return true;
    },
  });
  const seconds = ((performance.now() - begunAtMs) / 1000).toFixed(0);
  const missing = seeds >= ENOUGH_SEEDS ? unseen(seen) : [];
  for (const [seed, violations] of [...failed].slice(0, MOST_SHRUNK)) await report(seed, violations);
  for (const [seed] of [...failed].slice(MOST_SHRUNK)) say([replayCommand(newPlan(seed), new Set())]);
  if (missing.length > 0)
    say(["never happened, so that nothing is known about it:", ...missing.map((each) => `  ${each}`)]);
  process.stderr.write(`${seeds} simulations in ${seconds} s: ${failed.size} went wrong\n`);
  return failed.size === 0 && missing.length === 0 ? 0 : 1;
}

/** The smallest plan that goes wrong in the same way, and how to run it again. */
async function report(seed: number, violations: readonly Violation[]): Promise<void> {
  const plan = newPlan(seed);
  const invariant = violations[0]?.invariant;
  const fails = async (smaller: Plan) => (await judge(smaller)).violations.some((each) => each.invariant === invariant);
  const left = await shrink(plan, fails);
  const { run, violations: remaining } = await judge(without(plan, left));
  const lines = [...tellPlan(plan, left), ...tellHistory(run.history), ...remaining.map(tellViolation)];
  say([`seed ${seed} breaks ${invariant}:`, ...lines.map((line) => `  ${line}`), `  ${replayCommand(plan, left)}`, ""]);
}

/** Runs each mutant until an invariant breaks. */
async function findOut({ seeds, from, jobs, mutants }: Options): Promise<number> {
  process.stderr.write(`from seed ${from} on\n`);
  let survivors = 0;
  for (const mutant of mutants) {
    let tried = 0;
    let caughtBy: string | undefined;
    await simulateAll({
      ...{ from, seeds, jobs, mutant },
      onResult({ violations }) {
        tried += 1;
        caughtBy = violations[0]?.invariant;
        return caughtBy === undefined;
      },
    });
    if (caughtBy === undefined) survivors += 1;
    say([`${mutant}: ${caughtBy === undefined ? `survived ${tried} simulations` : `${caughtBy}, after ${tried}`}`]);
  }
  return survivors === 0 ? 0 : 1;
}

function tellViolation({ invariant, text, operations }: Violation): string {
  return `${invariant}: ${text}${operations.length > 0 ? ` (${operations.map((id) => `#${id}`).join(", ")})` : ""}`;
}

function say(lines: readonly string[]): void {
  process.stdout.write(lines.map((line) => `${line}\n`).join(""));
}
