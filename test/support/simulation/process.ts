/** One life of a process in a simulation: when it is killed, its time stands still, so that nothing that it was waiting for ever comes. */
import type { Clock } from "../../../protocols/wire/clock.ts";

export interface Process {
  /** Shows the time that this process believes in. */
  readonly clock: Clock;
  readonly isDead: boolean;
  /** As `kill -9`. */
  kill(): void;
}

/** @param offsetMs what is added to the true time just now @param onKill cuts it off from everything else */
export function createProcess(time: Clock, offsetMs: () => number, onKill: () => void): Process {
  const cancels = new Set<() => void>();
  let isDead = false;
  return {
    clock: {
      nowMs: () => time.nowMs() + offsetMs(),
      after(delayMs, action) {
        if (isDead) return () => {};
        const cancel = time.after(delayMs, () => {
          cancels.delete(cancel);
          action();
        });
        cancels.add(cancel);
        return () => {
          cancels.delete(cancel);
          cancel();
        };
      },
    },
    get isDead() {
      return isDead;
    },
    kill() {
      if (isDead) return;
      isDead = true;
      for (const cancel of cancels) cancel();
      cancels.clear();
      onKill();
    },
  };
}
