/** Simulations shared among processes. Each process is this file again, run with `--worker`. */
import { fork } from "node:child_process";
import type { Violation } from "../../../testnet/checker/check.ts";
import { judge } from "./judge.ts";
import { newPlan } from "./lies.ts";
import { MUTANT_VARIABLE } from "./mutants/mutants.ts";

export interface Result {
  readonly seed: number;
  readonly seen: readonly string[];
  readonly violations: readonly Violation[];
  /** Of all that happened. */
  readonly digest: string;
}

export interface PoolOptions {
  readonly from: number;
  readonly seeds: number;
  readonly jobs: number;
  /** The name of a mutant that takes part in all of them. */
  readonly mutant?: string;
  /** @returns whether to go on. */
  readonly onResult: (result: Result) => boolean;
}

type Message = Result | { readonly done: true };

/** @throws Error when a process dies. */
export async function simulateAll({ from, seeds, jobs, mutant, onResult }: PoolOptions): Promise<void> {
  const stopped = new AbortController();
  const count = Math.min(jobs, seeds);
  const workers = Array.from({ length: count }, (_, i) => {
    const args = ["--worker", `${from + i}`, `${from + seeds}`, `${count}`];
    return startWorker(args, mutant, stopped.signal, (result) => {
      if (!stopped.signal.aborted && !onResult(result)) stopped.abort();
    });
  });
  await Promise.all(workers);
}

function startWorker(
  args: readonly string[],
  mutant: string | undefined,
  stopped: AbortSignal,
  onResult: (result: Result) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const patched = new URL("./mutants/patched.ts", import.meta.url).href;
    const worker = fork(new URL("./pool.ts", import.meta.url), args, {
      execArgv: [...process.execArgv, ...(mutant === undefined ? [] : ["--import", patched])],
      env: { ...process.env, ...(mutant !== undefined && { [MUTANT_VARIABLE]: mutant }) },
    });
    let isDone = false;
    const stop = () => void worker.kill("SIGKILL");
    stopped.addEventListener("abort", stop, { once: true });
    worker.on("message", (message: Message) => {
      if ("done" in message) isDone = true;
      else onResult(message);
    });
    worker.on("exit", (code) => {
      stopped.removeEventListener("abort", stop);
      if (isDone || stopped.aborted) resolve();
      else reject(new Error(`a process of simulations ended with ${code}`));
    });
  });
}

async function work(from: number, until: number, step: number): Promise<void> {
  for (let seed = from; seed < until; seed += step) {
    const { run, violations } = await judge(newPlan(seed));
    process.send?.({ seed, seen: run.seen, violations, digest: run.digest } satisfies Message);
  }
  process.send?.({ done: true } satisfies Message);
}

const [mode, ...numbers] = process.argv.slice(2);
if (import.meta.main && mode === "--worker") {
  const [from = 0, until = 0, step = 1] = numbers.map(Number);
  await work(from, until, step);
  process.disconnect?.();
}
