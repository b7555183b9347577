/** Many messages at once: the short ones in one lot, those that are too long for it one by one, a few at a time. */

import type { Deposited } from "../protocols/custody/client/index.ts";
import { type DepositedInLot, type LotOptions, MAX_LOT_MESSAGE_BYTES } from "../protocols/custody/client/index.ts";
import { whole } from "../protocols/rounds/whole.ts";
import { IntercloudError } from "../protocols/wire/errors.ts";
import type { DepositChoice, DepositPlan } from "./deposit-plan.ts";
import type { DepositSource } from "./sources.ts";

/** One of many. */
export interface DepositedOne extends Pick<Deposited, "tokenText" | "token" | "envelope"> {
  /** What `verify` and `trace` check offline; made when it is asked for. */
  proof(): Uint8Array;
  /** Whether it came in one round with others. */
  readonly inLot: boolean;
}

/** Each of them takes a channel to every provider. */
const LONG_AT_ONCE = 4;

export interface BatchParts {
  readonly signal: AbortSignal;
  readonly onDeposited: (index: number, deposited: DepositedOne) => void;
  lot(messages: readonly Uint8Array[]): Promise<readonly DepositedInLot[]>;
  long(source: DepositSource): Promise<Deposited>;
}

/** In the order of the sources. The lot comes first; when one of the long ones fails after that, `onDeposited` has told which exist. */
export async function depositBatch(sources: readonly DepositSource[], parts: BatchParts): Promise<DepositedOne[]> {
  const { signal } = parts;
  const made: DepositedOne[] = [];
  const tell = (index: number, deposited: DepositedOne) => {
    made[index] = deposited;
    parts.onDeposited(index, deposited);
  };
  const all = [...sources.entries()];
  const short = all.filter(([, source]) => fitsLot(source));
  const long = all.filter(([, source]) => !fitsLot(source));
  const messages = await Promise.all(short.map(([index, source]) => read(source, index)));
  const lot = await parts.lot(messages);
  for (const [i, deposited] of lot.entries()) tell(short[i]![0], { ...deposited, envelope: null, inLot: true });
  const worker = async () => {
    for (let next = long.shift(); next !== undefined; next = long.shift()) {
      signal.throwIfAborted();
      const [index, source] = next;
      const { tokenText, token, envelope, proof } = await parts.long(source);
      tell(index, { tokenText, token, envelope, inLot: false, proof: () => proof });
    }
  };
  const workers = await Promise.allSettled(Array.from({ length: LONG_AT_ONCE }, worker));
  const failed = workers.find((each) => each.status === "rejected");
  if (failed !== undefined) throw failed.reason;
  return made;
}

/** Nothing at all has no bytes to share; it is kept as an envelope, as `put` does. */
function fitsLot(source: DepositSource): boolean {
  const lengthBytes = "lengthBytes" in source ? source.lengthBytes : (source as Uint8Array).length;
  return typeof lengthBytes === "number" && lengthBytes >= 1 && lengthBytes <= MAX_LOT_MESSAGE_BYTES;
}

async function read(source: DepositSource, index: number): Promise<Uint8Array> {
  if (source instanceof Uint8Array) return source;
  if (!("open" in source)) return await whole(source);
  const message = await whole(source.open());
  if (message.length === source.lengthBytes) return message;
  const text = `message ${index + 1} changed while it was read; nothing was kept`;
  throw new IntercloudError("SOURCE_CHANGED", "bad-request", text);
}

/** @throws IntercloudError WRONG_FORM when something else was chosen than a lot can be. */
export function lotPlan(plan: DepositPlan, chosen: DepositChoice): Omit<LotOptions, "messages" | "signal"> {
  const { providers, threshold, copies, candidates, dealer, protocol } = plan;
  if (protocol === 3 && chosen.route !== "chain") return { providers, threshold, copies, candidates, dealer };
  const message = "a batch goes by Protocol 3 and the fanout route; choose these, or deposit one by one";
  throw new IntercloudError("WRONG_FORM", "bad-request", message);
}
