/** Dealing: fresh shares of a random polynomial per byte, made by a dealer that keeps nothing. */
export { type FreshDeal, type RequestDealOptions, requestDeal } from "./client.ts";
export * from "./constants.ts";
export {
  burnDeal,
  correctionName,
  type HeldDeal,
  heldDealChange,
  heldDealKey,
  loadHeldDeal,
  shareOf,
  withDeal,
} from "./held-deal.ts";
export { createDealKeeper, type DealKeeperOptions } from "./keeper.ts";
export {
  checkManifest,
  entryOfPeer,
  type Manifest,
  type ManifestEntry,
  manifestDigest,
  providerCount,
  providersOf,
  signManifest,
  userEntry,
} from "./manifest.ts";
export type { ProviderDirectory } from "./members.ts";
export { checkThreshold, correctedPoints, freePoints, isCorrected, userPoint } from "./points.ts";
export { createDealServer, type DealOutcome, type DealServerOptions } from "./server.ts";
export { sweepDeals } from "./staging.ts";
