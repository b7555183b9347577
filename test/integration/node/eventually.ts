import { setTimeout as sleep } from "node:timers/promises";

/** Waits until `condition` holds. @throws when it does not within the deadline, and says what did not happen. */
export async function eventually(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 20_000,
): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > deadlineMs) throw new Error(`did not happen within ${timeoutMs} ms: ${what}`);
    await sleep(50);
  }
}
