import { type Command, writeJson, writeText } from "../../runtime/command.ts";
import { listed, PASSPHRASE_OPTION, warn, withClient } from "./shared.ts";
import { bytesText, printable, tableText } from "./text.ts";

export const command: Command = {
  name: "list",
  summary: "list the deposits of this home's identity",
  options: [PASSPHRASE_OPTION],
  async run(context) {
    await withClient(context, async (client, { notes }) => {
      const { deposits, missing } = await client.list({ signal: context.signal });
      const absent = missing.map((peer) => client.members.nameOf(peer));
      const lines = await Promise.all(
        deposits.map(async ({ tokenText, token }) => ({
          token: tokenText,
          name: (await notes.find(tokenText))?.name ?? null,
          time: new Date(token.createdAtMs).toISOString(),
          home: client.members.nameOf(token.home),
          providers: token.providers,
          threshold: token.threshold,
          protocol: token.protocol,
          form: token.policy.form,
          lengthBytes: token.lengthBytes,
          copies: token.copies,
        })),
      );
      if (context.json) {
        await writeJson(context, { deposits: lines, missing: absent });
        return;
      }
      const header = ["TIME", "LENGTH", "T OF N", "NAME", "TOKEN"];
      const rows = lines.map(({ time, form, lengthBytes, threshold, providers, name, token }) => [
        time,
        form === "envelope" ? "key" : bytesText(lengthBytes), // of a file that is elsewhere
        `${threshold} of ${providers}`,
        printable(name ?? "-"),
        token,
      ]);
      if (rows.length > 0) await writeText(context.stdout, tableText([header, ...rows]));
      else await writeText(context.stderr, "there are no deposits of this identity\n");
      if (absent.length > 0) {
        const message = `${listed(absent)} did not answer; deposits that only they know are not listed`;
        await warn(context, "PROVIDERS_MISSING", message);
      }
    });
  },
};
