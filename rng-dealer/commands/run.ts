import path from "node:path";
import { type Command, listOption, textOption, usageError } from "../../runtime/command.ts";
import { runDealer } from "../run.ts";

export const command: Command = {
  name: "dealer run",
  summary: "run a dealer until it is told to stop",
  options: [
    { name: "dir", value: "DIR", summary: "the dealer's directory" },
    {
      name: "listen",
      value: "ADDRESS",
      summary: "listen here instead of where the configuration says",
      repeatable: true,
    },
    { name: "admin-port", value: "PORT", summary: "the port of the admin server" },
    { name: "log-level", value: "LEVEL", summary: "debug, info, warn or error" },
    { name: "federation-file", value: "FILE", summary: "the federation file" },
    { name: "passphrase-file", value: "FILE", summary: "the file with the passphrase of the key file" },
  ],
  async run(context) {
    const directory = textOption(context, "dir");
    if (directory === undefined) throw usageError("a dealer needs --dir");
    const listen = listOption(context, "listen");
    return await runDealer({
      directory: path.resolve(directory),
      env: context.env,
      passphraseFile: textOption(context, "passphrase-file"),
      flags: { ...context.options, listen: listen.length === 0 ? undefined : listen },
    });
  },
};
