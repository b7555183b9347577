/** Counting what a test run did, from vitest's JSON report. */

export interface Results {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** An assertion about a long text would fill the screen. */
const MAX_REASON_CHARACTERS = 500;

/**
 * @param report the text of vitest's JSON report, or undefined when it wrote none
 * @param exitedWell whether vitest ended with exit code 0
 * @returns the counts; at least one failure unless everything is known to be well, so that a run which broke off, or found
 *   no test, or failed outside of a test never looks green
 */
export function countResults(report: string | undefined, exitedWell: boolean): Results {
  const counts = report === undefined ? { passed: 0, failed: 0, skipped: 0 } : countReport(report);
  const isWell = exitedWell && counts.passed > 0;
  return isWell || counts.failed > 0 ? counts : { ...counts, failed: 1 };
}

export function addResults(all: readonly Results[]): Results {
  const sum = (pick: (one: Results) => number) => all.reduce((total, one) => total + pick(one), 0);
  return {
    passed: sum(({ passed }) => passed),
    failed: sum(({ failed }) => failed),
    skipped: sum(({ skipped }) => skipped),
  };
}

/**
 * What failed, each with the first line of why: a run is long, and who reads only its end should see it there.
 * @param report as for `countResults`
 */
export function failuresIn(report: string | undefined): string[] {
  return filesOf(report === undefined ? {} : JSON.parse(report)).flatMap((file) => {
    const failed = (file.assertionResults ?? []).filter(({ status }) => status === "failed");
    if (failed.length === 0 && file.status === "failed") return [describeFailure(file.name, "", file.message)];
    return failed.map(({ fullName, failureMessages }) => describeFailure(file.name, fullName, failureMessages?.[0]));
  });
}

interface FileResult {
  readonly name?: string;
  readonly status?: string;
  readonly message?: string;
  readonly assertionResults?: readonly {
    readonly status: string;
    readonly fullName: string;
    readonly failureMessages?: readonly string[];
  }[];
}

function filesOf(report: Record<string, unknown>): readonly FileResult[] {
  const files = report["testResults"];
  return Array.isArray(files) ? files : [];
}

function describeFailure(file = "a file", test: string, message = ""): string {
  const why = message.trim().split("\n")[0]?.slice(0, MAX_REASON_CHARACTERS);
  return [`failed: ${file}`, test, why].filter((part) => part).join(": ");
}

/** The line that a test run ends with: `12 passed, 0 failed`, and `, 1 skipped` only if any was. */
export function closingLine({ passed, failed, skipped }: Results): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
}

function countReport(text: string): Results {
  const report: Record<string, unknown> = JSON.parse(text);
  const count = (name: string) => Number(report[name] ?? 0);
  // A file that could not even be loaded has no tests; it is counted as one failure.
  const broken = filesOf(report).filter(
    (file) => file.status === "failed" && (file.assertionResults ?? []).length === 0,
  ).length;
  return {
    passed: count("numPassedTests"),
    failed: count("numFailedTests") + broken,
    skipped: count("numPendingTests") + count("numTodoTests"),
  };
}
