import { pipeline } from "node:stream/promises";
import type { RetrieveWarning } from "../../protocols/custody/client/index.ts";
import { parseTokenText } from "../../protocols/tokens/token-text.ts";
import { type Command, switchOption, textOption, writeJson } from "../../runtime/command.ts";
import type { Client } from "../client.ts";
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

    await withClient(context, async (client) => {
      const progress = progressLine(context);
      try {
        const { token, message } = await client.retrieve(tokenText, {
          ...{ route, signal: context.signal },
          onProgress: (bytes) => progress.update({ phase: "getting", ...bytes }),
          onWarning(warning) {
            progress.clear();
            warn(context, ...warningText(client, warning)).catch(() => undefined); // nobody reads our messages
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
      }
    });
  },
};

function warningText(client: Client, { kind, peers }: RetrieveWarning): [code: string, message: string] {
  const names = listed(peers.map((peer) => client.members.nameOf(peer)));
  return kind === "replaced"
    ? ["PROVIDER_REPLACED", `${names} failed while it was sending, and was replaced`]
    : ["WRONG_BYTES", `what ${names} sent together was wrong and was thrown away; trying with other providers`];
}
