/**
 * Starting and stopping a daemon: a list of named steps, started in order, stopped in reverse. Stopping ends within a total
 * time whatever hangs, and every step gets its turn: each may take an equal part of the time that is left.
 */
export interface Step {
  readonly name: string;
  start(): Promise<void>;
  stop(): Promise<void>;
}

export interface StopFailure {
  readonly step: string;
  readonly error: unknown;
}

export interface Lifecycle {
  /** When a step fails, those before it are stopped and its error is thrown. */
  start(): Promise<void>;
  /** Never throws: what did not stop, or not in time, is in the result. A start under way does not go on. */
  stop(): Promise<readonly StopFailure[]>;
}

/** Leaves a second of the five that a supervisor may wait for the process to end (DESIGN section 10). */
const TOTAL_STOP_MS = 4_000;

export function createLifecycle(steps: readonly Step[], totalStopMs: number = TOTAL_STOP_MS): Lifecycle {
  /** Steps whose start was called, with its outcome. */
  const entered: { readonly step: Step; readonly started: Promise<void> }[] = [];
  let stopping: Promise<readonly StopFailure[]> | undefined;

  const stopAll = async () => {
    const failures: StopFailure[] = [];
    const endsAtMs = performance.now() + totalStopMs;
    const stack = [...entered].reverse();
    for (const [index, { step, started }] of stack.entries()) {
      const partMs = Math.max(0, endsAtMs - performance.now()) / (stack.length - index);
      try {
        await withDeadline(stopAfterStart(step, started), partMs);
      } catch (error) {
        failures.push({ step: step.name, error });
      }
    }
    return failures;
  };

  const stop = () => {
    stopping ??= stopAll();
    return stopping;
  };

  return {
    async start() {
      for (const step of steps) {
        if (stopping !== undefined) return;
        const started = (async () => step.start())();
        entered.push({ step, started });
        try {
          await started;
        } catch (error) {
          await stop();
          throw error;
        }
      }
    },
    stop,
  };
}

/** A step that is still starting is stopped when it has started; one that failed to start has nothing to stop. */
async function stopAfterStart(step: Step, started: Promise<void>): Promise<void> {
  const isRunning = await started.then(
    () => true,
    () => false,
  );
  if (isRunning) await step.stop();
}

async function withDeadline(work: Promise<void>, timeoutMs: number): Promise<void> {
  const expired = Promise.withResolvers<never>();
  const timer = setTimeout(() => expired.reject(new Error(`not stopped after ${Math.round(timeoutMs)} ms`)), timeoutMs);
  try {
    await Promise.race([work, expired.promise]);
  } finally {
    clearTimeout(timer);
    // If it fails later, there is nobody left to tell.
    work.catch(() => undefined);
  }
}
