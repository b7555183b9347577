import path from "node:path";
import { type Command, textOption, writeJson, writeText } from "../../runtime/command.ts";
import { passphraseFrom } from "../../runtime/passphrase.ts";
import { createFederationFile } from "../federation.ts";

export const command: Command = {
  name: "federation create",
  summary: "put descriptors together into one signed federation file",
  arguments: [{ name: "DESCRIPTOR", summary: "the descriptor.json of each provider and dealer", variadic: true }],
  options: [
    { name: "name", value: "NAME", summary: "the federation's name", default: "federation" },
    { name: "output", short: "o", value: "FILE", summary: "the file to write", default: "federation.json" },
    {
      name: "key",
      value: "FILE",
      summary: "the founder's key; is made if it is not there, keep it for later changes",
      default: "founder-key.json",
    },
    { name: "passphrase-file", value: "FILE", summary: "a file with the passphrase of the founder's key" },
  ],
  async run(context) {
    const { args, env } = context;
    const outputFile = path.resolve(textOption(context, "output") ?? "federation.json");
    const federation = await createFederationFile({
      name: textOption(context, "name") ?? "federation",
      descriptorFiles: args.map((file) => path.resolve(file)),
      keyFile: path.resolve(textOption(context, "key") ?? "founder-key.json"),
      passphrase: await passphraseFrom({ file: textOption(context, "passphrase-file"), env }),
      outputFile,
    });
    const names = (members: typeof federation.providers) => members.map(({ name }) => name);
    const providers = names(federation.providers);
    const dealers = names(federation.dealers);
    const founder = Buffer.from(federation.founder).toString("hex");
    if (context.json) {
      await writeJson(context, { file: outputFile, name: federation.name, founder, providers, dealers });
    } else {
      const rows = [`file ${outputFile}`, `providers ${providers.join(" ")}`, `dealers ${dealers.join(" ")}`];
      await writeText(context.stdout, `${[...rows, `founder ${founder}`].join("\n")}\n`);
    }
  },
};
