/** A time that moves only when nobody has anything to do: what waits for minutes takes no time, and what waits for ever is found out. */
import { createManualClock, type ManualClock } from "./manual-clock.ts";

export interface VirtualTime {
  readonly clock: ManualClock;
  /** To be called when something happens, such as a message: as long as it is, time stands still. */
  readonly onActivity: () => void;
  /** Runs it to its end. @throws Error when it hangs, or takes longer than `limitMs` of this time. */
  run<T>(action: () => Promise<T>, limitMs: number): Promise<T>;
  /** Lets time pass, with all that falls due in it. */
  pass(byMs: number): Promise<void>;
}

/** Turns of the event loop in which nothing happens: then everybody waits for the time. */
const QUIET_TURNS = 30;
/** Far more than any operation takes. */
const MOST_TURNS = 100_000;

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

export function createVirtualTime(): VirtualTime {
  const clock = createManualClock();
  let activity = 0;
  const onActivity = () => {
    activity += 1;
  };

  async function quiet(isOver: () => boolean): Promise<void> {
    let all = 0;
    for (let turns = 0, seen = activity; turns < QUIET_TURNS && !isOver(); turns += 1) {
      await turn();
      all += 1;
      if (all > MOST_TURNS) throw new Error("it goes on for ever without time passing");
      if (activity === seen) continue;
      seen = activity;
      turns = 0;
    }
  }

  return {
    clock,
    onActivity,
    async run(action, limitMs) {
      let isOver = false;
      const untilMs = clock.nowMs() + limitMs;
      const running = action().finally(() => {
        isOver = true;
      });
      running.catch(() => {}); // it is waited for below, unless it hangs
      for (;;) {
        await quiet(() => isOver);
        if (isOver) return await running;
        if (!clock.step()) throw new Error("it hangs: nobody does anything, and nobody waits for the time");
        if (clock.nowMs() > untilMs) throw new Error(`it takes longer than ${limitMs} ms`);
      }
    },
    async pass(byMs) {
      const untilMs = clock.nowMs() + byMs;
      const disarm = clock.after(byMs, () => {});
      while (clock.nowMs() < untilMs && clock.step()) await quiet(() => false);
      disarm();
    },
  };
}
