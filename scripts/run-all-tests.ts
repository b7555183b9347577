/**
 * What scripts/test runs: each check and each vitest project, one after another, going on after a failure so that all of them
 * are seen. Ends with the line "N passed, N failed"; a check that fails counts as one failure.
 */
import { spawn } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { killMarked, processesMarked, readIfThere } from "./house/marked-processes.ts";
import { addResults, closingLine, countResults, failuresIn, type Results } from "./house/test-results.ts";

const ROOT = path.resolve(import.meta.dirname, "..");
const REPORTS = path.join(ROOT, ".cache/test");
const CHECKS = ["check:format", "check:types", "check:imports", "check:unused"];
const PROJECTS = ["unit", "integration", "e2e", "chaos"];
const MARK = `TEST_RUN_MARK=${process.env["TEST_RUN_MARK"] ?? "none"}`;
const LEFTOVER_GRACE_MS = 3_000; // a process that was told to stop may need a moment
const NOTHING: Results = { passed: 0, failed: 0, skipped: 0 };

let interrupted = false;
// Ctrl-C reaches what we run as well, and that ends then; we stay to end what it had started.
for (const name of ["SIGINT", "SIGTERM"] as const) {
  process.on(name, () => {
    interrupted = true;
  });
}

rmSync(REPORTS, { recursive: true, force: true });
mkdirSync(REPORTS, { recursive: true });

const summary: string[] = [];
const failures: string[] = [];
const all: Results[] = [];
for (const check of CHECKS) all.push(await timed(check, () => runCheck(check)));
for (const project of PROJECTS) all.push(await timed(project, () => runProject(project)));
all.push(await endLeftovers());
rmSync(path.join(ROOT, ".cache/tmp"), { recursive: true, force: true });

const total = addResults(all);
process.stdout.write(`\n${[...failures, ...summary, closingLine(total)].join("\n")}\n`);
process.exitCode = interrupted ? 130 : total.failed === 0 ? 0 : 1;

async function timed(name: string, run: () => Promise<Results>): Promise<Results> {
  if (interrupted) return NOTHING;
  process.stdout.write(`\n== ${name}\n`);
  const startMs = performance.now();
  const results = await run();
  summary.push(`${name}: ${closingLine(results)} (${((performance.now() - startMs) / 1000).toFixed(1)} s)`);
  return results;
}

async function runCheck(name: string): Promise<Results> {
  const isWell = await succeeds("npm", ["run", "--silent", name]);
  return isWell ? { ...NOTHING, passed: 1 } : { ...NOTHING, failed: 1 };
}

async function runProject(project: string): Promise<Results> {
  const report = path.join(REPORTS, `${project}.json`);
  const vitest = path.join(ROOT, "node_modules/vitest/vitest.mjs");
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
  const isWell = await succeeds(process.execPath, [vitest, "run", "--project", project, ...reporters]);
  const results = readIfThere(report);
  failures.push(...failuresIn(results).map((line) => line.replace(`${ROOT}/`, "")));
  return countResults(results, isWell);
}

function succeeds(command: string, args: readonly string[]): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: ROOT, stdio: ["ignore", "inherit", "inherit"] });
    child.on("error", (error) => {
      process.stdout.write(`${command} could not be started: ${error.message}\n`);
      resolve(false);
    });
    child.on("exit", (code) => resolve(code === 0));
  });
}

/** Ends what the tests left running and says so: a test that leaves a process behind has failed to clean up. */
async function endLeftovers(): Promise<Results> {
  const deadlineMs = performance.now() + LEFTOVER_GRACE_MS;
  while (processesMarked(MARK).length > 0 && performance.now() < deadlineMs) await sleep(100);
  const left = killMarked(MARK);
  for (const { pid, commandLine } of left) summary.push(`left running by a test, ended now: ${pid} ${commandLine}`);
  return left.length > 0 && !interrupted ? { ...NOTHING, failed: 1 } : NOTHING;
}
