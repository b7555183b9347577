import { pipeline } from "node:stream/promises";
import type { RetrieveWarning } from "../../protocols/custody/client/index.ts";
import { parseTokenText } from "../../protocols/tokens/token-text.ts";
import { type Command, type CommandContext, switchOption, textOption, writeJson } from "../../runtime/command.ts";
import type { Client } from "../client.ts";
import { keepEvidence } from "../evidence-files.ts";
import type { Home } from "../home.ts";
import { checkOutput, writeOutput } from "../output-file.ts";
import { progressLine } from "./progress.ts";
import { listed, PASSPHRASE_OPTION, tokenArgument, warn, withClient } from "./shared.ts";

export const command: Command = {
  name: "get",
  summary: "get a deposit back",
  arguments: [{ name: "TOKEN", summary: "as put printed it; - reads it from stdin" }],
  options: [
    {
      name: "output",
      short: "o",
      value: "FILE",
      summary: "where to; the file (mode 0600) appears when it is whole (default: stdout)",
    },
    { name: "force", summary: "replace FILE if it exists" },
    { name: "route", value: "ROUTE", choices: ["chain", "fanout"], summary: "how it travels (default fanout)" },
    PASSPHRASE_OPTION,
  ],
  async run(context) {
    const tokenText = await tokenArgument(context);
    parseTokenText(tokenText); // a wrong token is said before anything else
    const given = textOption(context, "output");
    const file = given === "-" ? undefined : given;
    const force = switchOption(context, "force");
    if (file !== undefined) await checkOutput(file, { force });
    const route = textOption(context, "route") === "chain" ? "chain" : "fanout";

    await withClient(context, async (client, home) => {
      const progress = progressLine(context);
      const telling: Promise<void>[] = [];
      try {
        const { token, message } = await client.retrieve(tokenText, {
          ...{ route, signal: context.signal },
          onProgress: (bytes) => progress.update({ phase: "getting", ...bytes }),
          onWarning(warning) {
            progress.clear();
            telling.push(tell(context, client, home, tokenText, warning));
          },
        });
        if (file === undefined) {
          await pipeline(message, context.stdout, { signal: context.signal, end: false });
        } else {
          await writeOutput(file, message, { force });
          if (context.json) await writeJson(context, { token: tokenText, file, lengthBytes: token.lengthBytes });
        }
      } finally {
        progress.clear();
        await Promise.all(telling);
      }
    });
  },
};

/** What went wrong and was mended. Evidence is kept in the home. Never throws: the message is what matters. */
async function tell(
  context: CommandContext,
  client: Client,
  { evidenceDirectory }: Home,
  tokenText: string,
  warning: RetrieveWarning,
): Promise<void> {
  const names = listed(warning.peers.map((peer) => client.members.nameOf(peer)));
  try {
    if (warning.kind === "replaced") {
      await warn(context, "PROVIDER_REPLACED", `${names} failed while it was sending, and was replaced`);
    } else if (warning.kind === "wrong-bytes") {
      await warn(
        context,
        "WRONG_BYTES",
        `what ${names} sent together was wrong and was thrown away; asking each alone`,
      );
    } else if (warning.kind === "named") {
      const { kind, evidence } = warning.accusation;
      const file = await keepEvidence(evidenceDirectory, `${names}-${kind}`, tokenText, evidence);
      const did = kind === "lost" ? "lost what it should keep, as it says itself" : `lied (${kind})`;
      await warn(context, "LIAR_NAMED", `${names} ${did}; the evidence is in ${file}, see verify-evidence`);
    }
  } catch {
    // nobody reads our messages, or the evidence cannot be kept
  }
}
