/** How many round trips a deposit and a retrieval of a key take, when every link between two peers has 50 ms of them. */
import { startMeasuredTestnet } from "./measured-testnet.ts";
import { say } from "./progress.ts";
import { limitRow, median, type Row } from "./row.ts";
import type { Operations, RateTask } from "./tasks.ts";

const ROUND_TRIP_MS = 50;
const ROUNDS = 15;
/** Providers run for months: their code is compiled and their caches are full. Without it the first deposits take a tenth longer. */
const WARM_UP = { count: 400, inFlight: 32 };
const SHAPES = [
  { providers: 3, threshold: 2 },
  { providers: 5, threshold: 3 },
  { providers: 7, threshold: 5 },
] as const;
const TARGETS = { "retrieve-keys": 2.3, "deposit-keys": 3.5 } as const;

export async function latencyBench(): Promise<Row[]> {
  const rows: Row[] = [];
  for (const shape of SHAPES) {
    const { providers, threshold } = shape;
    const testnet = await startMeasuredTestnet(`latency-${providers}`, {
      ...shape,
      roundTripMs: ROUND_TRIP_MS,
      stock: 64,
    });
    const one = (action: RateTask["action"], count: number) => testnet.run({ action, count, inFlight: 1 });
    await testnet.run({ action: "deposit-keys", ...WARM_UP });
    await testnet.run({ action: "retrieve-keys", ...WARM_UP });
    const roundTripMs = p50(await one("hello", ROUNDS));
    for (const [action, name] of [
      ["deposit-keys", "deposit"],
      ["retrieve-keys", "retrieve"],
    ] as const) {
      if (action === "deposit-keys") await one("fill-stock", 1);
      const latencyMs = p50(await one(action, ROUNDS));
      say(
        `n=${providers} t=${threshold}: ${name} ${latencyMs.toFixed(0)} ms, a round trip ${roundTripMs.toFixed(1)} ms`,
      );
      const text = `${name} of a key, fanout, n=${providers} t=${threshold}, ${ROUND_TRIP_MS} ms of round trip between all peers`;
      rows.push(limitRow(text, "round trips", latencyMs / roundTripMs, TARGETS[action]));
    }
  }
  return rows;
}

const p50 = ({ latenciesMs }: Operations) => median(latenciesMs);
