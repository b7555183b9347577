/** `TOKEN|FILE`: the proof of a deposit from a file, or from whoever keeps the deposit. */
import { readFile, stat } from "node:fs/promises";
import { MAX_PROOF_BYTES } from "../../protocols/custody/constants.ts";
import { parseTokenText } from "../../protocols/tokens/token-text.ts";
import { IntercloudError } from "../../protocols/wire/errors.ts";
import { type ArgumentSpec, argumentAt, type CommandContext } from "../../runtime/command.ts";
import { findFederation } from "../home.ts";
import { directoryOf } from "../open-client.ts";
import { type Members, type ProofReport, reportProof } from "../proof-report.ts";
import { withClient } from "./shared.ts";

export const PROOF_ARGUMENT: ArgumentSpec = {
  name: "TOKEN|FILE",
  summary: "a token, or a file that show --proof wrote (checked offline)",
};

export type ProofArgument =
  | { readonly kind: "token"; readonly text: string }
  /** With the members of the federation, when there is a home that knows them. */
  | { readonly kind: "file"; readonly bytes: Uint8Array; readonly members: Members | undefined };

/** From a file nothing is needed but the file. @throws IntercloudError BAD_TOKEN, NOT_A_PROOF. */
export async function proofArgument(context: CommandContext): Promise<ProofArgument> {
  const argument = argumentAt(context, 0);
  const found = await stat(argument).catch(() => undefined);
  if (found === undefined) {
    if (!argument.startsWith("ict1")) throw neither(argument);
    parseTokenText(argument);
    return { kind: "token", text: argument };
  }
  if (!found.isFile() || found.size > MAX_PROOF_BYTES) {
    throw new IntercloudError("NOT_A_PROOF", "bad-request", `${argument} is not a proof that show --proof wrote`);
  }
  const federation = await findFederation(context.home);
  const members = federation === undefined ? undefined : directoryOf(federation);
  return { kind: "file", bytes: await readFile(argument), members };
}

export async function reportOf(context: CommandContext, argument: ProofArgument): Promise<ProofReport> {
  if (argument.kind === "file") return reportProof(argument.bytes, argument.members);
  return await withClient(context, (client) => client.verify(argument.text, { signal: context.signal }));
}

function neither(argument: string): IntercloudError {
  const message = `"${argument}" is neither a token (ict1...) nor a file; check it, or write a proof with show --proof`;
  return new IntercloudError("BAD_TOKEN", "bad-request", message);
}
