/** `put --batch`: many files, or messages as JSON lines on stdin, in one command. */
import path from "node:path";
import { type CommandContext, usageError, writeText } from "../../runtime/command.ts";
import type { DepositedOne } from "../batch.ts";
import { type DepositSource, fileSource } from "../sources.ts";
import { choiceOf, depositedFields, remember } from "./deposit-options.ts";
import { messagesIn, type NamedMessage } from "./json-lines.ts";
import { progressLine } from "./progress.ts";
import { readAll, warn, withClient } from "./shared.ts";
import { printable } from "./text.ts";

/** Eight times what fits one batch. */
const MAX_LINES_BYTES = 64 * 1024 * 1024;
/** Names are kept in small files. */
const NAMES_AT_ONCE = 16;

export async function putBatch(context: CommandContext): Promise<void> {
  const { args, signal } = context;
  if (args.includes("-") && args.length > 1) {
    throw usageError("--batch takes files, or - for JSON lines on stdin, not both; see --help");
  }
  const items = args[0] === "-" ? await fromLines(context) : await Promise.all(args.map(fromFile));
  const progress = progressLine(context);
  await withClient(context, async (client, { notes }) => {
    const deposited: (DepositedOne | undefined)[] = items.map(() => undefined);
    const sources = items.map(({ source }) => source);
    try {
      await client.depositAll(sources, {
        ...{ ...choiceOf(context), signal },
        onDeposited(index, one) {
          deposited[index] = one;
          const doneBytes = deposited.filter((each) => each !== undefined).length;
          progress.update({ phase: "messages", doneBytes, totalBytes: items.length });
        },
      });
    } finally {
      progress.clear();
      // What exists is said, also when the rest failed.
      const lines = [...deposited.entries()].filter((line): line is [number, DepositedOne] => line[1] !== undefined);
      for (const [index, one] of lines) {
        const { name } = items[index]!;
        const text = context.json
          ? JSON.stringify({ name, ...depositedFields(one, client.members) })
          : `${one.tokenText}\t${printable(name ?? "-")}`;
        await writeText(context.stdout, `${text}\n`);
      }
      for (let start = 0; start < lines.length; start += NAMES_AT_ONCE) {
        const some = lines.slice(start, start + NAMES_AT_ONCE);
        await Promise.all(some.map(([index, one]) => remember(context, notes, one, items[index]!.name)));
      }
    }
    const alone = deposited.filter((one) => one?.inLot === false).length;
    if (alone === 0) return;
    const message = `${alone} of ${items.length} messages do not fit a batch (1 byte to 64 KiB each) and were deposited one by one, in envelopes`;
    await warn(context, "NOT_IN_BATCH", message);
  });
}

interface Item {
  readonly name: string | null;
  readonly source: DepositSource;
}

async function fromFile(file: string): Promise<Item> {
  return { name: path.basename(file), source: await fileSource(file) };
}

async function fromLines({ stdin, signal }: CommandContext): Promise<Item[]> {
  const bytes = await readAll(stdin, MAX_LINES_BYTES, signal);
  return messagesIn(bytes).map(({ name, message }: NamedMessage) => ({ name, source: message }));
}
