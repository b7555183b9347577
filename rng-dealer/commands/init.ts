import path from "node:path";
import {
  type Command,
  integerBetween,
  listOption,
  numberOption,
  textOption,
  usageError,
  writeJson,
  writeText,
} from "../../runtime/command.ts";
import { passphraseFrom } from "../../runtime/passphrase.ts";
import { DESCRIPTOR_FILE } from "../config.ts";
import { initDealer } from "../init.ts";

export const command: Command = {
  name: "dealer init",
  summary: "make a dealer's directory: key, configuration, descriptor",
  options: [
    { name: "dir", value: "DIR", summary: "the directory to make" },
    { name: "name", value: "NAME", summary: "the dealer's name in the federation, such as dealer-1" },
    {
      name: "listen",
      value: "ADDRESS",
      summary: "a multiaddr to listen on, such as /ip4/192.0.2.1/tcp/4001",
      repeatable: true,
    },
    {
      name: "admin-port",
      value: "PORT",
      summary: "the port of the admin server on loopback (default: any free one)",
      parse: integerBetween(0, 65_535),
    },
    { name: "passphrase-file", value: "FILE", summary: "seal the key file with the passphrase in this file" },
  ],
  async run(context) {
    const directory = textOption(context, "dir");
    const name = textOption(context, "name");
    const listen = listOption(context, "listen");
    if (directory === undefined || name === undefined || listen.length === 0) {
      throw usageError("a dealer needs --dir, --name and --listen");
    }
    const adminPort = numberOption(context, "admin-port");
    const passphrase = await passphraseFrom({ file: textOption(context, "passphrase-file"), env: context.env });
    const { descriptor } = await initDealer({
      directory: path.resolve(directory),
      name,
      listen,
      passphrase,
      ...(adminPort === undefined ? {} : { adminPort }),
    });
    const descriptorFile = path.resolve(directory, DESCRIPTOR_FILE);
    if (context.json) await writeJson(context, { name, peer: descriptor.peer, descriptorFile });
    else await writeText(context.stdout, `${name} is ${descriptor.peer}\nits descriptor is ${descriptorFile}\n`);
  },
};
