/** What a provider looks at before it takes a deal, or a lot of them. */
import { CLOCK_SKEW_MS } from "../identity/constants.ts";
import type { Store } from "../storage/index.ts";
import type { Clock } from "../wire/clock.ts";
import { IntercloudError } from "../wire/errors.ts";
import type { PeerName } from "../wire/transport.ts";
import { DEAL_LIFETIME_MS } from "./constants.ts";
import { loadHeldDeal } from "./held-deal.ts";
import { entryOfPeer, type Manifest, type ManifestEntry } from "./manifest.ts";
import type { DealtBy } from "./unbound.ts";

/** @throws IntercloudError DEAL_EXISTS. */
export async function requireUnknown(store: Store, dealId: Uint8Array): Promise<void> {
  if ((await loadHeldDeal(store, dealId)) !== undefined) throw dealExists();
}

/** @returns our entry. */
export function checkRole(
  options: { readonly peer: PeerName; readonly clock: Clock },
  manifest: Manifest,
  by: DealtBy,
): ManifestEntry {
  if (manifest.dealer !== by.dealer) throw notFromThisDealer();
  const nowMs = options.clock.nowMs();
  if (by.isSelf && manifest.expiresAtMs > nowMs + DEAL_LIFETIME_MS + CLOCK_SKEW_MS) {
    throw new IntercloudError("DEAL_TOO_LONG", "refused", "whoever deals for itself has a day to use it");
  }
  if (nowMs > manifest.expiresAtMs || nowMs + CLOCK_SKEW_MS < manifest.createdAtMs) {
    throw new IntercloudError("DEAL_EXPIRED", "expired", "this deal is outside its time window; ask for a new one");
  }
  const entry = entryOfPeer(manifest, options.peer);
  if (entry === undefined) {
    throw new IntercloudError("NOT_A_MEMBER", "refused", "this deal has no share for us");
  }
  return entry;
}

export function dealExists(): IntercloudError {
  return new IntercloudError("DEAL_EXISTS", "conflict", "there is, or was, another deal with this id");
}

export function notFromThisDealer(): IntercloudError {
  return new IntercloudError("NOT_ITS_DEAL", "refused", "this deal was made by another dealer");
}
