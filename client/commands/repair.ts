import type { RepairReport } from "../../protocols/custody/client/index.ts";
import { IntercloudError } from "../../protocols/wire/errors.ts";
import { type Command, writeJson, writeText } from "../../runtime/command.ts";
import { PASSPHRASE_OPTION, tokenArgument, withClient } from "./shared.ts";
import { tableText } from "./text.ts";

export const command: Command = {
  name: "repair",
  summary: "have every provider make good what it lost of a deposit",
  arguments: [{ name: "TOKEN", summary: "as put printed it; - reads it from stdin" }],
  options: [PASSPHRASE_OPTION],
  async run(context) {
    const tokenText = await tokenArgument(context);
    await withClient(context, async (client) => {
      const { providers } = await client.repair(tokenText, { signal: context.signal });
      const lines = providers.map(({ peer, repaired, error }) => ({
        name: client.members.nameOf(peer),
        peer,
        ...{ good: error === undefined, repaired: repaired ?? null },
        ...(error === undefined ? {} : { problem: error.status }),
      }));
      if (context.json) await writeJson(context, { token: tokenText, providers: lines });
      else await writeText(context.stdout, tableText(lines.map((line) => [line.name, stateText(line)])));
      const bad = lines.filter(({ good }) => !good);
      if (bad.length === 0) return;
      const details = { answered: lines.length - bad.length, needed: lines.length, peers: bad.map(({ peer }) => peer) };
      const names = bad.map(({ name, problem }) => `${name}: ${problem}`).join(", ");
      const message = `${details.answered} of ${details.needed} providers have all that they should (${names}); run it again when the others are up`;
      throw new IntercloudError("NOT_ALL_REPAIRED", "unreachable", message, details);
    });
  },
};

interface Line {
  readonly repaired: RepairReport["providers"][number]["repaired"] | null;
  readonly problem?: string;
}

function stateText({ repaired, problem }: Line): string {
  if (repaired == null) return `not repaired (${problem})`;
  const { share, ciphertext, envelope } = repaired;
  const done = { "share rebuilt": share, "ciphertext copied": ciphertext, "envelope copied": envelope };
  const made = Object.entries(done).flatMap(([what, isDone]) => (isDone ? [what] : []));
  if (made.length > 0) return made.join(", ");
  return repaired.record ? "record restored" : "good";
}
