/** How soon a testnet of seven providers is ready, and how much memory its nodes take when nothing happens. */
import { execFileSync } from "node:child_process";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { atEnd } from "./cleanup.ts";
import { benchDirectory } from "./measured-testnet.ts";
import { memoryOf } from "./process-figures.ts";
import { say } from "./progress.ts";
import { limitRow, type Row } from "./row.ts";

const INTERCLOUD = fileURLToPath(new URL("../../bin/intercloud", import.meta.url));
const PROVIDERS = 7;
const READY_TARGET_S = 10;
const IDLE_MS = 10_000;
const IDLE_TARGET_MIB = 120;

interface Peer {
  readonly name: string;
  readonly kind: string;
  readonly pid: number;
}

export async function testnetBench(): Promise<Row[]> {
  const directory = path.join(await benchDirectory("testnet"), "testnet");
  const intercloud = (...args: readonly string[]) =>
    execFileSync(INTERCLOUD, ["testnet", ...args, "--dir", directory], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "inherit"],
    });
  atEnd(async () => void intercloud("down"));
  const startedAtMs = performance.now();
  intercloud("up", "--providers", `${PROVIDERS}`);
  const readySeconds = (performance.now() - startedAtMs) / 1000;

  await sleep(IDLE_MS);
  const { peers } = JSON.parse(intercloud("status", "--json")) as { readonly peers: readonly Peer[] };
  const worstOf = (kind: string) =>
    Math.max(
      ...peers
        .filter((peer) => peer.kind === kind)
        .map(({ name, pid }) => {
          const { residentMiB, peakMiB } = memoryOf(pid);
          say(`${name}: idle ${residentMiB.toFixed(0)} MiB, at most ${peakMiB.toFixed(0)} MiB while it started`);
          return residentMiB;
        }),
    );
  return [
    limitRow(`testnet up of ${PROVIDERS} providers, until all are ready`, "s", readySeconds, READY_TARGET_S),
    limitRow("idle memory per node, largest of the providers", "MiB", worstOf("provider"), IDLE_TARGET_MIB),
    limitRow("idle memory of the dealer", "MiB", worstOf("dealer"), IDLE_TARGET_MIB),
  ];
}
