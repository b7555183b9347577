import { looksLikeReceipts } from "../../protocols/custody/destroyed.ts";
import { type Command, type CommandContext, writeJson, writeText } from "../../runtime/command.ts";
import { reportReceipts } from "../receipts-report.ts";
import { PROOF_ARGUMENT, type ProofArgument, proofArgument, reportOf } from "./proof-argument.ts";
import { failWhenBroken, verifyText } from "./proof-text.ts";
import { failWhenReceiptsBroken, receiptsText } from "./receipts-text.ts";
import { PASSPHRASE_OPTION } from "./shared.ts";

export const command: Command = {
  name: "verify",
  summary: "check a deposit's chain of signatures, or the receipts of one that was destroyed",
  arguments: [{ ...PROOF_ARGUMENT, summary: `${PROOF_ARGUMENT.summary}; or one that destroy --receipts wrote` }],
  options: [PASSPHRASE_OPTION],
  async run(context) {
    const argument = await proofArgument(context);
    if (argument.kind === "file" && looksLikeReceipts(argument.bytes)) await verifyReceipts(context, argument);
    else await verifyProof(context, argument);
  },
};

async function verifyProof(context: CommandContext, argument: ProofArgument): Promise<void> {
  const report = await reportOf(context, argument);
  if (context.json) await writeJson(context, report);
  else await writeText(context.stdout, verifyText(report));
  failWhenBroken(report);
}

async function verifyReceipts(context: CommandContext, file: ProofArgument & { readonly kind: "file" }): Promise<void> {
  const report = reportReceipts(file.bytes, file.members);
  if (context.json) await writeJson(context, report);
  else await writeText(context.stdout, receiptsText(report));
  failWhenReceiptsBroken(report);
}
