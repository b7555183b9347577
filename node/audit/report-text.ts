/** A report as people read it, and the error that a broken log ends in. */
import { auditBroken } from "./errors.ts";
import { lineText } from "./event-line.ts";
import type { AuditReport } from "./report.ts";

export function reportText(report: AuditReport): string {
  const { node, peer, count, time, goodEntries, federation, receipts, disclosed } = report;
  const rows = [
    ["log of", node === null ? (peer ?? "nobody that can be read") : `${node} (${peer})`],
    ["head", count === null ? "cannot be read" : `signed for ${count} entries at ${time}`],
    ["good", `${goodEntries} entries from the first on`],
    ["federation", federationText(federation)],
    ...receipts.map(({ file, count, time, problem }) => [
      "receipt",
      `${file}: ${count} entries at ${time}, ${problem === null ? "the log goes on from there" : "NOT VALID"}`,
    ]),
    ...(disclosed === null ? [] : [["disclosed", lineText(disclosed)]]),
    ["verdict", report.valid ? "valid" : "NOT VALID"],
  ];
  return rows.map(([name = "", text = ""]) => `${name.padEnd(12)}${text}\n`).join("");
}

/** @throws IntercloudError AUDIT_BROKEN: exit code 5, after the report was printed. */
export function failWhenBroken({ problems, firstBroken }: AuditReport): void {
  if (problems.length > 0) throw auditBroken(problems.join("; "), { sequence: firstBroken?.sequence ?? null });
}

function federationText(federation: AuditReport["federation"]): string {
  if (federation === null) return "not checked: there is no federation file here; name one with --federation";
  return federation.valid ? "the node is a member" : "the node is NOT a member";
}
