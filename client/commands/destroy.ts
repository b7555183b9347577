import { createInterface } from "node:readline/promises";
import { parseTokenText } from "../../protocols/tokens/token-text.ts";
import { IntercloudError } from "../../protocols/wire/errors.ts";
import {
  argumentAt,
  type Command,
  type CommandContext,
  switchOption,
  textOption,
  usageError,
  writeJson,
  writeText,
} from "../../runtime/command.ts";
import { checkOutput, writeOutput } from "../output-file.ts";
import { destroyedText, failWhenRecoverable } from "./receipts-text.ts";
import { oneChunk, PASSPHRASE_OPTION, tokenArgument, withClient } from "./shared.ts";
import { printable } from "./text.ts";

export const command: Command = {
  name: "destroy",
  summary: "have the providers destroy a deposit; cannot be undone",
  arguments: [{ name: "TOKEN", summary: "as put printed it; - reads it from stdin" }],
  options: [
    { name: "yes", short: "y", summary: "do not ask; needed where there is no terminal to ask at" },
    { name: "receipts", value: "FILE", summary: "write the providers' signed receipts, which verify checks offline" },
    PASSPHRASE_OPTION,
  ],
  async run(context) {
    const isSure = switchOption(context, "yes");
    if (!isSure && (argumentAt(context, 0) === "-" || !isTerminal(context))) {
      throw usageError("destroy cannot be undone, and there is no terminal to ask at; say --yes if you mean it");
    }
    const tokenText = await tokenArgument(context);
    parseTokenText(tokenText); // a wrong token is said before anything else
    const file = textOption(context, "receipts");
    if (file !== undefined) await checkOutput(file, { force: false });
    await withClient(context, async (client, { notes }) => {
      if (!isSure) await confirm(context, tokenText, (await notes.find(tokenText))?.name ?? null);
      const { report, receipts } = await client.destroy(tokenText, { signal: context.signal });
      if (file !== undefined) await writeOutput(file, oneChunk(receipts), { force: false });
      if (context.json) await writeJson(context, report);
      failWhenRecoverable(report);
      if (!context.json) await writeText(context.stdout, `${destroyedText(report)}\n`);
      await notes.remove(tokenText);
    });
  },
};

function isTerminal({ stdin, stderr }: CommandContext): boolean {
  return "isTTY" in stdin && stdin.isTTY === true && "isTTY" in stderr && stderr.isTTY === true;
}

/** @throws IntercloudError NOT_CONFIRMED unless the answer is yes. */
async function confirm(context: CommandContext, tokenText: string, name: string | null): Promise<void> {
  const what = name === null ? tokenText : `${printable(name)} (${tokenText})`;
  // Not as a terminal: then Ctrl-C stays a signal, as everywhere else.
  const lines = createInterface({ input: context.stdin, output: context.stderr, terminal: false });
  try {
    const question = `Destroy ${what}? Nobody will be able to read it any more. Type yes: `;
    const ended = new Promise<string>((resolve) => lines.once("close", () => resolve("")));
    const answer = await Promise.race([lines.question(question, { signal: context.signal }), ended]);
    if (/^y(es)?$/i.test(answer.trim())) return;
  } finally {
    lines.close();
  }
  throw new IntercloudError("NOT_CONFIRMED", "cancelled", "nothing was destroyed: the answer was not yes");
}
