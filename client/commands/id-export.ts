import { signerFromSeed } from "../../protocols/crypto/signing.ts";
import { identityOfKey } from "../../protocols/identity/identity.ts";
import { type Command, textOption, usageError, writeJson } from "../../runtime/command.ts";
import { writeKeyFile } from "../../runtime/key-file.ts";
import { passphraseFrom } from "../../runtime/passphrase.ts";
import { withIdentity } from "../home.ts";

export const command: Command = {
  name: "id export",
  summary: "write the identity's key to a file, sealed with a passphrase, to keep it elsewhere",
  options: [
    {
      name: "output",
      short: "o",
      value: "FILE",
      summary: "a new file (mode 0600); it can be the identity.json of a home",
    },
    {
      name: "passphrase-file",
      value: "FILE",
      summary: "holds the passphrase to seal with (also INTERCLOUD_PASSPHRASE_FILE, INTERCLOUD_PASSPHRASE)",
    },
  ],
  async run(context) {
    const file = textOption(context, "output");
    if (file === undefined || file === "-") throw usageError("name a file with -o: a key is not written to stdout");
    const sealing = await passphraseFrom({ file: textOption(context, "passphrase-file"), env: context.env });
    if (sealing === undefined) {
      throw usageError(
        "a key leaves its home only sealed: give a passphrase with --passphrase-file or INTERCLOUD_PASSPHRASE",
      );
    }
    // The home may be sealed with another passphrase, which the environment then holds.
    const opening = (await passphraseFrom({ env: context.env })) ?? sealing;
    const identity = await withIdentity(context.home, opening, async (seed) => {
      await writeKeyFile(file, seed, sealing);
      return identityOfKey(signerFromSeed(seed).publicKey);
    });
    if (context.json) await writeJson(context, { identity, file });
  },
};
