/** Giving account of whatever is on disk, without holding it against what was dealt: an honest provider owns up to what it has lost. */
import { blockDigestsOf, bodyDigest } from "../../protocols/crypto/block-digest.ts";
import { accountRequestDigest, coveringBlocks, signAccount } from "../../protocols/custody/account.ts";
import { accountContentShape, requestShape } from "../../protocols/custody/messages.ts";
import { requireReader } from "../../protocols/custody/server/access.ts";
import { ciphertextName } from "../../protocols/custody/server/deposit-record.ts";
import type { CustodyProvider } from "../../protocols/custody/server/index.ts";
import { loadServing } from "../../protocols/custody/server/serving.ts";
import { loadHeldDeal, shareOf } from "../../protocols/dealing/held-deal.ts";
import { checkRequest } from "../../protocols/identity/request.ts";
import { shareBytes } from "../../protocols/rounds/share.ts";
import { whole } from "../../protocols/rounds/whole.ts";
import { IntercloudError } from "../../protocols/wire/errors.ts";
import { onceOf } from "../../protocols/wire/once-of.ts";
import { parseShape } from "../../protocols/wire/shape.ts";
import type { ChannelHandler } from "../../protocols/wire/transport.ts";

/** @param provider with the store that the account is of */
export function uncheckedAccount(provider: CustodyProvider): ChannelHandler {
  return async (channel, header) => {
    const { store, clock, signer, transport, tools } = provider;
    const { request } = parseShape(requestShape, header, "account");
    const checked = checkRequest(request, "retrieve", clock.nowMs());
    const { tokenId, dealId, offsetBytes, lengthBytes } = parseShape(accountContentShape, checked.content, "account");
    const { placement, terms, holdsCiphertext } = await loadServing(store, tokenId, dealId);
    await requireReader(provider, terms, checked.identity, "retrieve");
    const { manifest, kept, generation, roster } = placement;
    const deal = await loadHeldDeal(store, dealId);
    if (deal === undefined || kept === undefined) {
      throw new IntercloudError("NO_SHARE", "not-found", "we hold no share of this deal");
    }
    const range = coveringBlocks(offsetBytes, lengthBytes, manifest.lengthBytes);
    const share = await whole(shareBytes(shareOf(deal, store), manifest.lengthBytes, tools.keystream));
    const ciphertext = holdsCiphertext ? await whole(store.bodies.read(ciphertextName(tokenId, generation), 0)) : null;
    const account = signAccount(
      {
        ...{ version: 1, tokenId, dealId, peer: transport.peer, point: roster.indexOf(transport.peer) + 1 },
        ...{ request: accountRequestDigest(request), keepingDigest: kept.keepingDigest, timeMs: clock.nowMs() },
        ...{ shareDigest: bodyDigest(share), ciphertextDigest: ciphertext && bodyDigest(ciphertext) },
      },
      signer,
    );
    await channel.sendMessage({ account });
    for (const bytes of ciphertext === null ? [share] : [share, ciphertext]) {
      const content = bytes.slice(range.startBytes, range.startBytes + range.lengthBytes);
      for (const part of [blockDigestsOf(bytes), content]) await channel.sendBody(onceOf(part));
    }
    await channel.close();
  };
}
