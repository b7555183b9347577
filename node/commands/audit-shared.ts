/** What the commands that read an audit log have in common. */
import path from "node:path";
import { type AuditHead, logKeyOf, readSignedHead } from "../../protocols/audit/index.ts";
import { peerNameOf } from "../../protocols/crypto/peer-name.ts";
import { IntercloudError } from "../../protocols/wire/errors.ts";
import {
  type ArgumentSpec,
  type CommandContext,
  type OptionSpec,
  textOption,
  usageError,
} from "../../runtime/command.ts";
import { readKeyFile } from "../../runtime/key-file.ts";
import { passphraseFrom } from "../../runtime/passphrase.ts";
import { urlLog } from "../audit/admin-client.ts";
import { auditBroken, noAuditLog } from "../audit/errors.ts";
import { fileLog, type LogSource, nodeConfigIn, nodeLog, streamLog } from "../audit/source.ts";
import type { NodeConfig } from "../config.ts";
import { nodeKeys } from "../keys.ts";

export const FILE_ARGUMENT: ArgumentSpec = {
  name: "FILE",
  summary: "what audit export wrote; - is stdin",
  required: false,
};
export const DIR_OPTION: OptionSpec = {
  name: "dir",
  value: "DIR",
  summary: "the node's directory, running or stopped",
};
export const URL_OPTION: OptionSpec = {
  name: "url",
  value: "URL",
  summary: "the admin server of a running node, such as http://127.0.0.1:8080",
};
export const PASSPHRASE_OPTION: OptionSpec = {
  name: "passphrase-file",
  value: "FILE",
  summary: "the file with the passphrase of the key file",
};

/** The settings of the node that `--dir` names. */
export async function configOf(context: CommandContext): Promise<NodeConfig | undefined> {
  const directory = textOption(context, "dir");
  return directory === undefined ? undefined : await nodeConfigIn(path.resolve(directory), context.env);
}

/** Lends the one log that the command line names to `use`: a file, else a running node, else a directory. */
export async function withLog<T>(
  context: CommandContext,
  config: NodeConfig | undefined,
  file: string | undefined,
  use: (source: LogSource) => Promise<T>,
): Promise<T> {
  const source = await openLog(context, config, file);
  try {
    return await use({ ...source, entries: (after) => untilAborted(source.entries(after), context.signal) });
  } finally {
    await source.close();
  }
}

async function* untilAborted(entries: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  for await (const entry of entries) {
    signal.throwIfAborted();
    yield entry;
  }
}

async function openLog(
  context: CommandContext,
  config: NodeConfig | undefined,
  file: string | undefined,
): Promise<LogSource> {
  const url = textOption(context, "url");
  if (file !== undefined) return file === "-" ? await streamLog(context.stdin, "stdin") : await fileLog(file);
  if (url !== undefined) return urlLog(checkedUrl(url), context.signal);
  if (config !== undefined) return await nodeLog(config, context.signal);
  throw usageError("name a log: a node's directory with --dir, its admin server with --url, or an export");
}

/** More than one of them would leave open which one was checked. */
export function requireOneLog(context: CommandContext, file: string | undefined): void {
  const named = [file, textOption(context, "url"), textOption(context, "dir")].filter((one) => one !== undefined);
  if (named.length > 1) throw usageError("name one log: FILE, --dir or --url");
}

function checkedUrl(text: string): string {
  const url = URL.parse(text);
  if (url?.protocol === "http:" || url?.protocol === "https:") return url.href;
  throw usageError(`"${text}" is not the URL of an admin server; it looks like http://127.0.0.1:8080`);
}

/** The head as it is signed; its signature is not checked here. @throws IntercloudError NO_AUDIT_LOG, AUDIT_BROKEN. */
export async function headOf(
  source: LogSource,
): Promise<{ readonly signedHead: Uint8Array; readonly head: AuditHead }> {
  const signedHead = await source.signedHead();
  if (signedHead === undefined) throw noAuditLog(source.name);
  try {
    return { signedHead, head: readSignedHead(signedHead).head };
  } catch {
    throw auditBroken(`the signed head of the log ${source.name} cannot be read; audit verify says more`);
  }
}

/**
 * What the keys of the log's events are derived from. The caller wipes it.
 * @throws IntercloudError AUDIT_BROKEN, OTHER_NODES_LOG, and what `readKeyFile` throws.
 */
export async function logKeyFor(context: CommandContext, config: NodeConfig, source: LogSource): Promise<Uint8Array> {
  const { head } = await headOf(source);
  const passphrase = await passphraseFrom({ file: textOption(context, "passphrase-file"), env: context.env });
  const seed = await readKeyFile(config.keyFile, passphrase);
  const { auditKey, signer } = nodeKeys(seed);
  seed.fill(0);
  if (head.peer !== peerNameOf(signer.publicKey)) {
    const message = `the log ${source.name} is of ${head.peer}, and this node's key opens its own log only`;
    throw new IntercloudError("OTHER_NODES_LOG", "refused", message, { peers: [head.peer] });
  }
  const logKey = logKeyOf(auditKey, head.log);
  auditKey.fill(0);
  return logKey;
}
