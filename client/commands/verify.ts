import { type Command, writeJson, writeText } from "../../runtime/command.ts";
import { PROOF_ARGUMENT, reportOf } from "./proof-argument.ts";
import { failWhenBroken, verifyText } from "./proof-text.ts";
import { PASSPHRASE_OPTION } from "./shared.ts";

export const command: Command = {
  name: "verify",
  summary: "check a deposit's chain of signatures",
  arguments: [PROOF_ARGUMENT],
  options: [PASSPHRASE_OPTION],
  async run(context) {
    const report = await reportOf(context);
    if (context.json) await writeJson(context, report);
    else await writeText(context.stdout, verifyText(report));
    failWhenBroken(report);
  },
};
