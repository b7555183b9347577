/** Byzantine providers and dealers: every lie that we can think of, and how a node is put together that tells it. */
import { ANSWER_LIES } from "./answers.ts";
import { DEALER_LIES } from "./dealers.ts";
import type { DealerLie, ProviderLie } from "./lie.ts";
import { PROOF_LIES } from "./proofs.ts";
import { ROUND_LIES } from "./rounds.ts";
import { STATEMENT_LIES } from "./statements.ts";
import { STORE_LIES } from "./stores.ts";
import { STREAM_LIES } from "./streams.ts";
import { THEFTS } from "./thefts.ts";

export type { About, DealerLie, Liar, LiarTools, ProviderLie, Substitutes } from "./lie.ts";
export { type LyingNode, lyingDealer, lyingProvider } from "./put-together.ts";
export { DEALER_LIES };

export const PROVIDER_LIES: readonly ProviderLie[] = [
  ...ROUND_LIES,
  ...STORE_LIES,
  ...STATEMENT_LIES,
  ...PROOF_LIES,
  ...ANSWER_LIES,
  ...STREAM_LIES,
  ...THEFTS,
];

/** @throws Error when there is no such lie: the names come from programs, not from peers. */
export function providerLie(name: string): ProviderLie {
  return named(PROVIDER_LIES, name);
}

/** @throws Error as `providerLie`. */
export function dealerLie(name: string): DealerLie {
  return named(DEALER_LIES, name);
}

function named<T extends { readonly name: string }>(lies: readonly T[], name: string): T {
  const found = lies.find((lie) => lie.name === name);
  if (found !== undefined) return found;
  throw new Error(`there is no lie "${name}"; there are ${lies.map((lie) => lie.name).join(", ")}`);
}
