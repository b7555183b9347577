/** An audit log for the tests of stores: its keys, and reading it back. */
import type { AuditOptions, StoredLog } from "../../node/store/index.ts";
import {
  eventKeyOf,
  type LogReport,
  logKeyOf,
  openEntry,
  readEntry,
  readSignedHead,
  verifyLog,
} from "../../protocols/audit/index.ts";
import { signerFromSeed } from "../../protocols/crypto/signing.ts";

export const AUDIT: AuditOptions = {
  key: new Uint8Array(32).fill(5),
  signer: signerFromSeed(new Uint8Array(32).fill(3)),
  clock: { nowMs: () => 1_700_000_000_000 },
};

/** The events of a whole log, in order. @throws Error when it does not check. */
export async function eventsIn(log: StoredLog, auditKey: Uint8Array = AUDIT.key): Promise<Uint8Array[]> {
  const signedHead = await log.signedHead();
  if (signedHead === undefined) return [];
  const { head } = readSignedHead(signedHead);
  const logKey = logKeyOf(auditKey, head.log);
  const events: Uint8Array[] = [];
  const report: LogReport = await verifyLog({
    signedHead,
    entries: log.entries(0),
    onEntry(_, bytes) {
      const event = openEntry(eventKeyOf(logKey, readEntry(bytes)?.eventId ?? new Uint8Array()), bytes);
      if (event === undefined) throw new Error("an entry does not open");
      events.push(event);
    },
  });
  if (!report.valid) throw new Error(`the log does not check: ${JSON.stringify(report.firstBroken)}`);
  return events;
}
