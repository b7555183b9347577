/** What `refresh` and `move` have in common: one token or all of them, and what is told afterwards. */
import type { Changed } from "../../protocols/custody/client/index.ts";
import { parseTokenText } from "../../protocols/tokens/token-text.ts";
import { IntercloudError } from "../../protocols/wire/errors.ts";
import {
  type ArgumentSpec,
  type CommandContext,
  type OptionSpec,
  switchOption,
  textOption,
  usageError,
  writeJson,
  writeText,
} from "../../runtime/command.ts";
import type { Client } from "../client-api.ts";
import { writeOutput } from "../output-file.ts";
import { DEALER_OPTION } from "./deposit-options.ts";
import { listed, warn, withClient } from "./shared.ts";

export const TOKEN_OR_ALL: ArgumentSpec = {
  name: "TOKEN",
  summary: "as put printed it; left out with --all",
  required: false,
};
export const CHANGE_OPTIONS: readonly OptionSpec[] = [
  { name: "all", summary: "all deposits of this home's identity, one after another" },
  DEALER_OPTION,
  { name: "receipts", value: "FILE", summary: "write what the providers signed about it (one deposit only)" },
];

type Change = (client: Client, tokenText: string) => Promise<Changed>;

/** @throws IntercloudError SOME_FAILED (exit 4) when some of all could not be changed; the others were. */
export async function runChanges(context: CommandContext, token: string | undefined, change: Change): Promise<void> {
  const all = switchOption(context, "all");
  const receipts = textOption(context, "receipts");
  if (all === (token !== undefined)) throw usageError("name one token, or say --all");
  if (all && receipts !== undefined) throw usageError("--receipts is for one token");
  if (token !== undefined) parseTokenText(token);
  await withClient(context, async (client) => {
    if (token !== undefined) {
      const changed = await change(client, token);
      if (receipts !== undefined) await writeOutput(receipts, receiptsOf(changed), { force: false });
      await tell(context, client, changed);
      if (context.json) await writeJson(context, lineOf(client, changed));
      return;
    }
    await changeAll(context, client, change);
  });
}

async function changeAll(context: CommandContext, client: Client, change: Change): Promise<void> {
  const { deposits, missing } = await client.list({ signal: context.signal });
  const failures: unknown[] = [];
  const done: Changed[] = [];
  for (const { tokenText } of deposits) {
    try {
      const changed = await change(client, tokenText);
      done.push(changed);
      await tell(context, client, changed);
    } catch (error) {
      context.signal.throwIfAborted();
      // what is wrong with the command is wrong for each of them
      if (!(error instanceof IntercloudError) || error.status === "bad-request") throw error;
      failures.push(error);
      await warn(context, error.code, `${tokenText}: ${error.message}`);
    }
  }
  if (missing.length > 0) {
    const names = listed(missing.map((peer) => client.members.nameOf(peer)));
    await warn(context, "PROVIDERS_MISSING", `${names} did not answer; deposits that only they know were left alone`);
  }
  if (context.json) await writeJson(context, { deposits: done.map((each) => lineOf(client, each)) });
  if (failures.length === 0) return;
  const text = `${failures.length} of ${deposits.length} deposits could not be changed and are as they were; run it again`;
  const details = { answered: deposits.length - failures.length, needed: deposits.length };
  throw new IntercloudError("SOME_FAILED", "unreachable", text, details, failures[0]);
}

function lineOf(client: Client, { tokenText, placement, missing }: Changed) {
  const { generation, manifest, roster, copies } = placement;
  const { threshold } = manifest;
  const names = (peers: readonly string[]) => peers.map((peer) => client.members.nameOf(peer));
  return {
    ...{ token: tokenText, generation, providers: names(roster), threshold, copies },
    missing: names(missing),
  };
}

async function tell(context: CommandContext, client: Client, { tokenText, missing }: Changed): Promise<void> {
  if (!context.json) await writeText(context.stdout, `${tokenText}\n`);
  if (missing.length === 0) return;
  const names = listed(missing.map((peer) => client.members.nameOf(peer)));
  const text = `${names} did not answer and may still have the old share; the new home goes on telling them`;
  await warn(context, "OLD_SHARE_LEFT", text);
}

/** A line of JSON: base64 of everything that was signed. */
async function* receiptsOf({ tokenText, proof, retired }: Changed): AsyncIterable<Uint8Array> {
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");
  const receipts = { token: tokenText, change: base64(proof), retired: retired.map(base64) };
  yield Buffer.from(`${JSON.stringify(receipts)}\n`);
}
