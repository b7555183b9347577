/** What a network and impatient clients do to requests: they arrive in another order, twice, or not at all, or their answers do not. */

import type { Clock } from "../../../protocols/wire/clock.ts";
import type { CborValue } from "../../../protocols/wire/codec.ts";
import type { AskHandler, Context, Handlers } from "../../../protocols/wire/transport.ts";
import type { Random } from "./random.ts";

export interface Disturbance {
  readonly clock: Clock;
  readonly random: Random;
  readonly isReordered: () => boolean;
  readonly isDuplicated: () => boolean;
  readonly isLossy: () => boolean;
}

const MOST_LATE_MS = 800;
const DUPLICATE_SHARE = 0.3;
const LOSS_SHARE = 0.15;

export function disturbed(handlers: Handlers, disturbance: Disturbance): Handlers {
  const asks = Object.entries(handlers.asks ?? {}).map(([method, answer]) => [
    method,
    disturbedAsk(answer, disturbance),
  ]);
  return { ...handlers, asks: Object.fromEntries(asks) as Record<string, AskHandler> };
}

function disturbedAsk(answer: AskHandler, disturbance: Disturbance): AskHandler {
  const { clock, random, isReordered, isDuplicated, isLossy } = disturbance;
  const late = () => new Promise<void>((resolve) => void clock.after(random.between(0, MOST_LATE_MS), resolve));
  return async (body, context) => {
    const isTwice = isDuplicated() && random.chance(DUPLICATE_SHARE);
    if (isTwice) void again(answer, structuredClone(body), context, late);
    if (isReordered()) await late();
    const isLost = isLossy() && random.chance(LOSS_SHARE);
    if (isLost && random.chance(0.5)) return await never(context);
    const said = await answer(body, context);
    return isLost ? await never(context) : said;
  };
}

async function again(answer: AskHandler, body: CborValue, { from, requestId }: Context, late: () => Promise<void>) {
  await late();
  try {
    await answer(body, { from, requestId, signal: new AbortController().signal });
  } catch {
    // nobody waits for it
  }
}

/** Until whoever asks gives up. */
function never({ signal }: Context): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}
