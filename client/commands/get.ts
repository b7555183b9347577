import { parseTokenText } from "../../protocols/tokens/token-text.ts";
import { type Command, writeJson } from "../../runtime/command.ts";
import { counting } from "../counting.ts";
import { outputOf, outputOptions, releasing } from "./output.ts";
import { progressLine } from "./progress.ts";
import { RETRIEVE_ROUTE_OPTION, retrieveRouteOf, retrieveWarnings } from "./retrieve-options.ts";
import { PASSPHRASE_OPTION, tokenArgument, withClient } from "./shared.ts";

export const command: Command = {
  name: "get",
  summary: "get a deposit back",
  arguments: [{ name: "TOKEN", summary: "as put printed it; - reads it from stdin" }],
  options: [...outputOptions(), RETRIEVE_ROUTE_OPTION, PASSPHRASE_OPTION],
  async run(context) {
    const tokenText = await tokenArgument(context);
    parseTokenText(tokenText); // a wrong token is said before anything else
    const output = await outputOf(context);

    await withClient(context, async (client, home) => {
      const progress = progressLine(context);
      const warnings = retrieveWarnings(context, client, home, progress);
      try {
        const { token, message } = await client.retrieve(tokenText, {
          ...{ route: retrieveRouteOf(context), signal: context.signal },
          onProgress: (bytes) => progress.update({ phase: "getting", ...bytes }),
          onWarning: (warning) => warnings.add(warning, tokenText),
        });
        let lengthBytes = 0;
        const counted = counting(message, (doneBytes) => (lengthBytes = doneBytes));
        await output.write(token.policy.form === "envelope" ? releasing(counted) : counted);
        if (context.json && output.file !== undefined) {
          await writeJson(context, { token: tokenText, file: output.file, lengthBytes });
        }
      } finally {
        progress.clear();
        await warnings.told();
      }
    });
  },
};
