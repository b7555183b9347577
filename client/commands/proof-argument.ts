/** `TOKEN|FILE`: the proof of a deposit from a file, or from whoever keeps the deposit. */
import { readFile, stat } from "node:fs/promises";
import { MAX_PROOF_BYTES } from "../../protocols/custody/constants.ts";
import { parseTokenText } from "../../protocols/tokens/token-text.ts";
import { IntercloudError } from "../../protocols/wire/errors.ts";
import { type ArgumentSpec, argumentAt, type CommandContext } from "../../runtime/command.ts";
import { findFederation } from "../home.ts";
import { directoryOf } from "../open-client.ts";
import { type ProofReport, reportProof } from "../proof-report.ts";
import { withClient } from "./shared.ts";

export const PROOF_ARGUMENT: ArgumentSpec = {
  name: "TOKEN|FILE",
  summary: "a token, or a file that show --proof wrote (checked offline)",
};

/** From a file nothing is needed but the file; the federation file of a home is used when there is one. */
export async function reportOf(context: CommandContext): Promise<ProofReport> {
  const argument = argumentAt(context, 0);
  const found = await stat(argument).catch(() => undefined);
  if (found === undefined) {
    if (!argument.startsWith("ict1")) throw neither(argument);
    parseTokenText(argument);
    return await withClient(context, (client) => client.verify(argument, { signal: context.signal }));
  }
  if (!found.isFile() || found.size > MAX_PROOF_BYTES) {
    throw new IntercloudError("NOT_A_PROOF", "bad-request", `${argument} is not a proof that show --proof wrote`);
  }
  const federation = await findFederation(context.home);
  return reportProof(await readFile(argument), federation === undefined ? undefined : directoryOf(federation));
}

function neither(argument: string): IntercloudError {
  const message = `"${argument}" is neither a token (ict1...) nor a file; check it, or write a proof with show --proof`;
  return new IntercloudError("BAD_TOKEN", "bad-request", message);
}
