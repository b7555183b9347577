import { homedir } from "node:os";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { COMMAND_TABLE } from "../../../bin/commands.ts";
import { readerGone, stoppedBySignal } from "../../../bin/report-error.ts";
import { IntercloudError } from "../../../protocols/wire/errors.ts";
import { type Command, type CommandContext, integerBetween, writeJson, writeText } from "../../../runtime/command.ts";
import { runLine, tableOf } from "./harness.ts";

/** Prints what it was given, as JSON. */
const put: Command = {
  name: "put",
  summary: "deposit a file",
  arguments: [{ name: "FILE", summary: "what to deposit, - for stdin" }],
  options: [
    { name: "whole", summary: "the message itself" },
    { name: "output", short: "o", value: "FILE", summary: "where to" },
    { name: "route", value: "ROUTE", summary: "how", choices: ["chain", "fanout"], default: "fanout" },
    { name: "providers", value: "N", summary: "how many", parse: integerBetween(2, 254) },
    { name: "listen-on", value: "ADDRESS", summary: "where", repeatable: true },
  ],
  async run(context: CommandContext) {
    const { args, options, home, json } = context;
    await writeJson(context, { args, options, home, json });
  },
};

const kill: Command = {
  name: "testnet kill",
  summary: "kill peers",
  arguments: [{ name: "NAME", summary: "which", variadic: true }],
  async run({ args, stdout }) {
    await writeText(stdout, args.join("+"));
  },
};

function failing(error: unknown): Command {
  return { name: "fail", summary: "fails", run: () => Promise.reject(error) };
}

async function given(argv: readonly string[], env: Record<string, string> = {}) {
  const { exitCode, stdout, stderr } = await runLine(tableOf([put, kill]), argv, { env });
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  return JSON.parse(stdout);
}

describe("what a command is given", () => {
  test("arguments, options and defaults", async () => {
    expect(await given(["put", "a.txt"])).toMatchObject({ args: ["a.txt"], options: { route: "fanout" }, json: false });
    expect(
      await given([
        "put",
        "--whole",
        "-o",
        "x",
        "--route=chain",
        "--providers",
        "5",
        "-",
        "--listen-on",
        "a",
        "--listen-on",
        "b",
      ]),
    ).toMatchObject({
      args: ["-"],
      options: { whole: true, output: "x", route: "chain", providers: 5, "listen-on": ["a", "b"] },
    });
    expect((await given(["put", "--", "--whole"])).args).toEqual(["--whole"]);
  });

  test("global options before and after the command", async () => {
    for (const argv of [
      ["--json", "--home", "/h", "put", "f"],
      ["put", "f", "--json", "--home", "/h"],
    ]) {
      expect(await given(argv)).toMatchObject({ json: true, home: "/h", args: ["f"] });
    }
  });

  test("the home comes from --home, then INTERCLOUD_HOME, then the user's directory", async () => {
    const env = { INTERCLOUD_HOME: "/from-env" };
    expect((await given(["put", "f", "--home", "rel"], env)).home).toBe(path.resolve("rel"));
    expect((await given(["put", "f"], env)).home).toBe("/from-env");
    expect((await given(["put", "f"])).home).toBe(path.join(homedir(), ".intercloud"));
  });

  test("a command of a group, with several arguments", async () => {
    const { exitCode, stdout } = await runLine(tableOf([put, kill]), ["testnet", "kill", "a", "b"]);
    expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: "a+b" });
  });

  test("its return value is the exit code", async () => {
    const command: Command = { name: "verify", summary: "check", run: async () => 5 };
    expect((await runLine(tableOf([command]), ["verify"])).exitCode).toBe(5);
  });
});

describe("help", () => {
  test("goes to stdout, lists every command, and is no error", async () => {
    const { exitCode, stdout, stderr } = await runLine(tableOf([put, kill]), ["--help"]);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
    for (const text of ["put", "deposit a file", "testnet", "many peers", "--json", "--home"])
      expect(stdout).toContain(text);
  });

  test("of one command shows its arguments and options, asked in three ways", async () => {
    for (const argv of [
      ["put", "--help"],
      ["put", "-h"],
      ["help", "put"],
    ]) {
      const { exitCode, stdout } = await runLine(tableOf([put]), argv);
      expect(exitCode, argv.join(" ")).toBe(0);
      for (const text of ["<FILE>", "--whole", "-o, --output <FILE>", "--providers <N>", "--json"]) {
        expect(stdout, argv.join(" ")).toContain(text);
      }
    }
    for (const argv of [
      ["testnet", "kill", "--help"],
      ["help", "testnet", "kill"],
    ]) {
      expect((await runLine(tableOf([kill]), argv)).stdout, argv.join(" ")).toContain("<NAME...>");
    }
    expect((await runLine(tableOf([kill]), ["help", "testnet"])).stdout).toContain("kill peers");
  });

  test("the version", async () => {
    expect(await runLine(tableOf([put]), ["--version"])).toEqual({ exitCode: 0, stdout: "1.2.3\n", stderr: "" });
  });

  test("only the command that was typed is loaded", async () => {
    const broken = { name: "broken", summary: "no", load: () => Promise.reject(new Error("must not be loaded")) };
    expect((await runLine(tableOf([put], [broken]), ["put", "f"])).exitCode).toBe(0);
    expect((await runLine(tableOf([put], [broken]), ["--help"])).exitCode).toBe(0);
  });

  test("every command of the table has a summary and every group too", () => {
    const names = COMMAND_TABLE.commands.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const { name, summary } of COMMAND_TABLE.commands) {
      expect(summary, name).toMatch(/^[a-z].*[^.]$/);
      const [group, second] = name.split(" ");
      if (second !== undefined) expect(COMMAND_TABLE.groups).toHaveProperty(group as string);
    }
  });
});

test("every command can be loaded and is what the table says", async () => {
  for (const { name, summary, load } of COMMAND_TABLE.commands) {
    const { command } = await load();
    expect({ name: command.name, summary: command.summary }).toEqual({ name, summary });
  }
});

describe("wrong use is exit code 2, on stderr only", () => {
  test.each([
    [[], "a command is missing"],
    [["testnet"], "a command is missing"],
    [["putt", "f"], "Did you mean put"],
    [["testnet", "kil", "a"], "Did you mean kill"],
    [["put"], "FILE"],
    [["put", "a", "b"], "too many arguments"],
    [["put", "f", "--whol"], "Did you mean --whole"],
    [["put", "f", "--output"], "argument missing"],
    [["put", "f", "--route", "scenic"], "chain, fanout"],
    [["put", "f", "--providers", "1"], "2 to 254"],
    [["put", "f", "--providers", "5.0"], "2 to 254"],
    [["put", "f", "--providers", ""], "2 to 254"],
    [["testnet", "kill"], "NAME"],
  ])("%j", async (argv, text) => {
    const outcome = await runLine(tableOf([put, kill]), argv);
    expect(outcome).toMatchObject({ exitCode: 2, stdout: "" });
    expect(outcome.stderr).toMatch(/^intercloud: .* \[USAGE\]\n$/);
    expect(outcome.stderr).toContain(text);
    const asJson = await runLine(tableOf([put, kill]), [...argv, "--json"]);
    expect(asJson).toMatchObject({ exitCode: 2, stdout: "" });
    if (text !== "argument missing") expect(JSON.parse(asJson.stderr).error.message).toContain(text);
  });
});

describe("errors of a command", () => {
  const refused = new IntercloudError("NOT_OWNER", "refused", "not yours; ask its owner", { peers: ["p"], count: 5n });

  test("are printed once, as what, why and code", async () => {
    const outcome = await runLine(tableOf([failing(refused)]), ["fail"]);
    expect(outcome).toEqual({ exitCode: 3, stdout: "", stderr: "intercloud: not yours; ask its owner [NOT_OWNER]\n" });
  });

  test("are an object on stderr with --json", async () => {
    const { exitCode, stdout, stderr } = await runLine(tableOf([failing(refused)]), ["fail", "--json"]);
    expect({ exitCode, stdout }).toEqual({ exitCode: 3, stdout: "" });
    expect(JSON.parse(stderr)).toEqual({
      error: { code: "NOT_OWNER", message: "not yours; ask its owner", details: { peers: ["p"], count: "5" } },
    });
  });

  test("that nobody foresaw are exit code 1 and say how to see more", async () => {
    const outcome = await runLine(tableOf([failing(new TypeError("x is not a function"))]), ["fail"]);
    expect(outcome).toMatchObject({ exitCode: 1, stdout: "" });
    expect(outcome.stderr).toMatch(/x is not a function.*INTERCLOUD_DEBUG=1.*\[INTERNAL\]\n$/);
    expect(outcome.stderr).not.toContain("at ");
    const debug = await runLine(tableOf([failing(new TypeError("x"))]), ["fail"], { env: { INTERCLOUD_DEBUG: "1" } });
    expect(debug.stderr).toContain("dispatch.test.ts");
  });

  test("from the system carry its code", async () => {
    const error = Object.assign(new Error("ENOSPC: no space left on device, write"), {
      code: "ENOSPC",
      syscall: "write",
    });
    const outcome = await runLine(tableOf([failing(error)]), ["fail"]);
    expect(outcome.exitCode).toBe(1);
    expect(outcome.stderr).toMatch(/no space left.*; make room.*\[ENOSPC\]\n$/);
  });

  test("a room that is not there fails clearly", async () => {
    const missing = Object.assign(new Error("Cannot find module 'x'"), { code: "ERR_MODULE_NOT_FOUND" });
    const entry = { name: "gone", summary: "gone", load: () => Promise.reject(missing) };
    const outcome = await runLine(tableOf([], [entry]), ["gone"]);
    expect(outcome.exitCode).toBe(1);
    expect(outcome.stderr).toMatch(/"gone" could not be loaded.*install again.*\[INCOMPLETE_INSTALLATION\]/);
  });
});

describe("being stopped", () => {
  const untilAborted: Command = {
    name: "wait",
    summary: "waits",
    run: ({ signal }) =>
      new Promise((_, reject) => {
        const stop = () => reject(new DOMException("This operation was aborted", "AbortError"));
        if (signal.aborted) stop();
        else signal.addEventListener("abort", stop, { once: true });
      }),
  };

  test.each([
    [stoppedBySignal("SIGINT"), 130],
    [stoppedBySignal("SIGTERM"), 143],
  ])("%s is the exit code that a shell expects", async (reason, exitCode) => {
    const outcome = await runLine(tableOf([untilAborted]), ["wait"], { signal: AbortSignal.abort(reason) });
    expect(outcome).toEqual({ exitCode, stdout: "", stderr: `intercloud: ${reason.message} [CANCELLED]\n` });
  });

  test("a reader that went away is no news", async () => {
    const outcome = await runLine(tableOf([untilAborted]), ["wait"], { signal: AbortSignal.abort(readerGone()) });
    expect(outcome).toEqual({ exitCode: 141, stdout: "", stderr: "" });
    const error = Object.assign(new Error("write EPIPE"), { code: "EPIPE", syscall: "write" });
    expect(await runLine(tableOf([failing(error)]), ["fail"])).toEqual({ exitCode: 141, stdout: "", stderr: "" });
  });

  test("an error of its own is not hidden by the abort", async () => {
    const lied = new IntercloudError("LIED", "integrity", "something lied");
    const signal = AbortSignal.abort(stoppedBySignal("SIGINT"));
    expect((await runLine(tableOf([failing(lied)]), ["fail"], { signal })).exitCode).toBe(5);
  });

  test("a command that ends well after the abort has ended well", async () => {
    const daemon: Command = { name: "run", summary: "runs", async run() {} };
    const signal = AbortSignal.abort(stoppedBySignal("SIGTERM"));
    expect((await runLine(tableOf([daemon]), ["run"], { signal })).exitCode).toBe(0);
  });
});
