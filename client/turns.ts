/**
 * How many short operations of one client are under way at once. More would not be done sooner: all of them would take longer, until the
 * first ones are given up after the work was done. The others wait in line, first come, first served. Past what the line holds, and
 * after a while in it, they are refused before anybody was asked: whoever wants more than can be done hears it while that is still of use.
 *
 * When providers say that they are busy, others ask them as well. Then fewer are under way at once, and slowly more again.
 */
import { isBusy } from "../protocols/custody/client/hedges.ts";
import type { Clock } from "../protocols/wire/clock.ts";
import { IntercloudError } from "../protocols/wire/errors.ts";

export interface TurnLimits {
  readonly atOnce: number;
  /** Some seconds of work. */
  readonly maxWaiting: number;
  /** A person, and most programs, would rather hear that it takes long than wait longer. */
  readonly maxWaitMs: number;
}

const LINE = { maxWaiting: 256, maxWaitMs: 5_000 };
/** Five providers on machines of their own have enough to do with half of that, at round trips of 300 ms too. */
export const RETRIEVAL_TURNS: TurnLimits = { atOnce: 64, ...LINE };
/** All providers work for each deposit, and several times as much as for a retrieval. */
export const DEPOSIT_TURNS: TurnLimits = { atOnce: 32, ...LINE };

/** By then some of those in line are done. */
const RETRY_AFTER_MS = 1_000;
/** So much of what was under way at once is left after a busy answer. */
const LESS = 0.7;
/** What was under way when the first of them was busy says the same; it takes about so long to end. */
const LESS_INTERVAL_MS = 500;

export interface Turns {
  /** Runs `action` when it is its turn. @throws IntercloudError BUSY; CANCELLED when `signal` fires first; what `action` throws. */
  run<T>(signal: AbortSignal, action: () => Promise<T>): Promise<T>;
}

export function createTurns(clock: Clock, limits: TurnLimits): Turns {
  const line = new Set<() => void>();
  let running = 0;
  let atOnce = limits.atOnce;
  let lessAtMs = Number.NEGATIVE_INFINITY;

  /** Resolves when whoever made room has counted it. */
  async function waitInLine(signal: AbortSignal): Promise<void> {
    if (line.size >= limits.maxWaiting) throw tooMany();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const leave = (error: IntercloudError) => {
      line.delete(resolve);
      reject(error);
    };
    const onAbort = () =>
      leave(new IntercloudError("CANCELLED", "cancelled", "cancelled while it waited for others", {}, signal.reason));
    line.add(resolve);
    signal.addEventListener("abort", onAbort, { once: true });
    const cancelTimer = clock.after(limits.maxWaitMs, () => leave(tooMany()));
    try {
      await promise;
    } finally {
      cancelTimer();
      signal.removeEventListener("abort", onAbort);
    }
  }

  function startNext(): void {
    for (const start of line) {
      if (running >= Math.floor(atOnce)) return;
      line.delete(start);
      running += 1;
      start();
    }
  }

  function learnFrom(error: unknown): void {
    const nowMs = clock.nowMs();
    if (!isBusy(error) || nowMs - lessAtMs < LESS_INTERVAL_MS) return;
    lessAtMs = nowMs;
    atOnce = Math.max(1, atOnce * LESS);
  }

  return {
    async run(signal, action) {
      signal.throwIfAborted();
      if (line.size === 0 && running < Math.floor(atOnce)) running += 1;
      else await waitInLine(signal);
      try {
        const result = await action();
        // one more for each time that all of them have ended well
        atOnce = Math.min(limits.atOnce, atOnce + 1 / atOnce);
        return result;
      } catch (error) {
        learnFrom(error);
        throw error;
      } finally {
        running -= 1;
        startNext();
      }
    },
  };
}

function tooMany(): IntercloudError {
  const message =
    "more is asked of this client at once than the providers do in a few seconds; " +
    "start fewer at a time, and deposit many messages as a batch";
  return new IntercloudError("BUSY", "busy", message, { retryAfterMs: RETRY_AFTER_MS });
}
