/** What the user's commands have in common. */
import type { Readable } from "node:stream";
import { IntercloudError } from "../../protocols/wire/errors.ts";
import { argumentAt, type CommandContext, type OptionSpec, textOption, writeText } from "../../runtime/command.ts";
import { passphraseFrom } from "../../runtime/passphrase.ts";
import type { Client } from "../client-api.ts";
import { type Home, openHome } from "../home.ts";
import { openClient } from "../open-client.ts";
import type { Members } from "../proof-report.ts";

export const PASSPHRASE_OPTION: OptionSpec = {
  name: "passphrase-file",
  value: "FILE",
  summary: "holds the passphrase of this home's key (also INTERCLOUD_PASSPHRASE_FILE, INTERCLOUD_PASSPHRASE)",
};

/** A token is 118 characters; a pipe may bring a line end or two with it. */
const MAX_TOKEN_TEXT_BYTES = 1024;

export async function passphraseOf(context: CommandContext): Promise<string | undefined> {
  return await passphraseFrom({ file: textOption(context, "passphrase-file"), env: context.env });
}

/** Lends a client of this home to `use` and closes it. */
export async function withClient<T>(
  context: CommandContext,
  use: (client: Client, home: Home) => Promise<T>,
): Promise<T> {
  const onWarning = (code: string, message: string) => void warn(context, code, message);
  const home = await openHome(context.home, { passphrase: await passphraseOf(context), onWarning });
  const client = openClient({ home, endsWithProcess: true });
  try {
    return await use(client, home);
  } catch (error) {
    throw withNames(error, client.members);
  } finally {
    await client.close();
  }
}

/** People know providers by their names in the federation; protocol errors call them what the network does. */
export function withNames(error: unknown, { providers, dealers, nameOf }: Members): unknown {
  if (!(error instanceof IntercloudError)) return error;
  const named = [...providers, ...dealers].reduce((text, peer) => text.replaceAll(peer, nameOf(peer)), error.message);
  return named === error.message ? error : new IntercloudError(error.code, error.status, named, error.details, error);
}

/** The token text in the first argument, or on stdin when that is `-`. */
export async function tokenArgument(context: CommandContext): Promise<string> {
  const text = argumentAt(context, 0);
  if (text !== "-") return text.trim();
  return Buffer.from(await readAll(context.stdin, MAX_TOKEN_TEXT_BYTES, context.signal))
    .toString("utf8")
    .trim();
}

/** @throws IntercloudError TOO_LONG. */
export async function readAll(stream: Readable, maxBytes: number, signal: AbortSignal): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let lengthBytes = 0;
  const stop = () => void stream.destroy(signal.reason);
  signal.addEventListener("abort", stop, { once: true });
  try {
    for await (const read of stream as AsyncIterable<Uint8Array | string>) {
      const chunk = typeof read === "string" ? Buffer.from(read) : read;
      lengthBytes += chunk.length;
      if (lengthBytes > maxBytes) {
        throw new IntercloudError("TOO_LONG", "bad-request", `stdin brought more than the ${maxBytes} bytes expected`);
      }
      chunks.push(chunk);
    }
  } finally {
    signal.removeEventListener("abort", stop);
  }
  return Buffer.concat(chunks);
}

/** Something that went wrong and was mended, on stderr. */
export async function warn(context: CommandContext, code: string, message: string): Promise<void> {
  const line = context.json
    ? JSON.stringify({ warning: { code, message } })
    : `intercloud: warning: ${message} [${code}]`;
  await writeText(context.stderr, `${line}\n`);
}

/** `a, b and c` */
export function listed(names: readonly string[]): string {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

export async function* oneChunk(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes;
}
