import { type Command, writeJson, writeText } from "../../runtime/command.ts";
import { PROOF_ARGUMENT, proofArgument, reportOf } from "./proof-argument.ts";
import { failWhenBroken, traceText } from "./proof-text.ts";
import { PASSPHRASE_OPTION } from "./shared.ts";

export const command: Command = {
  name: "trace",
  summary: "follow a deposit along its chain and name the first link that breaks",
  arguments: [PROOF_ARGUMENT],
  options: [PASSPHRASE_OPTION],
  async run(context) {
    const report = await reportOf(context, await proofArgument(context));
    const { valid, form, envelope, links, keeping, firstBreak } = report;
    if (context.json) await writeJson(context, { valid, form, envelope, links, keeping, firstBreak });
    else await writeText(context.stdout, traceText(report));
    failWhenBroken(report);
  },
};
