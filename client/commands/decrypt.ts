import { type Command, writeJson } from "../../runtime/command.ts";
import { counting } from "../counting.ts";
import { inputArgument, inputOf } from "./input.ts";
import { outputOf, outputOptions, releasing } from "./output.ts";
import { progressLine } from "./progress.ts";
import { RETRIEVE_ROUTE_OPTION, retrieveRouteOf, retrieveWarnings } from "./retrieve-options.ts";
import { PASSPHRASE_OPTION, withClient } from "./shared.ts";

export const command: Command = {
  name: "decrypt",
  summary: "decrypt what encrypt made",
  arguments: [inputArgument("what to decrypt")],
  options: [...outputOptions(), RETRIEVE_ROUTE_OPTION, PASSPHRASE_OPTION],
  async run(context) {
    const output = await outputOf(context);
    const progress = progressLine(context);
    const input = await inputOf(context, "decrypting", progress);
    await withClient(context, async (client, home) => {
      const warnings = retrieveWarnings(context, client, home, progress);
      try {
        const { tokenText, message } = await client.decrypt(input.open(), {
          ...{ route: retrieveRouteOf(context), signal: context.signal },
          onWarning: warnings.add,
        });
        let lengthBytes = 0;
        await output.write(releasing(counting(message, (doneBytes) => (lengthBytes = doneBytes))));
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
