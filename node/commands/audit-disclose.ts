import { readEntry } from "../../protocols/audit/index.ts";
import { IntercloudError } from "../../protocols/wire/errors.ts";
import { argumentAt, type Command, integerBetween, usageError, writeText } from "../../runtime/command.ts";
import { disclosureText } from "../audit/files.ts";
import { configOf, DIR_OPTION, logKeyFor, PASSPHRASE_OPTION, withLog } from "./audit-shared.ts";

export const command: Command = {
  name: "audit disclose",
  summary: "print one entry of a node's audit log with the key of its event, for an auditor; it opens nothing else",
  arguments: [{ name: "N", summary: "the entry's number" }],
  options: [DIR_OPTION, PASSPHRASE_OPTION],
  async run(context) {
    const sequence = integerBetween(1, 999_999_999_999_999)(argumentAt(context, 0));
    const config = await configOf(context);
    if (config === undefined) throw usageError("name the node's directory with --dir: its key opens the events");
    await withLog(context, config, undefined, async (source) => {
      const logKey = await logKeyFor(context, config, source);
      try {
        for await (const entry of source.entries(sequence - 1)) {
          if (readEntry(entry)?.sequence !== sequence) break;
          return await writeText(context.stdout, disclosureText(logKey, entry));
        }
      } finally {
        logKey.fill(0);
      }
      throw new IntercloudError(
        "NO_SUCH_ENTRY",
        "not-found",
        `there is no entry ${sequence} in the log ${source.name}`,
      );
    });
  },
};
