/** Receipts as people read them, and the errors that too few or broken ones end in. */
import { IntercloudError } from "../../protocols/wire/errors.ts";
import type { ReceiptReport, ReceiptsReport } from "../receipts-report.ts";
import { listed } from "./shared.ts";
import { tableText } from "./text.ts";

/** `destroyed at 7 of 7 providers; the message is unrecoverable` */
export function destroyedText(report: ReceiptsReport): string {
  const { destroyed, providers, needed, protocol, unrecoverable } = report;
  const at = `destroyed at ${destroyed} of ${providers} providers`;
  const enough = protocol === 1 ? `the ${needed} that keep the ciphertext` : `${needed}`;
  if (!unrecoverable) return `${at}; ${enough} are needed before the message is unrecoverable`;
  // With Protocol 2 t-1 providers and the user's own share read it.
  const share =
    protocol === 2 && destroyed === needed ? ", unless a copy of the user's own share is left somewhere" : "";
  return `${at}; the message is unrecoverable${share}`;
}

export function receiptsText(report: ReceiptsReport): string {
  const fields = [
    ["token", report.token],
    ["owner", report.owner],
    ["verdict", report.valid ? "valid" : "NOT VALID"],
    ["federation", federationText(report)],
  ];
  const header = ["PROVIDER", "TIME", "REMOVED", "RECEIPT"];
  const rows = report.receipts.map((each) => [
    each.provider ?? each.peer ?? "-",
    each.time ?? "-",
    removedText(each),
    each.valid ? "valid" : `BROKEN: ${each.problem ?? "not valid"}`,
  ]);
  return `${tableText(fields)}\n${tableText([header, ...rows])}\n${destroyedText(report)}\n`;
}

/** @throws IntercloudError RECEIPT_BROKEN, NOT_MEMBERS: exit code 5, after the report was printed. */
export function failWhenReceiptsBroken({ receipts, federation }: ReceiptsReport): void {
  const broken = receipts.find(({ valid }) => !valid);
  if (broken !== undefined) {
    const who = broken.provider ?? broken.peer ?? "a provider";
    throw new IntercloudError("RECEIPT_BROKEN", "integrity", `the receipt of ${who} does not hold: ${broken.problem}`);
  }
  if (federation !== null && !federation.valid) {
    const message = `not in our federation file: ${federation.strangers.join(", ")}; the signatures hold, but whose are they?`;
    throw new IntercloudError("NOT_MEMBERS", "integrity", message, { peers: federation.strangers });
  }
}

/** @throws IntercloudError NOT_ENOUGH_PROVIDERS: exit code 4. */
export function failWhenRecoverable(report: ReceiptsReport): void {
  if (report.unrecoverable) return;
  const message = `${destroyedText(report)}; run it again when ${listed(report.missing)} are up`;
  const details = { answered: report.destroyed, needed: report.needed };
  throw new IntercloudError("NOT_ENOUGH_PROVIDERS", "unreachable", message, details);
}

function removedText({ share, ciphertext, envelope }: ReceiptReport): string {
  const parts = Object.entries({ share, ciphertext, envelope }).flatMap(([part, isRemoved]) =>
    isRemoved ? [part] : [],
  );
  return parts.join(", ") || "nothing";
}

function federationText({ federation }: ReceiptsReport): string {
  if (federation === null) return "not checked: there is no federation file here";
  if (federation.valid) return "all providers are members of our federation";
  return `NOT MEMBERS of our federation: ${federation.strangers.join(", ")}`;
}
