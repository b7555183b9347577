/** A provider's part of a round among providers: its shares times their coefficients, under the masks that it has with all others. */
import { pipe } from "it-pipe";
import { auditChange } from "../../audit/index.ts";
import { loadHeldDeal, shareOf } from "../../dealing/held-deal.ts";
import { layer } from "../../rounds/layer.ts";
import { pairMaskKey } from "../../rounds/masks.ts";
import { type ProviderRound, placesOf, roundPeers, summandCoefficient } from "../../rounds/provider-round.ts";
import { zeros } from "../../rounds/zeros.ts";
import { IntercloudError } from "../../wire/errors.ts";
import type { CustodyProvider } from "./provider.ts";

/** What we send, all of it. @throws IntercloudError NOT_A_MEMBER, NO_SHARE, UNKNOWN_PROVIDER. */
export async function ownPart(
  provider: CustodyProvider,
  round: ProviderRound,
  roundHash: Uint8Array,
): Promise<AsyncIterable<Uint8Array>> {
  const self = provider.transport.peer;
  const places = placesOf(round, self);
  if (places.length === 0) throw new IntercloudError("NOT_A_MEMBER", "refused", "we have no part in this round");
  const shares = await Promise.all(
    places.map(async ({ summand, member }) => {
      const deal = await loadHeldDeal(provider.store, summand.dealId);
      if (deal === undefined || deal.state === "burnt" || deal.point !== member.point) {
        throw new IntercloudError("NO_SHARE", "not-found", "we hold no share at this point of this deal");
      }
      return { share: shareOf(deal, provider.store), coefficient: summandCoefficient(summand, member) };
    }),
  );
  const maskKeys = roundPeers(round)
    .filter((peer) => peer !== self)
    .map((peer) => pairMaskKey(provider.agreementKey, agreementKeyOf(provider, peer), [self, peer], roundHash));
  const [first, ...others] = shares;
  const options = { ...provider.tools, offsetBytes: 0 };
  const masked = layer({ ...options, share: first, maskKeys })(zeros(round.lengthBytes));
  return others.reduce((bytes, share) => pipe(bytes, layer({ ...options, share, maskKeys: [] })), masked);
}

/** On disk before anything leaves. */
export async function tracePart(
  provider: CustodyProvider,
  { tokenId, kind, collector }: ProviderRound,
  roundDigest: Uint8Array,
): Promise<void> {
  await provider.store.commit([auditChange({ kind: "gave-part", tokenId, round: kind, to: collector, roundDigest })]);
}

function agreementKeyOf(provider: CustodyProvider, peer: string): Uint8Array {
  const key = provider.agreementKeyOf(peer);
  if (key !== undefined) return key;
  throw new IntercloudError("UNKNOWN_PROVIDER", "refused", "a member of this round is not in our federation", {
    peers: [peer],
  });
}
