import path from "node:path";
import { type Command, textOption, usageError } from "../../runtime/command.ts";
import { settingOptions } from "../../runtime/setting-options.ts";
import { DEALER_DEFAULTS, DEALER_SETTING_SUMMARIES } from "../config.ts";
import { runDealer } from "../run.ts";

export const command: Command = {
  name: "dealer run",
  summary: "run a dealer until it is told to stop",
  options: [
    { name: "dir", value: "DIR", summary: "the dealer's directory" },
    { name: "passphrase-file", value: "FILE", summary: "the file with the passphrase of the key file" },
    ...settingOptions(DEALER_SETTING_SUMMARIES, DEALER_DEFAULTS),
  ],
  async run(context) {
    const directory = textOption(context, "dir");
    if (directory === undefined) throw usageError("a dealer needs --dir");
    return await runDealer({
      directory: path.resolve(directory),
      env: context.env,
      passphraseFile: textOption(context, "passphrase-file"),
      flags: context.options,
    });
  },
};
