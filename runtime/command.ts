/**
 * What a command of `intercloud` is. A command is data and one function: the dispatcher (`bin/main.ts`) builds help, usage
 * errors and completion of names from the data, and prints the function's errors in one place. A command therefore never
 * prints an error and never exits: it writes its data to `stdout`, its progress to `stderr`, and throws an `IntercloudError`.
 *
 * One file per command, in its room's `commands/` folder, exporting it as `command`.
 */
import type { Readable, Writable } from "node:stream";
import { IntercloudError } from "../protocols/wire/errors.ts";

export type OptionValue = string | number | boolean | readonly string[] | undefined;

export interface ArgumentSpec {
  /** In capitals, as help shows it: `FILE`. */
  readonly name: string;
  readonly summary: string;
  /** Default true. */
  readonly required?: boolean;
  /** Takes all that follow; only the last argument may. */
  readonly variadic?: boolean;
}

export interface OptionSpec {
  /** Long name without dashes, kebab-case; also the key in `context.options`: `providers` for `--providers`. */
  readonly name: string;
  /** One letter, without the dash. */
  readonly short?: string;
  /** The value's name in help (`FILE`). Without it the option is a switch: true or undefined. */
  readonly value?: string;
  readonly summary: string;
  readonly choices?: readonly string[];
  /** Turns the text into a value; throws `usageError` when it cannot. `integerBetween` is the usual one. */
  readonly parse?: (text: string) => string | number;
  /** May be given several times; the value is then the list of texts. */
  readonly repeatable?: boolean;
  readonly default?: string | number;
}

export interface CommandContext {
  /** The positional arguments in the order of `arguments`; the rest of a variadic one follows. */
  readonly args: readonly string[];
  readonly options: Readonly<Record<string, OptionValue>>;
  /** The user's home directory for this program, absolute: `--home`, else `INTERCLOUD_HOME`, else `~/.intercloud`. */
  readonly home: string;
  /** `--json`: one JSON value on stdout instead of text. */
  readonly json: boolean;
  readonly stdin: Readable;
  readonly stdout: Writable;
  readonly stderr: Writable;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborted by the first Ctrl-C or SIGTERM, and when the reader of stdout goes away. A second signal ends the process. */
  readonly signal: AbortSignal;
}

export interface Command {
  /** As typed, with a space for a command of a group: `put`, `testnet up`. */
  readonly name: string;
  /** One line, no full stop. */
  readonly summary: string;
  readonly arguments?: readonly ArgumentSpec[];
  readonly options?: readonly OptionSpec[];
  /** Returns the exit code; nothing means 0. */
  // biome-ignore lint/suspicious/noConfusingVoidType: an async function without a return statement is what most commands are
  run(context: CommandContext): Promise<number | void>;
}

/** Wrong use of a command: exit code 2. */
export function usageError(message: string): IntercloudError {
  return new IntercloudError("USAGE", "bad-request", message);
}

/** A parser for whole numbers from `least` to `most`, both included. */
export function integerBetween(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^[0-9]{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= least && value <= most) return value;
    throw usageError(`"${text}" is not a whole number from ${least} to ${most}`);
  };
}

/** The value of a text option, or undefined when it was not given. */
export function textOption(context: CommandContext, name: string): string | undefined {
  const value = context.options[name];
  return typeof value === "string" ? value : undefined;
}

/** The value of an option parsed to a number, or undefined when it was not given. */
export function numberOption(context: CommandContext, name: string): number | undefined {
  const value = context.options[name];
  return typeof value === "number" ? value : undefined;
}

/** The texts of a repeatable option; empty when it was not given. */
export function listOption(context: CommandContext, name: string): readonly string[] {
  const value = context.options[name];
  return typeof value === "object" ? value : [];
}

/** Whether a switch was given. */
export function switchOption(context: CommandContext, name: string): boolean {
  return context.options[name] === true;
}

/** The positional argument at `index`. @throws IntercloudError USAGE when it is missing. */
export function argumentAt(context: CommandContext, index: number): string {
  const value = context.args[index];
  if (value === undefined) throw usageError(`argument ${index + 1} is missing; see --help`);
  return value;
}

/** Writes text and waits until the stream took it, so that nothing is lost at exit and a slow reader is waited for. */
export async function writeText(stream: Writable, text: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    stream.write(text, (error) => (error == null ? resolve() : reject(error)));
  });
}

/** Writes one JSON value and a newline to stdout. */
export async function writeJson(context: CommandContext, value: unknown): Promise<void> {
  await writeText(context.stdout, `${JSON.stringify(value, null, 2)}\n`);
}
