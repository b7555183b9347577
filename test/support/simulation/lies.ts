/** Liars in a simulation: which lies there are to choose from, and what a node that tells one is put together from. */
import type { Handlers } from "../../../protocols/wire/transport.ts";
import {
  DEALER_LIES,
  dealerLie,
  type LiarTools,
  lyingDealer,
  lyingProvider,
  PROVIDER_LIES,
  providerLie,
} from "../../../testnet/liars/index.ts";
import { type Plan, planOf } from "./plan.ts";
import type { Parts } from "./world.ts";

const LIE_NAMES = PROVIDER_LIES.map(({ name }) => name);
const DEALER_LIE_NAMES = DEALER_LIES.map(({ name }) => name);

/** Whoever tells one of these in a get has to be named. */
export const ATTRIBUTABLE = PROVIDER_LIES.filter(({ isAttributable }) => isAttributable).map(({ name }) => name);

export function newPlan(seed: number): Plan {
  return planOf(seed, LIE_NAMES, DEALER_LIE_NAMES);
}

/** Of a new process: what it remembers of its lies is its own. */
export function partsOfLie(name: string, tools: LiarTools): Parts {
  let serves = (_: string, made: Handlers) => made;
  const handlers = (made: Handlers, protocol: string) => serves(protocol, made);
  if (DEALER_LIE_NAMES.includes(name)) {
    return {
      dealer(honest) {
        const node = lyingDealer(dealerLie(name), honest, tools);
        serves = node.serves;
        return node.own;
      },
      handlers,
    };
  }
  return {
    provider(honest) {
      const node = lyingProvider(providerLie(name), honest, tools);
      serves = node.serves;
      return node.own;
    },
    handlers,
  };
}
