/** `scripts/bench`: runs the benchmarks that are named, or all of them, and prints their rows. */
import { stopWhatRuns } from "./cleanup.ts";
import { say } from "./progress.ts";
import type { Row } from "./row.ts";
import { tableOf } from "./table.ts";

// Loaded when they run, so that none measures in a process that has grown by the others' code.
const BENCHES: Readonly<Record<string, () => Promise<Row[]>>> = {
  kernel: async () => (await import("./kernel.ts")).kernelBench(),
  dealing: async () => (await import("./dealing.ts")).dealingBench(),
  transfer: async () => (await import("./transfer.ts")).transferBench(),
  latency: async () => (await import("./latency.ts")).latencyBench(),
  rate: async () => (await import("./rate.ts")).rateBench(),
  command: async () => (await import("./command.ts")).commandBench(),
  memory: async () => (await import("./memory.ts")).memoryBench(),
  testnet: async () => (await import("./testnet.ts")).testnetBench(),
};

const USAGE = `usage: scripts/bench [NAME...] [--json]    NAME is one of ${Object.keys(BENCHES).join(", ")}; all without one\n`;

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  if (args.includes("--help") || args.includes("-h")) {
    process.stdout.write(USAGE);
    return 0;
  }
  const names = args.filter((arg) => arg !== "--json");
  const unknown = names.filter((name) => !Object.hasOwn(BENCHES, name));
  if (unknown.length > 0) {
    process.stderr.write(`there is no benchmark ${unknown.join(", ")}\n${USAGE}`);
    return 2;
  }
  for (const [signal, exitCode] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const) {
    process.once(signal, () => void stopWhatRuns().finally(() => process.exit(exitCode)));
  }
  const rows: Row[] = [];
  let failed = false;
  for (const name of Object.keys(BENCHES)) {
    if (names.length > 0 && !names.includes(name)) continue;
    say(`${name} ...`);
    try {
      rows.push(...(await (BENCHES[name] as () => Promise<Row[]>)()));
    } catch (error) {
      failed = true;
      say(`${name} failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    } finally {
      await stopWhatRuns();
    }
  }
  process.stdout.write(args.includes("--json") ? `${JSON.stringify(rows, null, 2)}\n` : tableOf(rows));
  const missed = rows.filter(({ met }) => met === false);
  if (missed.length > 0) say(`${missed.length} of ${rows.length} figures miss their target`);
  return failed ? 1 : 0;
}
