/** How one peer of a testnet is run: this very program, on the same Node with the same flags. */
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { PlannedPeer } from "./plan.ts";

export interface PeerCommand {
  readonly command: string;
  readonly args: readonly string[];
}

/** What to execute for a peer whose files are in `directory`. Tests pass another one. */
export type PeerProgram = (peer: PlannedPeer, directory: string) => PeerCommand;

// Run from source this file ends in .ts, in the published package in .js, and so does the program.
export const MAIN = fileURLToPath(new URL(`../bin/main${path.extname(import.meta.url)}`, import.meta.url));

/** As bin/intercloud gives them to a daemon, and says why. */
export const DAEMON_FLAGS = ["--optimize-for-size"];

export const intercloudPeer: PeerProgram = (peer, directory) => ({
  command: process.execPath,
  args: [
    ...process.execArgv,
    ...DAEMON_FLAGS,
    MAIN,
    peer.kind === "dealer" ? "dealer" : "node",
    "run",
    "--dir",
    directory,
  ],
});

/**
 * The environment of a peer: ours, without the settings of this program in it. They are meant for the user's own client or
 * node; a peer of a testnet is configured by its directory alone.
 */
export function peerEnvironment(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !name.startsWith("INTERCLOUD_")));
}
