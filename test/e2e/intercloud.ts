/** Runs bin/intercloud as a user does, as a process of its own. */
import { spawn } from "node:child_process";
import path from "node:path";

export const ROOT = path.resolve(import.meta.dirname, "../..");
const PROGRAM = path.join(ROOT, "bin/intercloud");

export interface Outcome {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly home?: string;
  readonly stdin?: string | Uint8Array;
  readonly program?: string;
}

export function intercloud(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const { home, stdin = "", program = PROGRAM } = options;
  return new Promise((resolve, reject) => {
    const env = home === undefined ? process.env : { ...process.env, INTERCLOUD_HOME: home };
    const child = spawn(program, args, { env });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on("data", (chunk) => stdout.push(chunk));
    child.stderr.on("data", (chunk) => stderr.push(chunk));
    child.on("error", reject);
    child.on("close", (exitCode) => {
      resolve({ exitCode, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() });
    });
    child.stdin.on("error", () => undefined); // a command need not read what it is given
    child.stdin.end(stdin);
  });
}

/** The JSON that a command prints with `--json`. @throws Error with its stderr when it fails. */
export async function intercloudJson(args: readonly string[], options: RunOptions = {}) {
  const { exitCode, stdout, stderr } = await intercloud([...args, "--json"], options);
  if (exitCode !== 0) throw new Error(`intercloud ${args.join(" ")} ended with ${exitCode}: ${stderr}`);
  return JSON.parse(stdout);
}
