import { type Command, writeJson } from "../../runtime/command.ts";
import { headFileOf } from "../audit/files.ts";
import { configOf, DIR_OPTION, FILE_ARGUMENT, headOf, requireOneLog, URL_OPTION, withLog } from "./audit-shared.ts";

export const command: Command = {
  name: "audit head",
  summary: "print the signed head of a node's audit log, a receipt for all that is in it now",
  arguments: [FILE_ARGUMENT],
  options: [DIR_OPTION, URL_OPTION],
  async run(context) {
    const [file] = context.args;
    requireOneLog(context, file);
    const { signedHead } = await withLog(context, await configOf(context), file, headOf);
    await writeJson(context, headFileOf(signedHead));
  },
};
