/** A node from its directory: in this process (`startNode`), or as a daemon until it is told to stop (`runNode`). */
import type { RestoreReport } from "../protocols/custody/server/index.ts";
import type { PeerName } from "../protocols/wire/transport.ts";
import type { ExitCode } from "../runtime/exit-codes.ts";
import { readKeyFile } from "../runtime/key-file.ts";
import { createLog, type Log } from "../runtime/log.ts";
import { passphraseFrom } from "../runtime/passphrase.ts";
import { runUntilSignal } from "../runtime/run-until-signal.ts";
import { loadNodeConfig, type NodeSettings } from "./config.ts";
import { nodeKeys } from "./keys.ts";
import { createNode, type Node, type NodeOptions } from "./wiring.ts";

export interface RunNodeOptions extends NodeSettings {
  /** Opens the key file; default: what the environment says. */
  readonly passphraseFile?: string | undefined;
  /** Default: standard error, at the configured level. */
  readonly log?: Log;
  readonly alsoServe?: NodeOptions["alsoServe"];
}

export interface RunningNode {
  readonly peer: PeerName;
  readonly adminUrl: string;
  stop(): Promise<void>;
}

/** @throws what loading configuration and key, and starting, throw: see runtime/ and node/store. */
export async function startNode(options: RunNodeOptions): Promise<RunningNode> {
  const { node, log } = await openNode(options);
  await node.lifecycle.start();
  return {
    peer: node.peer,
    adminUrl: node.adminUrl() ?? "",
    async stop() {
      for (const { step, error } of await node.lifecycle.stop()) log.error("step-not-stopped", { step, error });
    },
  };
}

/** Runs until SIGTERM or SIGINT. @returns the exit code. @throws as `startNode`. */
export async function runNode(options: RunNodeOptions): Promise<ExitCode> {
  const { node, log } = await openNode(options);
  return await runUntilSignal(node.lifecycle, log);
}

export interface RestoredNode extends RestoreReport {
  nameOf(peer: PeerName): string;
}

/** Starts the node, gets everything back that it lacks, and stops it. @throws as `startNode`, and what `restoreAll` throws. */
export async function restoreNode(
  options: RunNodeOptions,
  signal: AbortSignal,
  onProgress: (done: number) => void,
): Promise<RestoredNode> {
  const { node, log } = await openNode(options);
  await node.lifecycle.start();
  try {
    const report = await node.restore(signal, onProgress);
    const names = new Map(report.missing.map((peer) => [peer, node.nameOf(peer)]));
    return { ...report, nameOf: (peer) => names.get(peer) ?? peer };
  } finally {
    for (const { step, error } of await node.lifecycle.stop()) log.error("step-not-stopped", { step, error });
  }
}

async function openNode(options: RunNodeOptions): Promise<{ node: Node; log: Log }> {
  const config = await loadNodeConfig(options);
  const log = options.log ?? createLog({ level: config.logLevel }).child({ name: config.name });
  const passphrase = await passphraseFrom({ file: options.passphraseFile, env: options.env ?? {} });
  const seed = await readKeyFile(config.keyFile, passphrase);
  const keys = nodeKeys(seed);
  seed.fill(0);
  return { node: createNode({ directory: options.directory, config, keys, log, alsoServe: options.alsoServe }), log };
}
