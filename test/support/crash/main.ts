/** `scripts/crash-points`: all crashes of the operations that are named, or of all. */
import { parseArgs } from "node:util";
import { ALL, type Operation } from "./operations.ts";
import {
  type Bench,
  type Crash,
  crashesOf,
  createBench,
  describeCrash,
  newSeed,
  problemsOfCrash,
  reportOf,
  sample,
} from "./run.ts";

const USAGE = `usage: scripts/crash-points [--operation NAME] [--sample N] [--seed S] [--part K/N] [--crash TEXT] [--list]

  --operation NAME   this operation only; all without it
  --sample N         only every Nth crash or so, chosen by the seed
  --seed S           of the sample; a new one without it
  --part K/N         the Kth of N equal parts of the work, to share it among processes
  --crash TEXT       this crash only, in the words in which a run tells of it; needs --operation
  --list             what operations there are
`;

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  const options = read(args);
  if (options === undefined) {
    process.stderr.write(USAGE);
    return 2;
  }
  if (options.list) {
    process.stdout.write(ALL.map(({ name }) => `${name}\n`).join(""));
    return 0;
  }
  const operations = ALL.filter(({ name }) => options.operation === undefined || name === options.operation);
  if (operations.length === 0) {
    process.stderr.write(`there is no operation "${options.operation}"; --list names them all\n`);
    return 2;
  }
  process.stderr.write(`seed ${options.seed}\n`);
  let found = 0;
  for (const operation of operations) found += await runOperation(operation, options);
  process.stderr.write(found === 0 ? "nothing is wrong\n" : `${found} crashes leave something wrong\n`);
  return found === 0 ? 0 : 1;
}

interface Options {
  readonly operation: string | undefined;
  readonly every: number;
  readonly seed: number;
  readonly part: { readonly nth: number; readonly of: number };
  readonly crash: string | undefined;
  readonly list: boolean;
}

function read(args: readonly string[]): Options | undefined {
  try {
    const text = { type: "string" } as const;
    const { values } = parseArgs({
      args: [...args],
      options: { operation: text, sample: text, seed: text, part: text, crash: text, list: { type: "boolean" } },
    });
    const [nth, of] = (values.part ?? "1/1").split("/").map(count);
    const seed = values.seed === undefined ? newSeed() : Number(values.seed);
    if (nth === undefined || of === undefined || nth > of || !Number.isSafeInteger(seed)) return undefined;
    if (values.crash !== undefined && values.operation === undefined) return undefined;
    const { operation, crash, list } = values;
    return { operation, every: count(values.sample ?? "1"), seed, part: { nth, of }, crash, list: list === true };
  } catch {
    return undefined;
  }
}

function count(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new Error("not a number from 1 on");
  return value;
}

/** @returns how many crashes left something wrong. */
async function runOperation(operation: Operation, options: Options): Promise<number> {
  const bench = await createBench(operation);
  const crashes = chosen(bench, options);
  const startMs = performance.now();
  let found = 0;
  if (options.crash === undefined) found += await runCrash(bench, undefined);
  else if (crashes.length === 0) {
    process.stderr.write(`${operation.name} has no such crash; its points change with the code\n`);
    return 1;
  }
  for (const crash of crashes) found += await runCrash(bench, crash);
  const seconds = ((performance.now() - startMs) / 1000).toFixed(0);
  process.stderr.write(`${operation.name}: ${crashes.length} crashes, ${found} of them wrong (${seconds} s)\n`);
  return found;
}

function chosen(bench: Bench, { every, seed, part, crash }: Options): Crash[] {
  const all = crashesOf(bench);
  if (crash !== undefined) return all.filter((each) => describeCrash(each) === crash);
  const some = every === 1 ? all : sample(all, Math.ceil(all.length / every), seed);
  return some.filter((_, i) => i % part.of === part.nth - 1);
}

async function runCrash(bench: Bench, crash: Crash | undefined): Promise<number> {
  const problems = await problemsOfCrash(bench, crash);
  if (problems.length === 0) return 0;
  process.stdout.write(`${reportOf(bench.operation, crash)}\n${problems.map((each) => `  ${each}\n`).join("")}`);
  return 1;
}
