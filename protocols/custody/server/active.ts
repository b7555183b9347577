/**
 * Deposits whose bytes are passing right now, on their way in or out. Each step runs once: a step that failed has burnt the
 * deal, and one that runs cannot be started a second time beside itself.
 */
import { hexOf } from "../../dealing/held-deal.ts";
import { IntercloudError } from "../../wire/errors.ts";

export interface ActiveDeposits {
  /** Runs `action`; its signal fires when the step is stopped. @throws IntercloudError ALREADY_RUNNING. */
  run<T>(
    tokenId: Uint8Array,
    step: string,
    outer: AbortSignal,
    action: (signal: AbortSignal) => Promise<T>,
  ): Promise<T>;
  /**
   * Ends the steps of the deposit whose names begin with `steps`, all by default, and waits until they have ended. Whoever takes
   * part in them is told the status of `reason`.
   */
  stop(tokenId: Uint8Array, reason: IntercloudError, steps?: string): Promise<void>;
}

export function createActiveDeposits(): ActiveDeposits {
  const running = new Map<string, { readonly controller: AbortController; readonly done: Promise<unknown> }>();
  return {
    async run(tokenId, step, outer, action) {
      const key = `${hexOf(tokenId)} ${step}`;
      if (running.has(key)) {
        throw new IntercloudError("ALREADY_RUNNING", "conflict", "this step of the deposit is under way already");
      }
      const controller = new AbortController();
      const done = action(AbortSignal.any([outer, controller.signal]));
      running.set(key, { controller, done });
      try {
        return await done;
      } finally {
        running.delete(key);
      }
    },
    async stop(tokenId, reason, steps = "") {
      const stopped = [...running].filter(([key]) => key.startsWith(`${hexOf(tokenId)} ${steps}`));
      for (const [, step] of stopped) step.controller.abort(reason);
      await Promise.allSettled(stopped.map(([, step]) => step.done));
    },
  };
}
