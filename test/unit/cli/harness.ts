/** Runs command lines in this process, with streams that keep what was written. */
import { Readable, Writable } from "node:stream";
import type { CommandEntry, CommandTable } from "../../../bin/commands.ts";
import { dispatch } from "../../../bin/dispatch.ts";
import type { Command } from "../../../runtime/command.ts";

export interface Outcome {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export function tableOf(commands: readonly Command[], more: readonly CommandEntry[] = []): CommandTable {
  const entries = commands.map((command) => ({
    name: command.name,
    summary: command.summary,
    load: async () => ({ command }),
  }));
  return { groups: { testnet: "many peers" }, commands: [...entries, ...more] };
}

export async function runLine(
  table: CommandTable,
  argv: readonly string[],
  options: { env?: Record<string, string>; signal?: AbortSignal; stdin?: string; terminal?: boolean } = {},
): Promise<Outcome> {
  const stdout = keeper();
  const stderr = keeper();
  const stdin = Readable.from([options.stdin ?? ""]);
  if (options.terminal === true) for (const stream of [stdin, stderr.stream]) Object.assign(stream, { isTTY: true });
  const exitCode = await dispatch({
    argv,
    env: options.env ?? {},
    stdin,
    stdout: stdout.stream,
    stderr: stderr.stream,
    signal: options.signal ?? new AbortController().signal,
    version: "1.2.3",
    table,
  });
  return { exitCode, stdout: stdout.text(), stderr: stderr.text() };
}

function keeper(): { stream: Writable; text(): string } {
  let kept = "";
  const stream = new Writable({
    write(chunk, _encoding, done) {
      kept += String(chunk);
      done();
    },
  });
  return { stream, text: () => kept };
}
