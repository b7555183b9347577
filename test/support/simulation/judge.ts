/** Runs a plan and says what is wrong with what happened. */
import { checkHistory, type Violation } from "../../../testnet/checker/check.ts";
import { isCalm, SETTLE_MS } from "../../../testnet/checker/faults.ts";
import type { History, LieTold } from "../../../testnet/checker/history.ts";
import { ATTRIBUTABLE, partsOfLie } from "./lies.ts";
import type { Plan } from "./plan.ts";
import { type Run, runPlan } from "./run.ts";

/** A liar that says again and again that more is to come can hold up a refresh or move for the ten minutes that it has. */
const OPERATION_LIMIT_MS = 15 * 60_000;

interface Judged {
  readonly run: Run;
  readonly violations: readonly Violation[];
}

export async function judge(plan: Plan): Promise<Judged> {
  const run = await runPlan({ plan, partsOf: partsOfLie });
  const bugs = run.bugs.map((text): Violation => ({ invariant: "no-bugs", text, operations: [] }));
  const history = { ...run.history, lies: run.history.lies.filter((lie) => isHeard(run.history, lie)) };
  return {
    run,
    violations: [
      ...bugs,
      ...checkHistory(history, run.finals, { attributable: ATTRIBUTABLE, operationLimitMs: OPERATION_LIMIT_MS }),
    ],
  };
}

/** An answer that came too late, or in a round that somebody else broke off, is in no sum, and nobody looks at it. */
function isHeard(history: History, { operation: id }: LieTold): boolean {
  if (id === undefined) return true;
  const { startMs, endMs = Number.POSITIVE_INFINITY } = history.operations[id]!;
  const liars = history.faults.filter(({ kind }) => kind === "liar");
  return liars.length === 1 && isCalm(history, startMs - SETTLE_MS, endMs);
}
