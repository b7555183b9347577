import path from "node:path";
import { type Command, type OptionSpec, textOption, usageError } from "../../runtime/command.ts";
import { NODE_DEFAULTS, NODE_SETTING_SUMMARIES } from "../config.ts";
import { runNode } from "../run.ts";

/** Every setting of `config.json` has a flag. */
const SETTING_OPTIONS = Object.entries(NODE_SETTING_SUMMARIES).map(([key, summary]): OptionSpec => {
  const name = key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  const isList = key === "listen" || Array.isArray(NODE_DEFAULTS[key as keyof typeof NODE_DEFAULTS]);
  return { name, value: "VALUE", summary, repeatable: isList };
});

export const command: Command = {
  name: "node run",
  summary: "run a provider until it is told to stop",
  options: [
    { name: "dir", value: "DIR", summary: "the node's directory" },
    { name: "passphrase-file", value: "FILE", summary: "the file with the passphrase of the key file" },
    ...SETTING_OPTIONS,
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
