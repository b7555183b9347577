import path from "node:path";
import type { Deposited } from "../../protocols/custody/client/index.ts";
import { MAX_PROVIDERS, MIN_THRESHOLD } from "../../protocols/rounds/constants.ts";
import { encodeToken, tokenIdOf } from "../../protocols/tokens/token.ts";
import {
  argumentAt,
  type Command,
  type CommandContext,
  integerBetween,
  numberOption,
  textOption,
  writeJson,
  writeText,
} from "../../runtime/command.ts";
import type { Client } from "../client.ts";
import type { Notes } from "../notes.ts";
import { fileSource } from "../sources.ts";
import { progressLine } from "./progress.ts";
import { PASSPHRASE_OPTION, warn, withClient } from "./shared.ts";

const PHASES = { reading: "reading", hashing: "hashing", dealing: "dealing", pouring: "sending", sealing: "sealing" };

export const command: Command = {
  name: "put",
  summary: "deposit a file and print its token",
  arguments: [{ name: "FILE", summary: "what to deposit; - is stdin" }],
  options: [
    {
      name: "whole",
      summary: "layer the message itself over the providers (the only form there is yet, and the default)",
    },
    {
      name: "protocol",
      value: "P",
      choices: ["2", "3"],
      parse: Number,
      summary: "2: reading it also needs this home's own share of it; 3: this home keeps nothing (default 3)",
    },
    { name: "route", value: "ROUTE", choices: ["chain", "fanout"], summary: "how it travels (default chain)" },
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
      summary: "how many of them keep the ciphertext (default 3)",
    },
    PASSPHRASE_OPTION,
  ],
  async run(context) {
    const file = argumentAt(context, 0);
    const source = file === "-" ? context.stdin : await fileSource(file);
    await withClient(context, async (client, { notes }) => {
      const progress = progressLine(context);
      let isDealt = false;
      const deposited = await client
        .deposit(source, {
          ...choiceOf(context),
          signal: context.signal,
          onProgress({ phase, ...bytes }) {
            isDealt ||= phase === "dealing";
            // Both go on at once, and dealing is what takes longer.
            if (phase !== "hashing" || !isDealt) progress.update({ phase: PHASES[phase], ...bytes });
          },
        })
        .finally(progress.clear);
      await writeDeposited(context, client, deposited);
      await remember(context, notes, deposited, file === "-" ? null : path.basename(file));
    });
  },
};

function choiceOf(context: CommandContext) {
  const route = textOption(context, "route");
  const protocol = numberOption(context, "protocol");
  return {
    providers: numberOption(context, "providers"),
    threshold: numberOption(context, "threshold"),
    copies: numberOption(context, "copies"),
    protocol: protocol === 2 || protocol === 3 ? protocol : undefined,
    route: route === "chain" || route === "fanout" ? route : undefined,
  } as const;
}

async function writeDeposited(context: CommandContext, client: Client, { tokenText, token }: Deposited): Promise<void> {
  if (!context.json) {
    await writeText(context.stdout, `${tokenText}\n`);
    return;
  }
  const { owner, providers, threshold, protocol, route, lengthBytes, copies } = token;
  await writeJson(context, {
    token: tokenText,
    tokenId: Buffer.from(tokenIdOf(encodeToken(token))).toString("hex"),
    owner,
    home: client.members.nameOf(token.home),
    ...{ providers, threshold, protocol, route, lengthBytes, copies },
    time: new Date(token.createdAtMs).toISOString(),
  });
}

/** The deposit exists and its token was printed: whether its name is remembered does not change that. */
async function remember(
  context: CommandContext,
  notes: Notes,
  { tokenText, token }: Deposited,
  name: string | null,
): Promise<void> {
  try {
    await notes.write({ token: tokenText, name, time: new Date(token.createdAtMs).toISOString() });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    await warn(context, "NAME_NOT_KEPT", `the deposit is safe, but \`list\` will not show its name: ${why}`);
  }
}
