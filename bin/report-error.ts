/** The one place where a command's error becomes text on stderr and an exit code. */
import { constants } from "node:os";
import { IntercloudError } from "../protocols/wire/errors.ts";
import { exitCodeOf } from "../runtime/exit-codes.ts";

const EXIT_BY_SIGNAL = 128; // what a shell reports for a process that a signal ended is 128 + its number
const EXIT_BROKEN_PIPE = EXIT_BY_SIGNAL + constants.signals.SIGPIPE;

/** What to do about what the system says, where that is the same whatever the command was. */
const ADVICE: Readonly<Record<string, string>> = {
  ENOSPC: "make room on that disk and try again",
  EDQUOT: "make room in that disk quota and try again",
  EROFS: "it can only be read; name another place",
  EACCES: "this user may not do that there; correct the permissions, or name another place",
  EPERM: "this user may not do that there; correct the permissions, or name another place",
  EEXIST: "something else is there; name another place",
  ENOTDIR: "a part of it is a file and no directory; name another place",
  EMFILE: "raise the limit of open files (ulimit -n) and try again",
};

export interface ErrorReport {
  /** What to write to stderr, with its newline; empty when there is nothing to say. */
  readonly text: string;
  readonly exitCode: number;
}

/** The reason to abort with when a signal asks the program to stop. */
export function stoppedBySignal(name: NodeJS.Signals): IntercloudError {
  return new IntercloudError("CANCELLED", "cancelled", `stopped by ${name} before it was done`, {
    signalNumber: constants.signals[name],
  });
}

/** The reason to abort with when whoever reads our stdout has gone away. */
export function readerGone(): IntercloudError {
  return new IntercloudError("BROKEN_PIPE", "cancelled", "the reader of the output went away");
}

/**
 * @param error what a command threw
 * @param signal the command's signal: an error that only says "aborted" is reported as the reason of the abort
 * @param json whether the user asked for `--json`
 */
export function reportError(error: unknown, signal: AbortSignal, json: boolean, debug: boolean): ErrorReport {
  const cause = signal.aborted && isAbort(error, signal) ? signal.reason : error;
  const known = cause instanceof IntercloudError ? cause : describe(cause);
  if (known.code === "BROKEN_PIPE") return { text: "", exitCode: EXIT_BROKEN_PIPE };

  const signalNumber = known.details["signalNumber"];
  const exitCode = typeof signalNumber === "number" ? EXIT_BY_SIGNAL + signalNumber : exitCodeOf(known);
  const body = json
    ? JSON.stringify({ error: { code: known.code, message: known.message, details: known.details } }, plain)
    : `intercloud: ${known.message} [${known.code}]`;
  const trace = debug && error instanceof Error && error.stack !== undefined ? `${error.stack}\n` : "";
  return { text: `${body}\n${trace}`, exitCode };
}

function isAbort(error: unknown, signal: AbortSignal): boolean {
  if (error === signal.reason) return true;
  if (error instanceof IntercloudError) return error.status === "cancelled";
  return error instanceof Error && error.name === "AbortError";
}

/** Gives an error that nobody foresaw a text that says what to do. */
function describe(error: unknown): IntercloudError {
  const message = error instanceof Error ? error.message : String(error);
  if (isSystemError(error)) {
    if (error.code === "EPIPE") return readerGone(); // seen by the writer before the stream reported it
    const advice = ADVICE[error.code] ?? "check that path or address";
    return new IntercloudError(error.code, "internal", `the system said "${message}"; ${advice}`);
  }
  return new IntercloudError(
    "INTERNAL",
    "internal",
    `unexpected failure: ${message}; this is a fault of ours, INTERCLOUD_DEBUG=1 shows where`,
  );
}

function isSystemError(error: unknown): error is Error & { code: string } {
  return error instanceof Error && "syscall" in error && "code" in error && typeof error.code === "string";
}

/** JSON knows neither; bytes never appear here in the clear, only digests and names. */
function plain(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? value.toString() : value;
}
