import { messageBytesIn } from "../../protocols/envelope/index.ts";
import { type Command, writeJson, writeText } from "../../runtime/command.ts";
import { grantJson } from "./grants-text.ts";
import { listed, PASSPHRASE_OPTION, warn, withClient } from "./shared.ts";
import { bytesText, printable, tableText } from "./text.ts";

export const command: Command = {
  name: "list",
  summary: "list the deposits of this home's identity, and those that others let it read",
  options: [PASSPHRASE_OPTION],
  async run(context) {
    await withClient(context, async (client, { notes }) => {
      const { deposits, missing } = await client.list({ signal: context.signal });
      const absent = missing.map((peer) => client.members.nameOf(peer));
      const lines = await Promise.all(
        deposits.map(async ({ tokenText, token, envelopeBytes, grant }) => ({
          token: tokenText,
          name: (await notes.find(tokenText))?.name ?? null,
          time: new Date(token.createdAtMs).toISOString(),
          home: client.members.nameOf(token.home),
          providers: token.providers,
          threshold: token.threshold,
          protocol: token.protocol,
          form: token.policy.form,
          lengthBytes: envelopeBytes === null ? token.lengthBytes : messageBytesIn(envelopeBytes, tokenText),
          envelopeBytes,
          copies: token.copies,
          owner: token.owner,
          grant: grant && grantJson(grant),
        })),
      );
      if (context.json) {
        await writeJson(context, { deposits: lines, missing: absent });
        return;
      }
      const own = lines.filter(({ grant }) => grant === null);
      const granted = lines.filter(({ grant }) => grant !== null);
      const ownTable = [
        ["TIME", "LENGTH", "T OF N", "NAME", "TOKEN"],
        ...own.map((line) => rowOf(line, line.name ?? "-")),
      ];
      const grantedTable = [
        ["TIME", "LENGTH", "T OF N", "GRANTED BY", "MAY", "UNTIL", "TOKEN"],
        ...granted.map(({ grant, ...line }) =>
          rowOf(line, line.owner, grant?.purposes.join(", "), grant?.expires ?? "revoked"),
        ),
      ];
      if (own.length > 0) await writeText(context.stdout, tableText(ownTable));
      if (granted.length > 0) await writeText(context.stdout, (own.length > 0 ? "\n" : "") + tableText(grantedTable));
      if (lines.length === 0) await writeText(context.stderr, "there are no deposits of this identity\n");
      if (absent.length > 0) {
        const message = `${listed(absent)} did not answer; deposits that only they know are not listed`;
        await warn(context, "PROVIDERS_MISSING", message);
      }
    });
  },
};

interface Line {
  readonly form: string;
  readonly time: string;
  readonly lengthBytes: number;
  readonly threshold: number;
  readonly providers: number;
  readonly token: string;
}

function rowOf(
  { time, form, lengthBytes, threshold, providers, token }: Line,
  ...cells: readonly (string | undefined)[]
) {
  const middle = cells.map((cell) => printable(cell ?? "-"));
  // of a file that is elsewhere
  const length = form === "detached" ? "key" : bytesText(lengthBytes);
  return [time, length, `${threshold} of ${providers}`, ...middle, token];
}
