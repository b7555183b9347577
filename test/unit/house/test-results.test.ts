import { describe, expect, test } from "vitest";
import { addResults, closingLine, countResults } from "../../../scripts/house/test-results.ts";

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
