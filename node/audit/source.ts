/** Where an audit log is read from: a node's directory, its admin server, or an export. */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import path from "node:path";
import type { Readable } from "node:stream";
import { readEntry } from "../../protocols/audit/index.ts";
import { IntercloudError } from "../../protocols/wire/errors.ts";
import { CONFIG_FILE, loadNodeConfig, type NodeConfig } from "../config.ts";
import { openStoredLog, type StoredLog } from "../store/index.ts";
import { urlLog } from "./admin-client.ts";
import { noAuditLog, notAFile } from "./errors.ts";
import { entryOf, fromJson, signedHeadIn } from "./files.ts";

export interface LogSource extends StoredLog {
  /** Where it is, for messages: `in /var/lib/intercloud/store`. */
  readonly name: string;
  close(): Promise<void>;
}

/** The settings of the node in a directory. @throws IntercloudError NO_AUDIT_LOG, and what `loadNodeConfig` throws. */
export async function nodeConfigIn(
  directory: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<NodeConfig> {
  const file = path.join(directory, CONFIG_FILE);
  if (!(await exists(file))) throw noAuditLog(`in ${directory}: that is no node's directory, it has no ${CONFIG_FILE}`);
  return await loadNodeConfig({ directory, env });
}

/** From the store itself when the node is stopped, through its admin server when it runs. */
export async function nodeLog(config: NodeConfig, signal: AbortSignal): Promise<LogSource> {
  const { storeDirectory } = config;
  const name = `in ${storeDirectory}`;
  if (!(await exists(path.join(storeDirectory, "FORMAT")))) throw noAuditLog(name);
  try {
    return { name, ...(await openStoredLog(storeDirectory)) };
  } catch (error) {
    if (!(error instanceof IntercloudError) || error.code !== "STORE_LOCKED") throw error;
    const url = adminUrlOf(config);
    if (url !== undefined) return urlLog(url, signal);
    const message =
      `the node runs, and its admin server is at a port that its ${CONFIG_FILE} does not tell; ` +
      "look for admin-listening in its log, and name the address with --url";
    throw new IntercloudError("ADMIN_UNKNOWN", "conflict", message, {}, error);
  }
}

/** Undefined when the node takes any free port. */
export function adminUrlOf({ adminHost, adminPort }: Pick<NodeConfig, "adminHost" | "adminPort">): string | undefined {
  const host = adminHost.includes(":") ? `[${adminHost}]` : adminHost;
  return adminPort === 0 ? undefined : `http://${host}:${adminPort}`;
}

/** An export. @throws IntercloudError NO_AUDIT_LOG, NOT_AN_AUDIT_FILE. */
export async function fileLog(file: string): Promise<LogSource> {
  const found = await stat(file).catch((error: unknown) => Promise.reject(noAuditLog(`at ${file}`, error)));
  if (found.isDirectory()) throw notAFile(file, "export of an audit log; name a node's directory with --dir");
  return await streamLog(createReadStream(file), file);
}

/** An export that can be read once. */
export async function streamLog(stream: Readable, name: string): Promise<LogSource> {
  const lines = linesOf(stream);
  const first = await lines.next();
  const signedHead = first.done ? undefined : signedHeadIn(fromJson(first.value));
  if (signedHead === undefined) {
    stream.destroy();
    throw notAFile(name, "export of an audit log; `intercloud audit export` writes one");
  }
  return {
    name: `in ${name}`,
    signedHead: async () => signedHead,
    async *entries(after) {
      for await (const line of lines) {
        const entry = entryOf(fromJson(line));
        if ((readEntry(entry)?.sequence ?? Number.POSITIVE_INFINITY) > after) yield entry;
      }
    },
    async close() {
      stream.destroy();
    },
  };
}

/** An entry of the greatest length makes a line of 6 KB. */
const MAX_LINE_LENGTH = 64 * 1024;

/** A line that is too long is yielded as far as it goes, and is the last one: it is no line of ours. */
async function* linesOf(stream: Readable): AsyncGenerator<string> {
  let rest = "";
  for await (const chunk of stream.setEncoding("latin1") as AsyncIterable<string>) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (line !== "") yield line;
    if (rest.length > MAX_LINE_LENGTH) break;
  }
  if (rest !== "") yield rest;
}

async function exists(file: string): Promise<boolean> {
  try {
    await stat(file);
    return true;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOENT" || code === "ENOTDIR") return false;
    throw error;
  }
}
