#!/usr/bin/env node
/** The process: its streams, its signals and its exit. Everything else is in dispatch.ts. */
import { readFileSync } from "node:fs";
import { setSourceMapsSupport } from "node:module";
import { setFlagsFromString } from "node:v8";
import { keepCompiledCode } from "./compiled-code.ts";

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < 22 || (major === 22 && minor < 18)) {
  process.stderr.write(
    `intercloud: Node ${process.versions.node} is too old, 22.18 or later is needed; install one [OLD_NODE]\n`,
  );
  process.exit(1);
}

// V8 may hang at the end of a process: whoever ends it waits for a helper that compiles, and that one for memory which only the main thread
// can collect. Seen with Node 26.10: the one in Shutdown of the worker threads, the other in BaselineBatchCompilerJob.
setFlagsFromString("--no-concurrent-sparkplug");

// In a clone bin/intercloud has seen to it, and nothing is bundled.
if (!import.meta.url.endsWith(".ts")) {
  keepCompiledCode();
  if (process.env["INTERCLOUD_DEBUG"] === "1") setSourceMapsSupport(true, { nodeModules: true });
}
void main();

async function main(): Promise<void> {
  // Loaded only now, because an older Node stumbles over something in it with an error that explains nothing.
  const { COMMAND_TABLE } = await import("./commands.ts");
  const { dispatch } = await import("./dispatch.ts");
  const { readerGone, reportError, stoppedBySignal } = await import("./report-error.ts");

  const controller = new AbortController();
  let signalled = false;
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    process.on(name, () => {
      if (signalled) process.exit(130); // asked twice: whoever asks does not want to wait for a clean end
      signalled = true;
      controller.abort(stoppedBySignal(name));
    });
  }
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    controller.abort(error.code === "EPIPE" ? readerGone() : error); // a full disk behind stdout is no quiet end
  });
  process.stderr.on("error", () => undefined); // nobody reads our messages; the exit code still tells
  process.on("uncaughtException", (error) => {
    const report = reportError(error, controller.signal, process.argv.includes("--json"), true);
    process.stderr.write(report.text, () => process.exit(report.exitCode));
  });

  const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  const exitCode = await dispatch({
    argv: process.argv.slice(2),
    env: process.env,
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    signal: controller.signal,
    version,
    table: COMMAND_TABLE,
  });

  // Sockets that linger for a second are no reason to keep the user waiting; what was written is flushed first.
  process.stdout.write("", (error) => {
    if (error == null || exitCode !== 0) process.exit(exitCode);
    const report = reportError(error, controller.signal, process.argv.includes("--json"), false);
    process.stderr.write(report.text, () => process.exit(report.exitCode));
  });
}
