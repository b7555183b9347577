/** The system's clock. The only place where protocol code's time comes from in a real process. */
import type { Clock } from "../protocols/wire/clock.ts";

// setTimeout keeps its delay in 31 bits and fires at once beyond that
const MAX_TIMER_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  after(delayMs, action) {
    let timer: NodeJS.Timeout;
    const arm = (leftMs: number) => {
      timer =
        leftMs <= MAX_TIMER_MS ? setTimeout(action, leftMs) : setTimeout(arm, MAX_TIMER_MS, leftMs - MAX_TIMER_MS);
    };
    arm(delayMs);
    return () => clearTimeout(timer);
  },
};
