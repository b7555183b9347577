import { type Command, writeJson, writeText } from "../../runtime/command.ts";
import { systemEntropy } from "../../runtime/entropy.ts";
import { createIdentity } from "../home.ts";
import { passphraseOf } from "./shared.ts";

export const command: Command = {
  name: "id new",
  summary: "make an identity in this home; never replaces one",
  options: [
    {
      name: "passphrase-file",
      value: "FILE",
      summary: "seal the key with the passphrase in FILE (also INTERCLOUD_PASSPHRASE_FILE, INTERCLOUD_PASSPHRASE)",
    },
  ],
  async run(context) {
    const identity = await createIdentity(context.home, systemEntropy, await passphraseOf(context));
    if (context.json) await writeJson(context, { identity, home: context.home });
    else await writeText(context.stdout, `${identity}\n`);
  },
};
