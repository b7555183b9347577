/** A clock that stands still until a test moves it. */
import type { Clock } from "../../protocols/wire/clock.ts";

export interface ManualClock extends Clock {
  /** Moves time forward and runs what falls due, in order of time; lets pending promises settle in between. */
  advance(byMs: number): Promise<void>;
  /** Moves time forward to the timer that falls due next and runs it. @returns false when none is armed. */
  step(): boolean;
  /** How many timers are armed: a test asserts that nothing is left behind. */
  pending(): number;
}

interface Timer {
  readonly atMs: number;
  readonly order: number;
  readonly action: () => void;
}

export function createManualClock(startMs = 1_700_000_000_000): ManualClock {
  let nowMs = startMs;
  let order = 0;
  const timers = new Set<Timer>();

  function nextDue(untilMs: number): Timer | undefined {
    let first: Timer | undefined;
    for (const timer of timers) {
      if (timer.atMs > untilMs) continue;
      if (!first || timer.atMs < first.atMs || (timer.atMs === first.atMs && timer.order < first.order)) first = timer;
    }
    return first;
  }

  return {
    nowMs: () => nowMs,
    after(delayMs, action) {
      const timer = { atMs: nowMs + Math.max(0, delayMs), order: order++, action };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
    step() {
      const timer = nextDue(Number.POSITIVE_INFINITY);
      if (timer === undefined) return false;
      timers.delete(timer);
      nowMs = Math.max(nowMs, timer.atMs);
      timer.action();
      return true;
    },
    async advance(byMs) {
      const untilMs = nowMs + byMs;
      await settle();
      for (let timer = nextDue(untilMs); timer; timer = nextDue(untilMs)) {
        timers.delete(timer);
        nowMs = timer.atMs;
        timer.action();
        await settle();
      }
      nowMs = untilMs;
    },
    pending: () => timers.size,
  };
}

/** Several turns of the event loop: enough for chains of promises that wait for nothing from outside. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 8; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
