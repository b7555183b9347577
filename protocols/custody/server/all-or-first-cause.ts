import { IntercloudError } from "../../wire/errors.ts";

/** Waits for all; throws what failed first by itself, not what was stopped because of it. */
export async function allOrFirstCause(tasks: readonly Promise<unknown>[]): Promise<void> {
  const failures: unknown[] = [];
  await Promise.all(tasks.map((task) => task.catch((error) => void failures.push(error))));
  if (failures.length === 0) return;
  throw failures.find((error) => !(error instanceof IntercloudError && error.code === "STOPPED")) ?? failures[0];
}
