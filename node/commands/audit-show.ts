import { eventKeyOf, openEntry, readEntry } from "../../protocols/audit/index.ts";
import { type Command, integerBetween, numberOption, usageError, writeText } from "../../runtime/command.ts";
import { auditBroken } from "../audit/errors.ts";
import { eventLine, lineText } from "../audit/event-line.ts";
import { configOf, DIR_OPTION, FILE_ARGUMENT, logKeyFor, PASSPHRASE_OPTION, withLog } from "./audit-shared.ts";

const count = integerBetween(0, 999_999_999_999_999);

export const command: Command = {
  name: "audit show",
  summary: "print the events of a node's audit log, opened with its key, one a line (JSON lines with --json)",
  arguments: [FILE_ARGUMENT],
  options: [
    DIR_OPTION,
    { name: "after", value: "N", summary: "leave out the first N entries", parse: count },
    { name: "limit", value: "M", summary: "print M entries at most", parse: count },
    PASSPHRASE_OPTION,
  ],
  async run(context) {
    const config = await configOf(context);
    if (config === undefined) throw usageError("name the node's directory with --dir: its key opens the events");
    const after = numberOption(context, "after") ?? 0;
    let left = numberOption(context, "limit") ?? Number.POSITIVE_INFINITY;
    await withLog(context, config, context.args[0], async (source) => {
      const logKey = await logKeyFor(context, config, source);
      try {
        if (left === 0) return;
        for await (const entry of source.entries(after)) {
          const line = eventLine(entry, opened(logKey, entry));
          await writeText(context.stdout, `${context.json ? JSON.stringify(line) : lineText(line)}\n`);
          left -= 1;
          if (left === 0) return;
        }
      } finally {
        logKey.fill(0);
      }
    });
  },
};

/** @throws IntercloudError AUDIT_BROKEN. */
function opened(logKey: Uint8Array, entry: Uint8Array): Uint8Array {
  const { sequence, eventId } = readEntry(entry) ?? {};
  const eventKey = eventId && eventKeyOf(logKey, eventId);
  const event = eventKey && openEntry(eventKey, entry);
  eventKey?.fill(0);
  if (event !== undefined) return event;
  const which = sequence === undefined ? "an entry" : `entry ${sequence}`;
  throw auditBroken(`${which} does not open with this node's key: it was altered; audit verify says more`);
}
