import path from "node:path";
import {
  argumentAt,
  type Command,
  type CommandContext,
  switchOption,
  usageError,
  writeJson,
  writeText,
} from "../../runtime/command.ts";
import type { Client, DepositCallOptions } from "../client-api.ts";
import { fileSource } from "../sources.ts";
import { choiceOf, DEPOSIT_OPTIONS, depositedFields, remember } from "./deposit-options.ts";
import { inputOf } from "./input.ts";
import { type ProgressLine, progressLine } from "./progress.ts";
import { PASSPHRASE_OPTION, withClient } from "./shared.ts";

const PHASES = { reading: "reading", hashing: "hashing", dealing: "dealing", pouring: "sending", sealing: "sealing" };

export const command: Command = {
  name: "put",
  summary: "deposit a file and print its token",
  arguments: [{ name: "FILE", summary: "what to deposit; - is stdin", variadic: true }],
  options: [
    {
      name: "whole",
      summary:
        "share the message itself among the providers (default: it is encrypted, home and the other keepers keep it, and all share its key)",
    },
    {
      name: "batch",
      summary:
        'deposit many files at once, or with - messages on stdin, one in each line: {"name": ..., "text": ...} or {"name": ..., "base64": ...}; prints a token and a name for each',
    },
    ...DEPOSIT_OPTIONS,
    PASSPHRASE_OPTION,
  ],
  async run(context) {
    if (switchOption(context, "batch")) {
      // loaded here, because few commands are a batch
      const { putBatch } = await import("./put-batch.ts");
      return await putBatch(context);
    }
    const file = argumentAt(context, 0);
    if (context.args.length > 1) throw usageError("put takes one file, or many with --batch; see --help");
    const progress = progressLine(context);
    const deposit = await (switchOption(context, "whole") ? wholeOf : envelopeOf)(context, file, progress);
    await withClient(context, async (client, { notes }) => {
      const options = { ...choiceOf(context), signal: context.signal };
      const deposited = await deposit(client, options).finally(progress.clear);
      if (context.json) await writeJson(context, depositedFields(deposited, client.members));
      else await writeText(context.stdout, `${deposited.tokenText}\n`);
      await remember(context, notes, deposited, file === "-" ? null : path.basename(file));
    });
  },
};

/** What deposits the file, when there is a client. @throws IntercloudError NO_FILE, NOT_A_FILE, NO_ACCESS. */
type Depositor = (client: Client, options: DepositCallOptions) => ReturnType<Client["deposit"]>;

async function envelopeOf(context: CommandContext, _: string, progress: ProgressLine): Promise<Depositor> {
  const input = await inputOf(context, PHASES.pouring, progress);
  return (client, options) => client.deposit(input.open(), { ...options, form: "envelope" });
}

async function wholeOf(context: CommandContext, file: string, progress: ProgressLine): Promise<Depositor> {
  const source = file === "-" ? context.stdin : await fileSource(file);
  let isDealt = false;
  return (client, options) =>
    client.deposit(source, {
      ...{ ...options, form: "whole" },
      onProgress({ phase, ...bytes }) {
        isDealt ||= phase === "dealing";
        // Both go on at once, and dealing is what takes longer.
        if (phase !== "hashing" || !isDealt) progress.update({ phase: PHASES[phase], ...bytes });
      },
    });
}
