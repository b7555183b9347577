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
import { DESCRIPTOR_FILE, DUTIES, FEDERATION_FILE } from "../config.ts";
import { initNode } from "../init.ts";

export const command: Command = {
  name: "node init",
  summary: "make a provider's directory: key, configuration, descriptor",
  options: [
    { name: "dir", value: "DIR", summary: "the directory to make" },
    { name: "name", value: "NAME", summary: "the node's name in the federation, such as acme-eu" },
    {
      name: "listen",
      value: "ADDRESS",
      summary: "a multiaddr to listen on, such as /ip4/192.0.2.1/tcp/4001",
      repeatable: true,
    },
    {
      name: "announce",
      value: "ADDRESS",
      summary: "a multiaddr that others dial, when it is not the one listened on",
      repeatable: true,
    },
    {
      name: "duties",
      value: "DUTY",
      summary: "what the node is willing to do (default: custody)",
      choices: DUTIES,
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
      throw usageError("a node needs --dir, --name and --listen");
    }
    const adminPort = numberOption(context, "admin-port");
    const duties = listOption(context, "duties");
    const passphrase = await passphraseFrom({ file: textOption(context, "passphrase-file"), env: context.env });
    const { descriptor } = await initNode({
      directory: path.resolve(directory),
      ...{ name, listen, passphrase, announce: listOption(context, "announce") },
      ...(adminPort === undefined ? {} : { adminPort }),
      ...(duties.length === 0 ? {} : { duties }),
    });
    const descriptorFile = path.resolve(directory, DESCRIPTOR_FILE);
    if (context.json) {
      await writeJson(context, { name, peer: descriptor.peer, descriptorFile });
    } else {
      await writeText(context.stdout, `${name} is ${descriptor.peer}\nits descriptor is ${descriptorFile}\n`);
      const federationFile = path.resolve(directory, FEDERATION_FILE);
      await writeText(context.stderr, `next: have it put into a federation, and that file put at ${federationFile}\n`);
    }
  },
};
