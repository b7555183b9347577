import path from "node:path";
import { argumentAt, type Command, writeJson, writeText } from "../../runtime/command.ts";
import { fileSource } from "../sources.ts";
import { choiceOf, DEPOSIT_OPTIONS, depositedFields, remember } from "./deposit-options.ts";
import { progressLine } from "./progress.ts";
import { PASSPHRASE_OPTION, withClient } from "./shared.ts";

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
    ...DEPOSIT_OPTIONS,
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
      if (context.json) await writeJson(context, depositedFields(deposited, client.members));
      else await writeText(context.stdout, `${deposited.tokenText}\n`);
      await remember(context, notes, deposited, file === "-" ? null : path.basename(file));
    });
  },
};
