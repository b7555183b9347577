/**
 * The checker: holds a history and the final stores against the invariants. It knows neither who wrote the history nor what was supposed to
 * happen in it, so it judges all runs alike.
 */
import type { Finals, History } from "./history.ts";
import type { CheckOptions, Invariant, Problem } from "./invariant.ts";
import { acknowledgedIsRetrievable } from "./invariants/acknowledged-is-retrievable.ts";
import { dealUsedOnce } from "./invariants/deal-used-once.ts";
import { destroyedStaysDestroyed } from "./invariants/destroyed-stays-destroyed.ts";
import { everyOperationEnds } from "./invariants/every-operation-ends.ts";
import { liarsAreNamed } from "./invariants/liars-are-named.ts";
import { logsVerify } from "./invariants/logs-verify.ts";
import { noHonestPeerAccused } from "./invariants/no-honest-peer-accused.ts";
import { noPartTwice } from "./invariants/no-part-twice.ts";
import { onlyReadersRead } from "./invariants/only-readers-read.ts";
import { returnedIsWhatWasPut } from "./invariants/returned-is-what-was-put.ts";
import { wholeOrGone } from "./invariants/whole-or-gone.ts";

export interface Violation extends Problem {
  /** Its name. */
  readonly invariant: string;
}

export const INVARIANTS: readonly Invariant[] = [
  acknowledgedIsRetrievable,
  returnedIsWhatWasPut,
  onlyReadersRead,
  noPartTwice,
  destroyedStaysDestroyed,
  dealUsedOnce,
  noHonestPeerAccused,
  liarsAreNamed,
  everyOperationEnds,
  logsVerify,
  wholeOrGone,
];

/** @returns all violations, in the order of the invariants; none when everything is as it should be. */
export function checkHistory(history: History, finals: Finals, options: CheckOptions = {}): Violation[] {
  return INVARIANTS.flatMap(({ name, check }) =>
    check(history, finals, options).map((problem) => ({ invariant: name, ...problem })),
  );
}
