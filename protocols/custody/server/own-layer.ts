/** A provider's own part of a round: its share times its coefficient, under the mask that it has with the user. */
import { loadHeldDeal, shareOf } from "../../dealing/held-deal.ts";
import { coefficientOf, type RoundDescriptor } from "../../rounds/descriptor.ts";
import { layer } from "../../rounds/layer.ts";
import { maskKey } from "../../rounds/masks.ts";
import { IntercloudError } from "../../wire/errors.ts";
import type { CustodyProvider } from "./provider.ts";

export type Transform = (source: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>;

/** @throws IntercloudError NOT_A_MEMBER, NO_SHARE; BAD_KEY for a user's key of small order. */
export async function ownLayer(
  provider: CustodyProvider,
  descriptor: RoundDescriptor,
  roundHash: Uint8Array,
): Promise<Transform> {
  const member = descriptor.members.find(({ peer }) => peer === provider.transport.peer);
  if (member === undefined) {
    throw new IntercloudError("NOT_A_MEMBER", "refused", "we have no part in this round");
  }
  const maskKeys = [maskKey(provider.agreementKey, descriptor.userKey, member, roundHash)];
  const { offsetBytes } = descriptor;
  const coefficient = coefficientOf(descriptor, member.point);
  if (coefficient === 0) return layer({ ...provider.tools, share: undefined, maskKeys, offsetBytes });
  const deal = await loadHeldDeal(provider.store, descriptor.dealId);
  if (deal === undefined || deal.state === "burnt" || deal.point !== member.point) {
    throw new IntercloudError("NO_SHARE", "not-found", "we hold no share at this point of this deal");
  }
  return layer({
    ...provider.tools,
    ...{ share: { share: shareOf(deal, provider.store), coefficient }, maskKeys, offsetBytes },
  });
}
