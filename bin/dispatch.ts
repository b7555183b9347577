/** From `argv` to a command's `run`: help, usage errors, the global options, and the exit code. Touches no process. */
import { homedir } from "node:os";
import path from "node:path";
import type { Readable, Writable } from "node:stream";
import { CommanderError, Command as CommandParser, InvalidArgumentError, Option } from "commander";
import { IntercloudError } from "../protocols/wire/errors.ts";
import type { Command, OptionSpec, OptionValue } from "../runtime/command.ts";
import { usageError, writeText } from "../runtime/command.ts";
import type { CommandEntry, CommandTable } from "./commands.ts";
import { reportError } from "./report-error.ts";

export interface DispatchInput {
  /** Without the interpreter and the program's name. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdin: Readable;
  readonly stdout: Writable;
  readonly stderr: Writable;
  readonly signal: AbortSignal;
  readonly version: string;
  readonly table: CommandTable;
}

/** Runs one command line and returns its exit code. Never throws: every error ends on stderr here. */
export async function dispatch(input: DispatchInput): Promise<number> {
  const json = wantsJson(input.argv);
  try {
    return await parseAndRun(input);
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0; // --help and --version end this way
    const report = reportError(fromParser(error), input.signal, json, input.env["INTERCLOUD_DEBUG"] === "1");
    if (report.text !== "") await writeText(input.stderr, report.text).catch(() => undefined);
    return report.exitCode;
  }
}

async function parseAndRun(input: DispatchInput): Promise<number> {
  let exitCode = 0;
  const program = new CommandParser("intercloud");
  program
    .description("Clouds that do not trust each other keep a secret together.")
    .version(input.version)
    .option("--json", "one JSON value on stdout, errors as JSON on stderr")
    .option(
      "--home <DIR>",
      "where this user's identity and federation file are (INTERCLOUD_HOME; default ~/.intercloud)",
    )
    .helpCommand(false) // `help put` is read as `put --help`, which loads what put has to say
    .exitOverride()
    .configureHelp({ showGlobalOptions: true })
    // What the parser calls an error is thrown as well, and is reported in one place, by dispatch.
    .configureOutput({ writeOut: (text) => void input.stdout.write(text), writeErr: () => undefined });

  const groups = new Map<string, CommandParser>();
  const run = async (command: Command, parser: CommandParser): Promise<void> => {
    exitCode = (await command.run(contextOf(input, program, command, parser))) ?? 0;
  };
  const entries = new Map<CommandParser, CommandEntry>();
  for (const entry of input.table.commands) {
    const [first = "", second] = entry.name.split(" ");
    const parent = second === undefined ? program : groupOf(first, program, groups, input.table);
    entries.set(parent.command(second ?? first).description(entry.summary), entry);
  }
  for (const parent of [program, ...groups.values()]) {
    // A command's own options are known once its room is loaded, which happens when it is about to be parsed.
    parent.hook("preSubcommand", async (_parent, parser) => {
      const entry = entries.get(parser);
      if (entry !== undefined) define(parser, await load(entry), run);
    });
  }
  const [first, ...rest] = input.argv;
  await program.parseAsync(first === "help" ? [...rest, "--help"] : input.argv, { from: "user" });
  return exitCode;
}

function groupOf(
  name: string,
  program: CommandParser,
  groups: Map<string, CommandParser>,
  table: CommandTable,
): CommandParser {
  let group = groups.get(name);
  if (group === undefined) {
    group = program
      .command(name)
      .helpCommand(false)
      .description(table.groups[name] ?? "");
    groups.set(name, group);
  }
  return group;
}

async function load(entry: CommandEntry): Promise<Command> {
  try {
    return (await entry.load()).command;
  } catch (error) {
    if (!(error instanceof Error) || !("code" in error) || error.code !== "ERR_MODULE_NOT_FOUND") throw error;
    throw new IntercloudError(
      "INCOMPLETE_INSTALLATION",
      "internal",
      `"${entry.name}" could not be loaded: ${error.message}; install again (npm ci in a clone)`,
    );
  }
}

function define(
  parser: CommandParser,
  command: Command,
  run: (command: Command, parser: CommandParser) => Promise<void>,
): void {
  for (const { name, summary, required = true, variadic = false } of command.arguments ?? []) {
    const shown = name + (variadic ? "..." : "");
    parser.argument(required ? `<${shown}>` : `[${shown}]`, summary);
  }
  for (const spec of command.options ?? []) parser.addOption(optionOf(spec));
  parser.action(() => run(command, parser));
}

function optionOf(spec: OptionSpec): Option {
  const short = spec.short === undefined ? "" : `-${spec.short}, `;
  const value = spec.value === undefined ? "" : ` <${spec.value}>`;
  const option = new Option(`${short}--${spec.name}${value}`, spec.summary);
  if (spec.default !== undefined) option.default(spec.default);
  option.argParser((text: string, previous: unknown) => {
    if (spec.choices !== undefined && !spec.choices.includes(text)) {
      throw new InvalidArgumentError(`It is one of: ${spec.choices.join(", ")}.`);
    }
    const parsed = parseValue(spec, text);
    return spec.repeatable === true ? [...(Array.isArray(previous) ? previous : []), parsed] : parsed;
  });
  return option;
}

function parseValue(spec: OptionSpec, text: string): string | number {
  try {
    return spec.parse === undefined ? text : spec.parse(text);
  } catch (error) {
    throw error instanceof IntercloudError ? new InvalidArgumentError(error.message) : error;
  }
}

function contextOf(input: DispatchInput, program: CommandParser, command: Command, parser: CommandParser) {
  const global = program.opts<{ json?: boolean; home?: string }>();
  const values = parser.opts<Record<string, OptionValue>>();
  const options: Record<string, OptionValue> = {};
  for (const spec of command.options ?? []) {
    const value = values[optionOf(spec).attributeName()];
    if (value !== undefined) options[spec.name] = value;
  }
  return {
    args: parser.args,
    options,
    home: path.resolve(global.home ?? (input.env["INTERCLOUD_HOME"] || path.join(homedir(), ".intercloud"))),
    json: global.json === true,
    stdin: input.stdin,
    stdout: input.stdout,
    stderr: input.stderr,
    env: input.env,
    signal: input.signal,
  };
}

/** Asked before anything is parsed, because a line that cannot be parsed is reported as JSON too. */
function wantsJson(argv: readonly string[]): boolean {
  const end = argv.indexOf("--");
  return (end === -1 ? argv : argv.slice(0, end)).includes("--json");
}

function fromParser(error: unknown): unknown {
  if (!(error instanceof CommanderError)) return error;
  if (error.code === "commander.help") return usageError("a command is missing; --help lists them");
  return usageError(`${error.message.replace(/^error: |\.$/g, "").replaceAll("\n", " ")}; see --help`);
}
