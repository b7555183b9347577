import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { seedOf } from "./peers.ts";

export interface ChildPeer {
  readonly name: string;
  readonly addresses: readonly string[];
  kill(signal: NodeJS.Signals): void;
}

/** A peer in a process of its own; see child-peer.ts. */
export async function startChildPeer(key: string): Promise<ChildPeer> {
  const script = fileURLToPath(new URL("./child-peer.ts", import.meta.url));
  const child: ChildProcess = fork(script, [Buffer.from(seedOf(key)).toString("hex")], { execArgv: [] });
  const { name, addresses } = await new Promise<{ name: string; addresses: string[] }>((resolve, reject) => {
    child.once("message", (message) => resolve(message as { name: string; addresses: string[] }));
    child.once("exit", (code) => reject(new Error(`the peer's process ended with ${code} before it was ready`)));
  });
  return { name, addresses, kill: (signal) => void child.kill(signal) };
}
