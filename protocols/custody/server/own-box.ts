/** Protocol 1: our share sealed to the owner of a deposit; null when it is more than a seed. */
import type { HeldDeal } from "../../dealing/held-deal.ts";
import { sealShare } from "../share-boxes.ts";
import type { CustodyProvider } from "./provider.ts";

export function ownBox(
  { entropy }: CustodyProvider,
  userKey: Uint8Array,
  { dealId, point, seed, correction }: HeldDeal,
): Uint8Array | null {
  return correction === null ? sealShare(userKey, { dealId }, { point, seed }, entropy) : null;
}
