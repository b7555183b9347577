/** Runs bin/intercloud as a user does, as a process of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import path from "node:path";
import { Readable } from "node:stream";

export const ROOT = path.resolve(import.meta.dirname, "../..");
/** No command of a test takes a tenth of it; a daemon that was expected to refuse its start would run for ever. */
const DEADLINE_MS = 120_000;
const PROGRAM = path.join(ROOT, "bin/intercloud");

export interface Outcome {
  readonly exitCode: number | null;
  readonly stdout: string;
  /** The same, for a message that is no text. */
  readonly bytes: Uint8Array;
  readonly stderr: string;
}

export interface RunOptions {
  readonly home?: string;
  /** Empty by default. A stream is what it has to be: silent, or endless. */
  readonly stdin?: string | Uint8Array | Readable;
  readonly program?: string;
  /** Instead of ours. */
  readonly env?: NodeJS.ProcessEnv;
  /** The process, to send it signals. */
  readonly onStart?: (child: ChildProcess) => void;
}

export function intercloud(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const { home, stdin = "", program = PROGRAM, env: base = process.env, onStart } = options;
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env: home === undefined ? base : { ...base, INTERCLOUD_HOME: home } });
    onStart?.(child);
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on("data", (chunk) => stdout.push(chunk));
    child.stderr.on("data", (chunk) => stderr.push(chunk));
    child.on("error", reject);
    const deadline = setTimeout(() => child.kill("SIGKILL"), DEADLINE_MS);
    child.on("close", (exitCode) => {
      clearTimeout(deadline);
      const bytes = Buffer.concat(stdout);
      resolve({ exitCode, bytes, stdout: bytes.toString(), stderr: Buffer.concat(stderr).toString() });
    });
    child.stdin.on("error", () => undefined); // a command need not read what it is given
    if (stdin instanceof Readable) stdin.pipe(child.stdin);
    else child.stdin.end(stdin);
  });
}

/** The JSON that a command prints with `--json`. @throws Error with its stderr when it fails. */
export async function intercloudJson(args: readonly string[], options: RunOptions = {}) {
  const { exitCode, stdout, stderr } = await intercloud([...args, "--json"], options);
  if (exitCode !== 0) throw new Error(`intercloud ${args.join(" ")} ended with ${exitCode}: ${stderr}`);
  return JSON.parse(stdout);
}
