/**
 * How often a user may ask others as well because those that it asked first are slow. One provider that is slow is done without; when all
 * are slow, because more is asked of them than they can do, asking more makes it worse.
 */
import type { Clock } from "../../wire/clock.ts";
import { IntercloudError } from "../../wire/errors.ts";

/** Of all retrievals, in the long run; those that were of use do not count. */
const SHARE = 0.1;
/** At once, after a rest: a single command must not wait for a provider that hangs. */
const AT_ONCE = 10;
/** After a provider has said that it is busy. */
const REST_MS = 2_000;

export interface Hedges {
  /** A proof is looked for, which a retrieval begins with. */
  earn(): void;
  /** Whether others may be asked as well now; counts it. */
  take(): boolean;
  /** It was of use: others answered, and those that were asked first did not. */
  giveBack(): void;
  /** Somebody answered so: when it is busy, nobody is asked in its place for a while. */
  sawFailure(error: unknown): void;
}

export function createHedges(clock: Clock): Hedges {
  let left = AT_ONCE;
  let restsUntilMs = Number.NEGATIVE_INFINITY;
  const add = (count: number) => {
    left = Math.min(AT_ONCE, left + count);
  };
  return {
    earn: () => add(SHARE),
    take() {
      if (left < 1 || clock.nowMs() < restsUntilMs) return false;
      left -= 1;
      return true;
    },
    giveBack: () => add(1),
    sawFailure(error) {
      if (isBusy(error)) restsUntilMs = clock.nowMs() + REST_MS;
    },
  };
}

export function isBusy(error: unknown): error is IntercloudError {
  return error instanceof IntercloudError && error.status === "busy";
}
