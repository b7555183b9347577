import { type Command, writeJson, writeText } from "../../runtime/command.ts";
import { PASSPHRASE_OPTION, withClient } from "./shared.ts";

export const command: Command = {
  name: "stock drop",
  summary: "throw away the deals that were fetched ahead; no deposit needs them",
  options: [PASSPHRASE_OPTION],
  async run(context) {
    await withClient(context, async ({ stock }) => {
      const dropped = await stock.drop();
      if (context.json) await writeJson(context, { dropped });
      else await writeText(context.stdout, `dropped ${dropped}\n`);
    });
  },
};
