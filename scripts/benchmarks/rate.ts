/**
 * Deposits and retrievals of envelope keys per second, against as many empty signed request-responses over the same streams; how long
 * they take at a constant offered load; and what is left of the rate when three times as much is asked for as can be done.
 */
import { type MeasuredTestnet, startMeasuredTestnet } from "./measured-testnet.ts";
import { say } from "./progress.ts";
import { median, percentile, type Row, ratioRow } from "./row.ts";
import { BATCH_KEYS, type Operations, type RateTask } from "./tasks.ts";

const TARGET = 0.5;
const GOODPUT_TARGET = 0.9;
const BATCH_TARGET = 20;
const BATCHES = 4;
const COUNT = 400;
const IN_FLIGHT = 32;
const ROUNDS = 5;
const LOADS = [0.25, 0.5, 0.75, 0.9];
const LOAD_SECONDS = 10;
/** One user's process holds itself back before the providers have to: the flood comes from several. */
const FLOODING_USERS = 4;
/** Deposits that each of them makes, to retrieve them. */
const OWN_DEPOSITS = 50;
const FLOOD = 3;
const FLOOD_ROUNDS = 3;

const KINDS = [
  { name: "deposit", ours: "deposit-keys", theirs: "ask-as-deposit" },
  { name: "retrieve", ours: "retrieve-keys", theirs: "ask-as-retrieve" },
] as const;

export async function rateBench(): Promise<Row[]> {
  const testnet = await startMeasuredTestnet("rate", { users: FLOODING_USERS });
  const run = (action: RateTask["action"], count = COUNT) => testnet.run({ action, count, inFlight: IN_FLIGHT });
  for (const { ours, theirs } of KINDS) {
    await run(theirs);
    await run(ours);
  }
  const rates = KINDS.map((kind) => ({ ...kind, oursPerSecond: [] as number[], theirsPerSecond: [] as number[] }));
  for (let round = 1; round <= ROUNDS; round += 1) {
    for (const { name, ours, theirs, oursPerSecond, theirsPerSecond } of rates) {
      theirsPerSecond.push(perSecond(await run(theirs)));
      oursPerSecond.push(perSecond(await run(ours)));
      const last = (values: readonly number[]) => (values.at(-1) ?? 0).toFixed(0);
      say(`${round}/${ROUNDS} ${name}: ${last(oursPerSecond)}/s; empty: ${last(theirsPerSecond)}/s`);
    }
  }
  const rows: Row[] = [];
  for (const { name, ours, oursPerSecond, theirsPerSecond } of rates) {
    const text = `${name} of a key, fanout, n=5 t=3`;
    const peak = median(oursPerSecond);
    rows.push(ratioRow(`${text}, against empty signed request-responses`, "/s", peak, median(theirsPerSecond), TARGET));
    if (name === "deposit") rows.push(await batchRow(testnet, peak));
    rows.push(...(await loadCurve(testnet, text, ours, peak)));
  }
  return rows;
}

async function batchRow(testnet: MeasuredTestnet, singlePerSecond: number): Promise<Row> {
  // several at once, as the single ones are
  const run = () => testnet.run({ action: "deposit-batch", count: BATCHES, inFlight: BATCHES });
  await run();
  const keysPerSecond: number[] = [];
  for (let round = 1; round <= ROUNDS; round += 1) {
    keysPerSecond.push(perSecond(await run()) * BATCH_KEYS);
    say(`${round}/${ROUNDS} batch of ${BATCH_KEYS} keys: ${(keysPerSecond.at(-1) ?? 0).toFixed(0)} keys/s`);
  }
  const text = `deposit of keys in batches of ${BATCH_KEYS}, n=5 t=3, against one by one`;
  return ratioRow(text, "/s", median(keysPerSecond), singlePerSecond, BATCH_TARGET);
}

async function loadCurve(
  testnet: MeasuredTestnet,
  text: string,
  action: RateTask["action"],
  peak: number,
): Promise<Row[]> {
  const rows: Row[] = [];
  const offered = async (load: number, run: (task: RateTask) => Promise<Operations>) => {
    const rate = peak * load;
    const result = await run({ action, count: Math.ceil(rate * LOAD_SECONDS), inFlight: 10_000, perSecond: rate });
    const ms = [0.5, 0.95, 0.99].map((share) => percentile(result.latenciesMs, share).toFixed(0));
    say(
      `${action} at ${rate.toFixed(0)}/s (${load} of the peak): ${perSecond(result).toFixed(0)}/s done, ${result.failed} refused; p50, p95, p99 ${ms.join(", ")} ms`,
    );
    return result;
  };
  for (const load of LOADS) {
    const { latenciesMs } = await offered(load, testnet.run);
    const [p50 = 0, p95 = 0, p99 = 0] = [0.5, 0.95, 0.99].map((share) => percentile(latenciesMs, share));
    const name = `${text}, at ${Math.round(load * 100)} % of the peak`;
    for (const [which, value] of [
      ["p50", p50],
      ["p95", p95],
      ["p99", p99],
    ] as const) {
      rows.push({
        ...{ name: `${name}, ${which}`, unit: "ms", value, against: null, ratio: null, target: null, met: null },
      });
    }
  }
  const count = FLOODING_USERS * OWN_DEPOSITS;
  if (action === "retrieve-keys") await testnet.runAtAll({ action: "deposit-keys", count, inFlight: IN_FLIGHT });
  // Against the peak at the same time: a machine may do more or less than it did some minutes ago.
  const peaks: number[] = [];
  const floods: number[] = [];
  for (let round = 1; round <= FLOOD_ROUNDS; round += 1) {
    peaks.push(perSecond(await testnet.run({ action, count: COUNT, inFlight: IN_FLIGHT })));
    say(`${round}/${FLOOD_ROUNDS} ${action}: ${(peaks.at(-1) ?? 0).toFixed(0)}/s before the flood`);
    floods.push(perSecond(await offered(FLOOD, testnet.runAtAll)));
  }
  rows.push(ratioRow(`${text}, done at three times the peak`, "/s", median(floods), median(peaks), GOODPUT_TARGET));
  return rows;
}

const perSecond = ({ done, seconds }: Operations) => done / seconds;
