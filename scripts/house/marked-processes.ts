/** Finding the processes that a run has started, by a variable that all of them inherited. Needs Linux; finds none elsewhere. */
import { readdirSync, readFileSync } from "node:fs";

export interface MarkedProcess {
  readonly pid: number;
  readonly commandLine: string;
}

/** Every process but this one whose environment has `variable` (`NAME=value`). */
export function processesMarked(variable: string): readonly MarkedProcess[] {
  const pids = readNames("/proc")
    .map(Number)
    .filter((pid) => pid > 0 && pid !== process.pid);
  return pids.flatMap((pid) => {
    const environment = readIfThere(`/proc/${pid}/environ`)?.split("\0") ?? [];
    if (!environment.includes(variable)) return [];
    return [{ pid, commandLine: readIfThere(`/proc/${pid}/cmdline`)?.replaceAll("\0", " ").trim() ?? "" }];
  });
}

/** Kills them; returns those there were. */
export function killMarked(variable: string): readonly MarkedProcess[] {
  const found = processesMarked(variable);
  for (const { pid } of found) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // it ended just now
    }
  }
  return found;
}

/** A file's text, or undefined when it is not there or not ours to read. */
export function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}

function readNames(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
