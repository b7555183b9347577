import path from "node:path";
import {
  type Command,
  type CommandContext,
  textOption,
  usageError,
  writeJson,
  writeText,
} from "../../runtime/command.ts";
import { choiceOf, DEPOSIT_OPTIONS, depositedFields, remember } from "./deposit-options.ts";
import { inputArgument, inputOf } from "./input.ts";
import { type Output, outputOf, outputOptions, releasing } from "./output.ts";
import { progressLine } from "./progress.ts";
import { PASSPHRASE_OPTION, withClient } from "./shared.ts";

const MORE_ABOUT_OUTPUT =
  "; - is stdout, even if that is a terminal; --json tells about the key on stdout if FILE is given, else on stderr";

export const command: Command = {
  name: "encrypt",
  summary: "encrypt a file, which stays with you; the providers keep its key",
  arguments: [inputArgument("what to encrypt")],
  options: [...outputOptions(MORE_ABOUT_OUTPUT), ...DEPOSIT_OPTIONS, PASSPHRASE_OPTION],
  async run(context) {
    const output = await outputOf(context);
    refuseTerminal(context);
    const progress = progressLine(context);
    const input = await inputOf(context, "encrypting", progress);
    await withClient(context, async (client, { notes }) => {
      const { file, giveUp, ...deposited } = await client.encrypt(input.open(), {
        ...choiceOf(context),
        signal: context.signal,
      });
      try {
        await output.write(releasing(file));
      } catch (error) {
        await giveUp(); // the file is not there, so nobody needs its key
        throw error;
      } finally {
        progress.clear();
      }
      if (context.json) {
        const about = { ...depositedFields(deposited, client.members), lengthBytes: input.readBytes() };
        await writeAbout(context, output, { ...about, file: output.file ?? null });
      }
      await remember(context, notes, deposited, output.file === undefined ? input.name : path.basename(output.file));
    });
  },
};

/** A terminal would show it as garbage, and obey some of it. */
function refuseTerminal(context: CommandContext): void {
  const { stdout } = context;
  if (!("isTTY" in stdout) || stdout.isTTY !== true || textOption(context, "output") !== undefined) return;
  throw usageError(
    "an encrypted file is binary and stdout is a terminal; use -o FILE or a pipe, or -o - if you mean it",
  );
}

/** Data goes to stdout, and there is one kind of it only: where the file is there, this is on stderr, in one line. */
async function writeAbout(context: CommandContext, output: Output, about: object): Promise<void> {
  if (output.file !== undefined) await writeJson(context, about);
  else await writeText(context.stderr, `${JSON.stringify(about)}\n`);
}
