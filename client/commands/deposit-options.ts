/** What the commands that make a deposit have in common: how the user chooses, and what is said about it afterwards. */
import type { Deposited } from "../../protocols/custody/client/index.ts";
import { messageBytesIn } from "../../protocols/envelope/index.ts";
import { MAX_PROVIDERS, MIN_THRESHOLD } from "../../protocols/rounds/constants.ts";
import { encodeToken, tokenIdOf } from "../../protocols/tokens/token.ts";
import {
  type CommandContext,
  integerBetween,
  listOption,
  numberOption,
  type OptionSpec,
  textOption,
} from "../../runtime/command.ts";
import type { DepositChoice } from "../deposit-plan.ts";
import type { Notes } from "../notes.ts";
import type { Members } from "../proof-report.ts";
import { warn } from "./shared.ts";

export const DEALER_OPTION: OptionSpec = {
  name: "dealer",
  value: "NAME",
  summary: "the dealer to ask; self: deal it here, with no dealer (default: any of the federation)",
};

export const DEPOSIT_OPTIONS: readonly OptionSpec[] = [
  {
    name: "protocol",
    value: "P",
    choices: ["1", "2", "3"],
    parse: Number,
    summary:
      "1: reading it needs this identity and one provider; 2: this home's own share of it, too; 3: t providers (default 3)",
  },
  {
    name: "route",
    value: "ROUTE",
    choices: ["chain", "fanout"],
    summary: "how it travels (default: fanout for what is short, as a key is; chain for the rest)",
  },
  {
    name: "providers",
    value: "N",
    parse: integerBetween(MIN_THRESHOLD, MAX_PROVIDERS),
    summary: "how many providers share it (default: all)",
  },
  {
    name: "threshold",
    value: "T",
    parse: integerBetween(MIN_THRESHOLD, MAX_PROVIDERS),
    summary: "how many of them are needed to read it (default: as config.json of the home says)",
  },
  {
    name: "copies",
    value: "K",
    parse: integerBetween(1, MAX_PROVIDERS),
    summary: "how many of them keep the ciphertext, and the envelope (default 3)",
  },
  {
    name: "without",
    value: "NAME",
    repeatable: true,
    summary: "a provider that is to have no part in it",
  },
  DEALER_OPTION,
];

export function choiceOf(context: CommandContext): DepositChoice {
  const route = textOption(context, "route");
  const protocol = numberOption(context, "protocol");
  return {
    providers: numberOption(context, "providers"),
    threshold: numberOption(context, "threshold"),
    copies: numberOption(context, "copies"),
    without: listOption(context, "without"),
    dealer: textOption(context, "dealer"),
    protocol: protocol === 1 || protocol === 2 || protocol === 3 ? protocol : undefined,
    route: route === "chain" || route === "fanout" ? route : undefined,
  };
}

/** For --json. */
export function depositedFields(
  { tokenText, token, envelope }: Pick<Deposited, "tokenText" | "token" | "envelope">,
  members: Members,
) {
  const { owner, providers, threshold, protocol, route, copies } = token;
  const lengthBytes = envelope === null ? token.lengthBytes : messageBytesIn(envelope.lengthBytes, tokenText);
  return {
    token: tokenText,
    tokenId: Buffer.from(tokenIdOf(encodeToken(token))).toString("hex"),
    owner,
    home: members.nameOf(token.home),
    form: token.policy.form,
    ...{ providers, threshold, protocol, route, lengthBytes, copies },
    dealtBy: token.dealer ?? "federation",
    envelope: envelope && { lengthBytes: envelope.lengthBytes, digest: Buffer.from(envelope.digest).toString("hex") },
    time: new Date(token.createdAtMs).toISOString(),
  };
}

/** The deposit exists, and the user has its token: whether its name is remembered does not change that. */
export async function remember(
  context: CommandContext,
  notes: Notes,
  { tokenText, token }: Pick<Deposited, "tokenText" | "token">,
  name: string | null,
): Promise<void> {
  try {
    await notes.write({ token: tokenText, name, time: new Date(token.createdAtMs).toISOString() });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    await warn(context, "NAME_NOT_KEPT", `the deposit is safe, but \`list\` will not show its name: ${why}`);
  }
}
