/** What a check of an audit log found, in plain data. */
import { type LogReport, openEntry, readEntry, verifyLog } from "../../protocols/audit/index.ts";
import { equalBytes } from "../../protocols/crypto/digest.ts";
import { memberWithPeer, type SignedFederation } from "../../protocols/identity/federation.ts";
import { noAuditLog } from "./errors.ts";
import { type EventLine, eventLine, isoTime } from "./event-line.ts";
import type { Disclosure } from "./files.ts";
import type { LogSource } from "./source.ts";

export interface AuditReport {
  readonly valid: boolean;
  /** What the federation calls the node; null when no federation file is at hand or it is not in it. */
  readonly node: string | null;
  readonly peer: string | null;
  readonly log: string | null;
  /** Entries that the head signs for, and when it was signed. */
  readonly count: number | null;
  readonly time: string | null;
  readonly signatureValid: boolean;
  /** Entries from the first on that are in their place and unchanged. */
  readonly goodEntries: number;
  readonly firstBroken: { readonly sequence: number; readonly problem: string; readonly message: string } | null;
  /** Null when there is no federation file to hold it against. */
  readonly federation: { readonly valid: boolean } | null;
  readonly receipts: readonly { file: string; count: number; time: string; valid: boolean; problem: string | null }[];
  readonly disclosed: EventLine | null;
  /** Why it is not valid. */
  readonly problems: readonly string[];
}

export interface ReportOptions {
  readonly source: LogSource;
  readonly receipts: readonly { readonly file: string; readonly signedHead: Uint8Array }[];
  /** Whose log it has to be. */
  readonly peer?: string | undefined;
  readonly federation?: SignedFederation | undefined;
  readonly disclosure?: Disclosure | undefined;
}

/** @throws IntercloudError NO_AUDIT_LOG, and what reading the source throws; what is wrong with the log is in the report. */
export async function reportLog(options: ReportOptions): Promise<AuditReport> {
  const { source, receipts, federation, disclosure } = options;
  const signedHead = await source.signedHead();
  if (signedHead === undefined && receipts.length === 0 && (await isEmpty(source))) throw noAuditLog(source.name);
  const shown = disclosure === undefined ? undefined : readEntry(disclosure.entry)?.sequence;
  let disclosed: EventLine | null = null;
  const report = await verifyLog({
    signedHead: signedHead ?? new Uint8Array(),
    entries: source.entries(0),
    receipts: receipts.map((receipt) => receipt.signedHead),
    onEntry(entry, bytes) {
      if (disclosure !== undefined && entry.sequence === shown) disclosed = eventOf(disclosure, bytes);
    },
  });
  const { head, signatureValid, goodEntries, firstBroken } = report;
  const member = head === undefined || federation === undefined ? undefined : memberWithPeer(federation, head.peer);
  const checkedReceipts = report.receipts.map(({ count, timeMs, problem }, index) => {
    const message = problem === null ? null : RECEIPT_PROBLEMS[problem];
    return {
      file: receipts[index]?.file ?? "",
      count,
      time: isoTime(timeMs),
      valid: problem === null,
      problem: message,
    };
  });
  const problems = [
    ...headProblems(report, options.peer),
    ...(firstBroken === undefined ? [] : [brokenText(firstBroken)]),
    ...checkedReceipts.flatMap(({ file, problem }) => (problem === null ? [] : [`${file}: ${problem}`])),
    ...(federation !== undefined && head !== undefined && member === undefined
      ? [`${head.peer}, which signed the head, is not in the federation file`]
      : []),
    ...(disclosure !== undefined && disclosed === null
      ? ["the disclosed entry is not in this log, or its key does not open it"]
      : []),
  ];
  return {
    valid: problems.length === 0,
    node: member?.name ?? null,
    peer: head?.peer ?? null,
    log: head === undefined ? null : Buffer.from(head.log).toString("hex"),
    count: head?.count ?? null,
    time: head === undefined ? null : isoTime(head.timeMs),
    ...{ signatureValid, goodEntries },
    firstBroken: firstBroken === undefined ? null : { ...firstBroken, message: brokenText(firstBroken) },
    federation: federation === undefined ? null : { valid: member !== undefined },
    receipts: checkedReceipts,
    ...{ disclosed, problems },
  };
}

async function isEmpty(source: LogSource): Promise<boolean> {
  for await (const _ of source.entries(0)) return false;
  return true;
}

/** The event of this entry, if it is the one that was disclosed and the key opens it. */
function eventOf({ entry, eventKey }: Disclosure, bytes: Uint8Array): EventLine | null {
  const event = equalBytes(entry, bytes) ? openEntry(eventKey, bytes) : undefined;
  return event === undefined ? null : eventLine(bytes, event);
}

function headProblems({ head, signatureValid }: LogReport, expectedPeer: string | undefined): string[] {
  if (head === undefined) return ["the signed head is missing or cannot be read"];
  if (!signatureValid) return [`the head is not signed by ${head.peer}, as it says`];
  if (expectedPeer !== undefined && head.peer !== expectedPeer) {
    return [`this is the log of ${head.peer}, and not of this node, ${expectedPeer}`];
  }
  return [];
}

function brokenText({ sequence, problem }: NonNullable<LogReport["firstBroken"]>): string {
  if (problem === "missing") return `entry ${sequence} is missing`;
  if (problem === "altered") return `entry ${sequence} is not what was written`;
  if (problem === "reordered") return `entry ${sequence} is not in its place`;
  if (problem === "unsigned") return `entry ${sequence} comes behind the last one that the head signs for`;
  return (
    `the last entry, ${sequence}, is not the one that the head signs for, though all fit each other: ` +
    "the log was written anew, and from where on only an older receipt or the node's key can tell"
  );
}

const RECEIPT_PROBLEMS = {
  signature: "the receipt is not signed by the node that it names",
  "other log": "the receipt is of another log: of another node, or of a store that this node lost",
  shorter:
    "the log has fewer entries than the receipt says it had: it was cut, or the store was put back to an older state",
  changed: "the log does not begin with the entries that the receipt stands for",
} as const;
