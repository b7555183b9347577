/** What the testnet's commands have in common: `--dir`, the names of peers, and how the result is shown. */
import path from "node:path";
import {
  type ArgumentSpec,
  type CommandContext,
  type OptionSpec,
  textOption,
  writeJson,
  writeText,
} from "../../runtime/command.ts";
import { clientHome, type PlannedPeer, selectPeers, type Testnet } from "../plan.ts";
import { type PeerStatus, statusOf } from "../status.ts";

export const DIR_OPTION: OptionSpec = {
  name: "dir",
  value: "DIR",
  summary: "the testnet's directory",
  default: ".intercloud",
};

export const NAMES_ARGUMENT: ArgumentSpec = {
  name: "NAME",
  summary: "peers, such as provider-1 or dealer-1",
  variadic: true,
};

export function directoryOf(context: CommandContext): string {
  return path.resolve(textOption(context, "dir") ?? ".intercloud");
}

/** The peers that were named. @throws IntercloudError NO_SUCH_PEER */
export function namedPeers(context: CommandContext, testnet: Testnet): readonly PlannedPeer[] {
  return selectPeers(testnet, context.args);
}

/** Progress and remarks, on stderr; with `--json` there are none. */
export async function remark(context: CommandContext, text: string): Promise<void> {
  if (!context.json) await writeText(context.stderr, `${text}\n`);
}

/** The whole testnet on stdout: as one JSON object, or as a table for people. */
export async function writeStatus(context: CommandContext, testnet: Testnet): Promise<void> {
  const peers = await statusOf(testnet);
  const home = clientHome(testnet.directory);
  if (context.json) {
    await writeJson(context, { directory: testnet.directory, home, threshold: testnet.plan.threshold, peers });
  } else {
    await writeText(context.stdout, tableOf(peers));
  }
}

/** What a command did to these peers: their names and states now. */
export async function writeStates(
  context: CommandContext,
  testnet: Testnet,
  peers: readonly PlannedPeer[],
): Promise<void> {
  const names = new Set(peers.map(({ name }) => name));
  const now = (await statusOf(testnet)).filter(({ name }) => names.has(name));
  if (context.json) await writeJson(context, { peers: now });
  else await writeText(context.stdout, now.map(({ name, state }) => `${name} ${state}\n`).join(""));
}

function tableOf(peers: readonly PeerStatus[]): string {
  const header = ["NAME", "STATE", "PID", "READY", "DUTIES", "ADMIN"];
  const rows = peers.map(({ name, state, pid, ready, causes, duties, adminUrl }) => [
    name,
    state,
    String(pid ?? "-"),
    ready ? "yes" : `no: ${causes.join(", ") || "no cause given"}`,
    duties.join(",") || "-",
    adminUrl,
  ]);
  const widths = header.map((_, column) => Math.max(...[header, ...rows].map((row) => (row[column] ?? "").length)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd();
  return `${[header, ...rows].map(line).join("\n")}\n`;
}
