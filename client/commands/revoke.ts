import { keyOfIdentity } from "../../protocols/identity/identity.ts";
import { parseTokenText } from "../../protocols/tokens/token-text.ts";
import { argumentAt, type Command } from "../../runtime/command.ts";
import { writeChanged } from "./grants-text.ts";
import { PASSPHRASE_OPTION, tokenArgument, withClient } from "./shared.ts";

export const command: Command = {
  name: "revoke",
  summary: "end what grant allowed; what was got before stays got",
  arguments: [
    { name: "TOKEN", summary: "as put printed it; - reads it from stdin" },
    { name: "IDENTITY", summary: "who shall not read the deposit any more" },
  ],
  options: [PASSPHRASE_OPTION],
  async run(context) {
    const tokenText = await tokenArgument(context);
    parseTokenText(tokenText); // what is wrong in the line is said before anything else
    const identity = argumentAt(context, 1);
    keyOfIdentity(identity);
    await withClient(context, async (client) => {
      const changed = await client.revoke(tokenText, identity, { signal: context.signal });
      const what = `${identity} has no grant of this deposit any more`;
      await writeChanged(context, client, changed, { token: tokenText, identity }, what);
    });
  },
};
