/** Where the commands that hand out bytes write them. */
import type { Writable } from "node:stream";
import { release } from "../../protocols/crypto/release.ts";
import { type CommandContext, type OptionSpec, switchOption, textOption } from "../../runtime/command.ts";
import { checkOutput, writeOutput } from "../output-file.ts";
import { orAborted } from "../until-aborted.ts";

const OUTPUT: OptionSpec = {
  name: "output",
  short: "o",
  value: "FILE",
  summary: "where to; the file (mode 0600) appears when it is whole (default: stdout)",
};
const FORCE: OptionSpec = { name: "force", summary: "replace FILE if it exists" };

/** @param more what else there is to say about -o */
export function outputOptions(more = ""): readonly OptionSpec[] {
  return [{ ...OUTPUT, summary: OUTPUT.summary + more }, FORCE];
}

export interface Output {
  /** Undefined for stdout. */
  readonly file: string | undefined;
  write(bytes: AsyncIterable<Uint8Array>): Promise<void>;
}

/** What the user chose. @throws IntercloudError for what would fail only after all the work. */
export async function outputOf(context: CommandContext): Promise<Output> {
  const given = textOption(context, "output");
  const file = given === "-" ? undefined : given;
  const force = switchOption(context, "force");
  if (file !== undefined) await checkOutput(file, { force });
  return {
    file,
    async write(bytes) {
      if (file !== undefined) await writeOutput(file, bytes, { force });
      else await writeAll(context.stdout, bytes, context.signal);
    },
  };
}

/** Gives the memory of each chunk back when it has been written: they must be the caller's own, and whole. */
export async function* releasing(bytes: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  for await (const chunk of bytes) {
    yield chunk;
    release(chunk);
  }
}

/** Waits until each chunk was taken. */
async function writeAll(stream: Writable, bytes: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void> {
  try {
    for await (const chunk of bytes) await orAborted(written(stream, chunk), signal);
  } catch (error) {
    if (signal.aborted) stream.destroy(); // nobody waits any more for what it still has to write
    throw error;
  }
}

function written(stream: Writable, chunk: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(chunk, (error) => (error == null ? resolve() : reject(error)));
  });
}
