/** How much every process grows while 1 GiB passes through it. */
import { setTimeout as sleep } from "node:timers/promises";
import { startMeasuredTestnet } from "./measured-testnet.ts";
import { forgetPeak, memoryOf } from "./process-figures.ts";
import { say } from "./progress.ts";
import { limitRow, type Row } from "./row.ts";

const LENGTH_BYTES = 1024 ** 3;
/** After the start: connections stand, and the garbage of starting is collected as far as it will be. */
const SETTLE_MS = 10_000;
const TARGET_MIB = 64;

export async function memoryBench(): Promise<Row[]> {
  const testnet = await startMeasuredTestnet("memory");
  const file = await testnet.file(LENGTH_BYTES);
  await sleep(SETTLE_MS);
  const processes = [...testnet.pids];
  const idle = new Map(processes.map(([name, pid]) => [name, memoryOf(pid).residentMiB]));
  for (const [, pid] of processes) forgetPeak(pid);
  const peaks = () => new Map(processes.map(([name, pid]) => [name, memoryOf(pid).peakMiB]));

  const { token } = await testnet.run({ action: "put", route: "chain", lengthBytes: LENGTH_BYTES, file });
  const afterPut = peaks();
  if (token === undefined) throw new Error("put gave no token");
  await testnet.run({ action: "get", route: "fanout", lengthBytes: LENGTH_BYTES, token });
  const afterGet = peaks();

  const growth = processes.map(([name]) => {
    const idleMiB = idle.get(name) ?? 0;
    const [putMiB = 0, getMiB = 0] = [afterPut.get(name), afterGet.get(name)];
    say(`${name}: idle ${idleMiB.toFixed(0)} MiB, peak ${putMiB.toFixed(0)} after put, ${getMiB.toFixed(0)} after get`);
    return { name, mebibytes: getMiB - idleMiB };
  });
  return ["provider", "dealer", "user"].map((kind) => {
    const worst = growth.filter(({ name }) => name.startsWith(kind)).sort((a, b) => b.mebibytes - a.mebibytes)[0];
    const name = `growth over idle size while 1 GiB is put and got: ${kind === "provider" ? "worst provider" : kind}`;
    return limitRow(name, "MiB", worst?.mebibytes ?? 0, TARGET_MIB);
  });
}
