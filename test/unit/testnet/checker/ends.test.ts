/** `every-operation-ends`. */
import { expect, test } from "vitest";
import { brokenBy, failed, KILLED, providers, WrittenHistory } from "../../../support/written-history.ts";

const ENDS = ["every-operation-ends"];
const LIMIT_MS = 5 * 60_000;

function withDeposit(): WrittenHistory {
  const run = new WrittenHistory();
  run.put("secret");
  return run;
}

test("what has not ended when the run ends is found, of every kind", () => {
  for (const kind of ["get", "grant", "revoke", "refresh", "repair", "steal"] as const) {
    const run = withDeposit();
    run[kind]("secret", { endMs: undefined, outcome: undefined } as object);
    expect(brokenBy(run.lastReads())).toEqual(ENDS);
    const without = withDeposit();
    without[kind]("secret", { outcome: undefined } as object);
    expect(brokenBy(without.lastReads())).toEqual(ENDS);
  }
});

test.each([failed(), KILLED])("what %o has ended", (outcome) => {
  const run = withDeposit();
  run.refresh("secret", { outcome });
  run.put("other", { outcome });
  expect(brokenBy(run.lastReads())).toEqual([]);
});

test("what takes longer than the limit is found", () => {
  const run = withDeposit();
  run.get("secret", { tookMs: LIMIT_MS });
  expect(brokenBy(run.lastReads())).toEqual([]);
  run.get("secret", { tookMs: LIMIT_MS + 1 });
  expect(brokenBy(run)).toEqual(ENDS);
  expect(brokenBy(run, { operationLimitMs: LIMIT_MS + 1 })).toEqual([]);
});

test("the time of faults that went on meanwhile is given on top, each moment once", () => {
  const run = withDeposit();
  const startMs = run.nowMs + 100_000;
  run.fault("crash", providers(1), { fromMs: startMs - 50_000, untilMs: startMs + 10_000 });
  run.fault("slow-disk", providers(2), { fromMs: startMs + 5_000, untilMs: startMs + 30_000 });
  run.fault("loss", providers(3), { fromMs: startMs + 6_000, untilMs: startMs + 8_000 });
  run.fault("reset", providers(3), { fromMs: startMs + 40_000, untilMs: startMs + 50_000 });
  run.get("secret", { startMs, tookMs: LIMIT_MS + 40_000 });
  expect(brokenBy(run.lastReads())).toEqual([]);
  run.get("secret", { startMs, tookMs: LIMIT_MS + 40_001 });
  expect(brokenBy(run)).toEqual(ENDS);
});

test("liars, and who stays dead, are no excuse", () => {
  const run = withDeposit();
  run.fault("liar", providers(1), { fromMs: 0, untilMs: LIMIT_MS });
  run.fault("crash", providers(2), { untilMs: undefined });
  run.get("secret", { tookMs: LIMIT_MS + 1 });
  expect(brokenBy(run.lastReads())).toEqual(ENDS);
});
