/** Deals that were fetched ahead, so that deposits go on for a while with every dealer away. What a stock of them can do. */
import type { PeerName } from "../wire/transport.ts";
import type { FreshDeal } from "./client.ts";
import type { Manifest } from "./manifest.ts";

/** A deal that is not used this long before it expires is not begun with any more: a deposit must be sealed by then, and clocks differ. */
export const STOCK_MARGIN_MS = 30 * 60_000;

/** Whether there is time enough left to begin a deposit on it. */
export function isStockable({ expiresAtMs }: Manifest, nowMs: number): boolean {
  return nowMs < expiresAtMs - STOCK_MARGIN_MS;
}

export interface StockedDeal {
  readonly manifest: Manifest;
  /** Takes it out for good. Undefined when somebody else was faster. */
  take(): Promise<FreshDeal | undefined>;
}

export interface DealStock {
  /** How many to keep; 0: none. */
  readonly size: number;
  /** Those that can be used now, the one that expires first at first. What has expired is removed. */
  deals(): Promise<readonly StockedDeal[]>;
  /** Kept when it resolves. The seed stays the caller's. */
  keep(deal: FreshDeal): Promise<void>;
}

/** What a deal has to be like. */
export interface DealTerms {
  /** n and t. */
  readonly providers: number;
  readonly threshold: number;
  readonly lengthBytes: number;
  /** Those whose deals may be used. */
  readonly dealers: readonly PeerName[];
}

export function fits({ shares, threshold, lengthBytes, dealer }: Manifest, terms: DealTerms): boolean {
  const same = shares.length - 1 === terms.providers && threshold === terms.threshold;
  return same && lengthBytes === terms.lengthBytes && terms.dealers.includes(dealer);
}
