/** The frame around a daemon: start, wait for a signal, stop, and say with an exit code how that went. */
import { EXIT, type ExitCode } from "./exit-codes.ts";
import type { Lifecycle } from "./lifecycle.ts";
import type { Log } from "./log.ts";

/** The part of `process` that is used, so that a test can stand in for it. */
export interface ProcessEvents {
  on(event: string, listener: (value: unknown) => void): unknown;
  off(event: string, listener: (value: unknown) => void): unknown;
  exit(code: number): unknown;
}

/**
 * SIGTERM and SIGINT stop it in order, also while it is still starting; a second one ends the process at once. An error that
 * nobody caught ends the process with code 1: its state is unknown, and what is on disk is safe against that.
 * @returns the exit code; the caller ends the process with it, so that nothing left open holds it up.
 * @throws what `lifecycle.start` throws.
 */
export async function runUntilSignal(
  lifecycle: Lifecycle,
  log: Log,
  events: ProcessEvents = process,
): Promise<ExitCode> {
  const asked = Promise.withResolvers<void>();
  let signals = 0;
  const onSignal = (signal: unknown) => {
    signals += 1;
    if (signals > 1) return events.exit(EXIT.failure);
    log.info("stopping", { signal });
    return asked.resolve();
  };
  const onCrash = (error: unknown) => {
    log.error("crashed", { error: error instanceof Error ? error : new Error(String(error)) });
    events.exit(EXIT.failure);
  };
  const listeners = [
    ["SIGTERM", onSignal],
    ["SIGINT", onSignal],
    ["uncaughtException", onCrash],
    ["unhandledRejection", onCrash],
  ] as const;
  for (const [event, listener] of listeners) events.on(event, listener);
  try {
    const starting = lifecycle.start();
    // After a signal during the start, `stop` waits for the step under way and deals with its failure.
    starting.catch(() => undefined);
    await Promise.race([starting, asked.promise]);
    await asked.promise;
    const failures = await lifecycle.stop();
    for (const { step, error } of failures) log.error("step-not-stopped", { step, error });
    log.info("stopped");
    return failures.length === 0 ? EXIT.done : EXIT.failure;
  } finally {
    for (const [event, listener] of listeners) events.off(event, listener);
  }
}
