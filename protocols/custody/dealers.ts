/** Whose deals count for a deposit: those of the dealers that we know, and those that its owner dealt for itself. */
import { isSelfDealt, type Manifest } from "../dealing/manifest.ts";
import type { Identity } from "../identity/identity.ts";
import type { PeerName } from "../wire/transport.ts";

export type DealtBy = "federation" | "self";

export function dealtBy(manifest: Manifest, owner: Identity): DealtBy {
  return isSelfDealt(manifest, owner) ? "self" : "federation";
}

export function mayDeal(
  { isDealer }: { isDealer(peer: PeerName): boolean },
  manifest: Manifest,
  owner: Identity,
): boolean {
  return isDealer(manifest.dealer) || isSelfDealt(manifest, owner);
}
