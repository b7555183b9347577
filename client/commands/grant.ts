import { GRANT_PURPOSES, type GrantPurpose } from "../../protocols/custody/grants.ts";
import { keyOfIdentity } from "../../protocols/identity/identity.ts";
import { parseTokenText } from "../../protocols/tokens/token-text.ts";
import { systemClock } from "../../runtime/clock.ts";
import { argumentAt, type Command, listOption, textOption } from "../../runtime/command.ts";
import { expiryFrom, expiryText, isoOrNull } from "./expiry.ts";
import { writeChanged } from "./grants-text.ts";
import { PASSPHRASE_OPTION, tokenArgument, withClient } from "./shared.ts";

export const command: Command = {
  name: "grant",
  summary: "let another identity read a deposit",
  arguments: [
    { name: "TOKEN", summary: "as put printed it; - reads it from stdin" },
    { name: "IDENTITY", summary: "who, as its `intercloud id show` prints it" },
  ],
  options: [
    {
      name: "expires",
      value: "WHEN",
      summary: "how long (30m, 12h, 7d, 4w) or until when (2030-01-31T12:00:00Z); by default until it is revoked",
    },
    {
      name: "purpose",
      value: "PURPOSE",
      choices: [...GRANT_PURPOSES],
      repeatable: true,
      summary: "retrieve: get the message; show: only see who keeps it, and its proof (default both)",
    },
    PASSPHRASE_OPTION,
  ],
  async run(context) {
    const tokenText = await tokenArgument(context);
    parseTokenText(tokenText); // what is wrong in the line is said before anything else
    const identity = argumentAt(context, 1);
    keyOfIdentity(identity);
    const expires = textOption(context, "expires");
    const expiresAtMs = expires === undefined ? null : expiryFrom(expires, systemClock.nowMs());
    const chosen = listOption(context, "purpose") as readonly GrantPurpose[];
    const purposes = chosen.length === 0 ? GRANT_PURPOSES : chosen;
    await withClient(context, async (client) => {
      const changed = await client.grant(tokenText, identity, { purposes, expiresAtMs, signal: context.signal });
      const about = { token: tokenText, identity, purposes, expires: isoOrNull(expiresAtMs) };
      const may = purposes.includes("retrieve")
        ? "get this deposit and see its proof"
        : "see the proof of this deposit";
      const what = `${identity} may ${may} ${expiryText(expiresAtMs)}`;
      await writeChanged(context, client, changed, about, what);
    });
  },
};
