/**
 * Processes that outlive the program that started them. A pid alone is not enough to signal one safely: after its process
 * has ended the system may give it to another. So a process is named by its pid, its start time and the boot it belongs to.
 */
import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { IntercloudError } from "../protocols/wire/errors.ts";

export interface ProcessId {
  readonly pid: number;
  /** Clock ticks between boot and the start of the process, as /proc writes it. */
  readonly startTicks: string;
  readonly bootId: string;
}

export type ProcessState = "running" | "paused" | "gone";

const POLL_INTERVAL_MS = 20;
const STATE_FIELD = 0;
const START_TICKS_FIELD = 19;

/** The process that has this pid now, or undefined when none has (a zombie counts as none). */
export function identifyProcess(pid: number): ProcessId | undefined {
  const fields = statFields(pid);
  return fields === undefined || isEnded(fields) ? undefined : processId(pid, fields);
}

export function processState(id: ProcessId): ProcessState {
  const fields = statFields(id.pid);
  if (fields === undefined || isEnded(fields)) return "gone";
  const now = processId(id.pid, fields);
  if (now.startTicks !== id.startTicks || now.bootId !== id.bootId) return "gone"; // the pid was given to another process
  return fields[STATE_FIELD] === "T" ? "paused" : "running";
}

/** Sends the signal if that very process still exists; returns whether it did. */
export function signalProcess(id: ProcessId, signal: NodeJS.Signals): boolean {
  if (processState(id) === "gone") return false;
  try {
    return process.kill(id.pid, signal);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ESRCH") return false; // it ended just now
    throw error;
  }
}

/** Waits until all are gone, at most `timeoutMs`; returns those that are still there. */
export async function waitUntilGone(ids: readonly ProcessId[], timeoutMs: number): Promise<readonly ProcessId[]> {
  return await waitUntilEach(ids, (state) => state === "gone", timeoutMs);
}

/** Waits until none is in `state`, at most `timeoutMs`; returns those that still are. */
export async function waitUntilNone(
  ids: readonly ProcessId[],
  state: ProcessState,
  timeoutMs: number,
): Promise<readonly ProcessId[]> {
  return await waitUntilEach(ids, (now) => now !== state, timeoutMs);
}

async function waitUntilEach(
  ids: readonly ProcessId[],
  isDone: (state: ProcessState) => boolean,
  timeoutMs: number,
): Promise<readonly ProcessId[]> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    const left = ids.filter((id) => !isDone(processState(id)));
    if (left.length === 0 || performance.now() > deadlineMs) return left;
    await sleep(POLL_INTERVAL_MS);
  }
}

export interface ProgramToStart {
  readonly command: string;
  readonly args: readonly string[];
  readonly directory: string;
  readonly environment: NodeJS.ProcessEnv;
  /** stdout and stderr are appended here. */
  readonly logFile: string;
}

/**
 * Starts a program in a session of its own, so that neither our end nor a Ctrl-C in our terminal ends it.
 * @throws IntercloudError PROCESS_NOT_STARTED
 */
export async function startProcess(program: ProgramToStart): Promise<ProcessId> {
  const log = openSync(program.logFile, "a", 0o600);
  try {
    const child = spawn(program.command, program.args, {
      cwd: program.directory,
      env: program.environment,
      detached: true,
      stdio: ["ignore", log, log],
    });
    // Read at once: a child of ours keeps its place in /proc until our event loop has run, even if it has ended already.
    const fields = child.pid === undefined ? undefined : statFields(child.pid);
    if (child.pid === undefined || fields === undefined) {
      throw await new Promise((resolve) => {
        const fail = (cause?: unknown) => resolve(notStarted(program.command, cause));
        if (child.pid === undefined) child.once("error", fail);
        else fail();
      });
    }
    child.on("error", () => undefined); // whether it lives is asked through /proc
    child.unref();
    return processId(child.pid, fields);
  } finally {
    closeSync(log);
  }
}

function notStarted(command: string, cause: unknown): IntercloudError {
  const why = cause instanceof Error ? cause.message : "it has no entry in /proc (a testnet needs Linux)";
  return new IntercloudError("PROCESS_NOT_STARTED", "internal", `could not start ${command}: ${why}`, {}, cause);
}

/** The fields of /proc/PID/stat after the program's name, which may itself contain spaces and brackets. */
function statFields(pid: number): readonly string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  } catch {
    return undefined;
  }
}

function isEnded(fields: readonly string[]): boolean {
  return fields[STATE_FIELD] === "Z" || fields[STATE_FIELD] === "X";
}

function processId(pid: number, fields: readonly string[]): ProcessId {
  return { pid, startTicks: fields[START_TICKS_FIELD] ?? "", bootId: bootId() };
}

function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}
