import { describe, expect, test } from "vitest";
import { addResults, closingLine, countResults, failuresIn } from "../../../scripts/house/test-results.ts";

function report(passed: number, failed: number, pending = 0, testResults: unknown[] = []): string {
  return JSON.stringify({ numPassedTests: passed, numFailedTests: failed, numPendingTests: pending, testResults });
}

describe("counting", () => {
  test("takes vitest's numbers", () => {
    expect(countResults(report(7, 0, 2), true)).toEqual({ passed: 7, failed: 0, skipped: 2 });
    expect(countResults(report(7, 3), false)).toEqual({ passed: 7, failed: 3, skipped: 0 });
  });

  test("never looks green when something was wrong outside of a test", () => {
    expect(countResults(report(7, 0), false).failed).toBe(1);
    expect(countResults(undefined, true).failed).toBe(1);
    expect(countResults(report(0, 0), true).failed).toBe(1);
    const broken = [{ status: "failed", assertionResults: [] }];
    expect(countResults(report(7, 0, 0, broken), false).failed).toBe(1);
    expect(countResults(report(7, 1, 0, broken), false).failed).toBe(2);
  });
});

test("the closing line names what was skipped only if something was", () => {
  const results = addResults([
    { passed: 3, failed: 0, skipped: 0 },
    { passed: 4, failed: 1, skipped: 0 },
  ]);
  expect(closingLine(results)).toBe("7 passed, 1 failed");
  expect(closingLine({ ...results, skipped: 2 })).toBe("7 passed, 1 failed, 2 skipped");
});

test("what failed is told with its file, its name and the first line of why", () => {
  const good = { name: "good.test.ts", status: "passed", assertionResults: [{ status: "passed", fullName: "works" }] };
  const bad = { status: "failed", fullName: "adds up", failureMessages: ["Error: 3, not 4\n  at somewhere"] };
  const files = [good, { name: "bad.test.ts", status: "failed", assertionResults: [...good.assertionResults, bad] }];
  const broken = { name: "broken.test.ts", status: "failed", message: "SyntaxError: ;", assertionResults: [] };
  expect(failuresIn(report(2, 1, 0, [...files, broken]))).toEqual([
    "failed: bad.test.ts: adds up: Error: 3, not 4",
    "failed: broken.test.ts: SyntaxError: ;",
  ]);
  expect(failuresIn(undefined)).toEqual([]);
});
