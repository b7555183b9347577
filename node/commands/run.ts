import path from "node:path";
import { type Command, textOption, usageError } from "../../runtime/command.ts";
import { settingOptions } from "../../runtime/setting-options.ts";
import { NODE_DEFAULTS, NODE_SETTING_SUMMARIES } from "../config.ts";
import { runNode } from "../run.ts";

export const command: Command = {
  name: "node run",
  summary: "run a provider until it is told to stop",
  options: [
    { name: "dir", value: "DIR", summary: "the node's directory" },
    { name: "passphrase-file", value: "FILE", summary: "the file with the passphrase of the key file" },
    ...settingOptions(NODE_SETTING_SUMMARIES, NODE_DEFAULTS),
  ],
  async run(context) {
    const directory = textOption(context, "dir");
    if (directory === undefined) throw usageError("a node needs --dir");
    return await runNode({
      directory: path.resolve(directory),
      env: context.env,
      passphraseFile: textOption(context, "passphrase-file"),
      flags: context.options,
    });
  },
};
