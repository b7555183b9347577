/** The one file that a filter reads: FILE, or stdin when that is `-` or missing. It is read once, and never kept. */
import path from "node:path";
import { markPassing } from "../../protocols/crypto/release.ts";
import type { ArgumentSpec, CommandContext } from "../../runtime/command.ts";
import { fileSource } from "../sources.ts";
import type { ProgressLine } from "./progress.ts";

export function inputArgument(summary: string): ArgumentSpec {
  return { name: "FILE", summary: `${summary}; - is stdin (default: stdin)`, required: false };
}

export interface Input {
  /** Null for stdin. */
  readonly name: string | null;
  /** How much has been read. */
  readBytes(): number;
  /** Once. */
  open(): AsyncIterable<Uint8Array>;
}

/** @throws IntercloudError NO_FILE, NOT_A_FILE, NO_ACCESS. */
export async function inputOf(context: CommandContext, phase: string, progress: ProgressLine): Promise<Input> {
  const [file = "-"] = context.args;
  const source = file === "-" ? context.stdin : await fileSource(file);
  const totalBytes = "lengthBytes" in source ? source.lengthBytes : undefined;
  let doneBytes = 0;
  return {
    name: file === "-" ? null : path.basename(file),
    readBytes: () => doneBytes,
    async *open() {
      for await (const bytes of "lengthBytes" in source ? source.open() : source) {
        doneBytes += bytes.length;
        progress.update({ phase, doneBytes, totalBytes });
        yield markPassing(bytes); // nobody else has them
      }
    },
  };
}
