import { type Command, textOption } from "../../runtime/command.ts";
import { CHANGE_OPTIONS, runChanges, TOKEN_OR_ALL } from "./changes.ts";
import { PASSPHRASE_OPTION } from "./shared.ts";

export const command: Command = {
  name: "refresh",
  summary: "give a deposit fresh shares, so that old ones are worth nothing",
  arguments: [TOKEN_OR_ALL],
  options: [...CHANGE_OPTIONS, PASSPHRASE_OPTION],
  async run(context) {
    const options = { signal: context.signal, dealer: textOption(context, "dealer") };
    await runChanges(context, context.args[0], (client, token) => client.refresh(token, options));
  },
};
