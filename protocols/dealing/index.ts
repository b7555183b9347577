/** Dealing: fresh shares of a random polynomial per byte, made by a dealer that keeps nothing. What daemons need of it. */
export { DEAL_LIFETIME_MS, DEALING_PROTOCOL, MAX_DEAL_LIFETIME_MS } from "./constants.ts";
export { type HeldDeal, loadHeldDeal, shareOf } from "./held-deal.ts";
export { createDealKeeper, type DealKeeperOptions } from "./keeper.ts";
export type { ProviderDirectory } from "./members.ts";
export type { DealLimits } from "./quota.ts";
export { createDealServer, type DealOutcome, type DealServerOptions } from "./server.ts";
export { sweepDeals } from "./staging.ts";
export { createUnbound, DEFAULT_UNBOUND_LIMITS, type Unbound } from "./unbound.ts";
