/** The simulator as a person runs it: scripts/chaos. */
import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const CLONE = path.resolve(import.meta.dirname, "../..");
const run = (...args: string[]) =>
  promisify(execFile)(path.join(CLONE, "scripts/chaos"), args, { timeout: 550_000, maxBuffer: 1 << 26 }).then(
    ({ stdout, stderr }) => ({ exitCode: 0, stdout, stderr }),
    (error: { code: number; stdout: string; stderr: string }) => ({ ...error, exitCode: error.code }),
  );

// The same ones each time, so that what goes wrong is due to what was changed. `scripts/chaos` by itself takes new ones.
test("in two thousand simulations nothing goes wrong, and everything that should happen happens", async () => {
  const { exitCode, stdout, stderr } = await run("--seeds", "2000", "--from", "1");
  expect(stdout, stderr).toBe("");
  expect(exitCode, stderr).toBe(0);
});

test.each(["no-owner-check", "mask-left-out", "seal-unlogged", "destroyed-is-kept"])(
  "a mistake that somebody could make is found out: %s",
  async (mutant) => {
    const { exitCode, stdout, stderr } = await run("--mutant", mutant, "--seeds", "300");
    expect(stdout, stderr).toMatch(new RegExp(`^${mutant}: [a-z-]+, after \\d+\\n$`));
    expect(exitCode).toBe(0);
  },
);

test("one simulation is told in full, and nonsense on the command line is refused", async () => {
  const told = await run("--seed", "1");
  expect(told.exitCode, told.stderr).toBe(0);
  expect(told.stdout).toContain("nothing is wrong");
  const nonsense = await run("--seeds", "none");
  expect(nonsense.exitCode).toBe(2);
  expect(nonsense.stderr).toContain("usage: scripts/chaos");
});
