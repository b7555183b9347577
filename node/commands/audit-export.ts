import { IntercloudError } from "../../protocols/wire/errors.ts";
import { createFileAtomic } from "../../runtime/atomic-file.ts";
import { type Command, textOption, writeJson, writeText } from "../../runtime/command.ts";
import { exportLines } from "../audit/files.ts";
import { configOf, DIR_OPTION, headOf, requireOneLog, URL_OPTION, withLog } from "./audit-shared.ts";

export const command: Command = {
  name: "audit export",
  summary: "write a node's audit log to a file that can be checked anywhere; its events stay encrypted",
  options: [
    DIR_OPTION,
    URL_OPTION,
    { name: "output", short: "o", value: "FILE", summary: "a new file (default: stdout)" },
  ],
  async run(context) {
    requireOneLog(context, undefined);
    const file = textOption(context, "output") ?? "-";
    await withLog(context, await configOf(context), undefined, async (source) => {
      const { signedHead, head } = await headOf(source);
      const lines = exportLines(signedHead, source.entries(0));
      if (file === "-") {
        for await (const line of lines) await writeText(context.stdout, line.toString());
      } else {
        await writeNew(file, lines);
        if (context.json) await writeJson(context, { file, peer: head.peer, count: head.count });
      }
    });
  },
};

async function writeNew(file: string, lines: AsyncIterable<Buffer>): Promise<void> {
  try {
    await createFileAtomic(file, lines, 0o600);
  } catch (error) {
    if (!(error instanceof Error) || !("code" in error) || error.code !== "EEXIST") throw error;
    const message = `${file} exists already and was left as it is; choose another name`;
    throw new IntercloudError("FILE_EXISTS", "bad-request", message, { file }, error);
  }
}
