/** Proofs as people read them, and the error that a broken one ends in. */
import { IntercloudError } from "../../protocols/wire/errors.ts";
import type { BreakLine, ProofReport, Suspect } from "../proof-report.ts";
import { bytesText, tableText } from "./text.ts";

/** Enough to compare by eye; the whole digest is in --json. */
const SHORT_DIGEST = 12;

export function verifyText(report: ProofReport): string {
  const valid = report.links.filter((link) => link.valid).length;
  const fields = [
    ["deposit", `${bytesText(report.lengthBytes)} (${report.lengthBytes} bytes), ${report.time}`],
    ["form", formText(report)],
    ["token", report.token],
    ["owner", report.owner],
    ["dealer", dealerText(report)],
    ["chain", `${valid} of ${report.providers} links valid${report.firstBreak === null ? ", in order" : ""}`],
    ...placeText(report),
    ["federation", federationText(report)],
    ["verdict", report.valid ? "valid" : "NOT VALID"],
  ];
  return tableText(fields) + (report.firstBreak === null ? "" : breakText(report.firstBreak));
}

/** Who dealt it at first. */
export function dealerText({ dealtBy, dealer }: ProofReport): string {
  return dealtBy === "self" ? "self: the owner dealt it" : dealer;
}

export function traceText(report: ProofReport): string {
  const header = ["LINK", "PROVIDER", "TIME", "IN", "OUT", "STATE"];
  const rows = report.links.map((link) => [
    String(link.index),
    nameText(link),
    link.time ?? "-",
    shortDigest(link.digestIn),
    shortDigest(link.digestOut),
    link.valid ? "valid" : `BROKEN: ${link.problem ?? "not valid"}`,
  ]);
  const broken = report.firstBreak === null ? "the chain is whole\n" : breakText(report.firstBreak);
  const { envelope } = report;
  const beside =
    envelope === null ? "" : `, and an envelope of ${bytesText(envelope.lengthBytes)}, ${shortDigest(envelope.digest)}`;
  const kept = `${report.home} keeps ${report.keeping === null ? "nothing" : shortDigest(report.keeping.digestKept)}${beside}\n`;
  const dealt = `dealt by ${dealerText(report)}\n`;
  return `${dealt}${tableText([header, ...rows])}${kept}${broken}${federationText(report)}\n`;
}

/** @throws IntercloudError CHAIN_BROKEN, NOT_MEMBERS: exit code 5, after the report was printed. */
export function failWhenBroken({ firstBreak, federation }: ProofReport): void {
  if (firstBreak !== null) {
    const { index, problem, suspects } = firstBreak;
    const who = suspects.length === 0 ? "" : ` (${suspects.map(nameText).join(" or ")})`;
    throw new IntercloudError("CHAIN_BROKEN", "integrity", `the chain breaks at link ${index}: ${problem}${who}`, {
      peers: suspects.map(({ peer }) => peer),
    });
  }
  if (federation !== null && !federation.valid) {
    const message = `not in our federation file: ${federation.strangers.join(", ")}; the signatures hold, but whose are they?`;
    throw new IntercloudError("NOT_MEMBERS", "integrity", message, { peers: federation.strangers });
  }
}

/** What is shared among the providers, and what is kept beside it. */
export function formText({ form, envelope }: Pick<ProofReport, "form" | "envelope">): string {
  if (form === "whole") return "whole";
  if (envelope === null) return "detached: the key of a file that is with whoever encrypted it";
  return `envelope: the key of a file of ${bytesText(envelope.lengthBytes)}, which home and the other keepers keep`;
}

/** What it takes to read it, where it is now. */
export function neededText({ protocol, place }: Pick<ProofReport, "protocol" | "place">): string {
  const { threshold, copies, providers } = place;
  if (protocol === 1) return `this identity and 1 of the ${copies} that keep the ciphertext`;
  if (protocol === 2) return `this home's share and ${threshold - 1} of ${providers.length} providers`;
  return `${threshold} of ${providers.length} providers`;
}

/** Nothing while the deposit is as it was made. */
function placeText({ place }: ProofReport): string[][] {
  if (place.changed === null) return [];
  const { generation, changed, threshold, providers, dealtBy } = place;
  const dealt = dealtBy === "self" ? "; the owner dealt it" : "";
  return [["now", `generation ${generation} since ${changed}: ${threshold} of ${providers.join(", ")}${dealt}`]];
}

function federationText({ federation, dealtBy, place }: ProofReport): string {
  if (federation === null)
    return "not checked: there is no federation file here, so these are the signatures of unknown peers";
  if (federation.valid && dealtBy === "self" && place.dealtBy === "self")
    return "all providers are members of our federation; no dealer took part";
  if (federation.valid) return "the dealer and all providers are members of our federation";
  return `NOT MEMBERS of our federation: ${federation.strangers.join(", ")}`;
}

function breakText({ index, problem, suspects, signed }: BreakLine): string {
  const lines = [`the chain breaks at link ${index}: ${problem}`];
  for (const { by, says, digest } of signed) lines.push(`  ${nameText(by)} signed that ${shortDigest(digest)} ${says}`);
  if (suspects.length > 0) lines.push(`  one of them it is: ${suspects.map(nameText).join(", ")}`);
  return `${lines.join("\n")}\n`;
}

function nameText({ provider, peer }: Suspect): string {
  return provider ?? peer;
}

function shortDigest(digest: string | null): string {
  return digest?.slice(0, SHORT_DIGEST) ?? "-";
}
