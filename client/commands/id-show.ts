import { signerFromSeed } from "../../protocols/crypto/signing.ts";
import { identityOfKey } from "../../protocols/identity/identity.ts";
import { type Command, writeJson, writeText } from "../../runtime/command.ts";
import { withIdentity } from "../home.ts";
import { PASSPHRASE_OPTION, passphraseOf } from "./shared.ts";

export const command: Command = {
  name: "id show",
  summary: "print the identity of this home",
  options: [PASSPHRASE_OPTION],
  async run(context) {
    const passphrase = await passphraseOf(context);
    const identity = await withIdentity(context.home, passphrase, (seed) =>
      identityOfKey(signerFromSeed(seed).publicKey),
    );
    if (context.json) await writeJson(context, { identity, home: context.home });
    else await writeText(context.stdout, `${identity}\n`);
  },
};
