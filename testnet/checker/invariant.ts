/** What an invariant is: something that must be true of every run, and that is checked on its history and the final stores alone. */
import type { Finals, History, Operation } from "./history.ts";

export interface Problem {
  /** In plain words, with the operations, peers and times that it is about. */
  readonly text: string;
  /** Ids of the operations that it is about. */
  readonly operations: readonly number[];
}

export interface CheckOptions {
  /** Lies that cannot but give a reader wrong bytes when they are told in a get, and that can be shown to others. */
  readonly attributable?: readonly string[];
  /** How long an operation may take while nothing is wrong; five minutes by default. */
  readonly operationLimitMs?: number;
}

export interface Invariant {
  readonly name: string;
  /** One plain sentence. */
  readonly about: string;
  check(history: History, finals: Finals, options?: CheckOptions): readonly Problem[];
}

/** `get 12 of deposit-3 by alice (61.500 s to 62.000 s)` */
export function tellOperation({ id, kind, deposit, who, startMs, endMs }: Operation): string {
  const end = endMs === undefined ? "the end" : tellTime(endMs);
  return `${kind} ${id} of ${deposit} by ${who} (${tellTime(startMs)} to ${end})`;
}

export function tellTime(timeMs: number): string {
  return `${(timeMs / 1000).toFixed(3)} s`;
}

export function tellNames(names: Iterable<string>): string {
  const told = [...names];
  return told.length === 0 ? "nobody" : told.join(", ");
}
