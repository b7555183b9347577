/**
 * Giving account of our share, and of the ciphertext if we keep it, to somebody who may read the deposit: what they are by their digests,
 * signed, and some of their blocks. Every byte of them is read. What is damaged is owned up to, never passed off as good.
 */
import { auditChange } from "../../audit/index.ts";
import { digestOfBlocks } from "../../crypto/block-digest.ts";
import { equalBytes } from "../../crypto/digest.ts";
import { loadHeldDeal, shareOf } from "../../dealing/held-deal.ts";
import { entryOfPeer } from "../../dealing/manifest.ts";
import { checkRequest } from "../../identity/request.ts";
import { shareBytes, shareDigest } from "../../rounds/share.ts";
import type { CborValue } from "../../wire/codec.ts";
import { IntercloudError } from "../../wire/errors.ts";
import { onceOf } from "../../wire/once-of.ts";
import { parseShape } from "../../wire/shape.ts";
import type { Channel, Context } from "../../wire/transport.ts";
import { abortOn } from "../abort-on.ts";
import { accountRequestDigest, coveringBlocks, type Excerpt, excerpt, signAccount } from "../account.ts";
import { accountContentShape, requestShape } from "../messages.ts";
import { tellWaiting } from "../waiting-chain.ts";
import { requireReader } from "./access.ts";
import { ciphertextName } from "./deposit-record.ts";
import type { CustodyProvider } from "./provider.ts";
import { loadServing, type Serving } from "./serving.ts";
import { unlessLost } from "./unless-lost.ts";

export async function giveAccount(
  provider: CustodyProvider,
  channel: Channel,
  header: CborValue,
  context: Context,
): Promise<void> {
  const message = parseShape(requestShape, header, "account");
  const nowMs = provider.clock.nowMs();
  const request = checkRequest(message.request, "retrieve", nowMs);
  const content = parseShape(accountContentShape, request.content, "account request");
  const { tokenId, dealId, offsetBytes, lengthBytes } = content;
  const serving = await loadServing(provider.store, tokenId, dealId);
  await requireReader(provider, serving.terms, request.identity, "retrieve");
  const { manifest, kept } = serving.placement;
  const { peer } = provider.transport;
  if (content.provider !== peer || kept === undefined || offsetBytes + lengthBytes > manifest.lengthBytes) {
    throw new IntercloudError(
      "BAD_ACCOUNT",
      "bad-request",
      "this request for an account is for another provider or deal",
    );
  }
  provider.replayGuard.admit(request, nowMs);
  const release = abortOn(context.signal, channel);
  const waiting = tellWaiting(provider.clock, channel);
  try {
    const range = coveringBlocks(offsetBytes, lengthBytes, manifest.lengthBytes);
    const share = await goodShare(provider, serving, range);
    const ciphertext = serving.holdsCiphertext ? await goodCiphertext(provider, serving, range) : undefined;
    await waiting.stop();
    const account = signAccount(
      {
        ...{ version: 1, tokenId, dealId, peer, point: entryOfPeer(manifest, peer)!.point },
        ...{ request: accountRequestDigest(message.request), keepingDigest: kept.keepingDigest },
        shareDigest: share === undefined ? null : digestOfBlocks(share.blockDigests),
        ciphertextDigest: ciphertext === undefined ? null : digestOfBlocks(ciphertext.blockDigests),
        timeMs: nowMs,
      },
      provider.signer,
    );
    const { identity } = request;
    await provider.store.commit([auditChange({ kind: "accounted", tokenId, identity, from: context.from })]);
    await channel.sendMessage({ account });
    for (const each of [share, ciphertext]) {
      if (each === undefined) continue;
      await channel.sendBody(onceOf(each.blockDigests));
      await channel.sendBody(onceOf(each.content));
    }
    await channel.close();
  } finally {
    await waiting.stop();
    release();
  }
}

type Range = ReturnType<typeof coveringBlocks>;

/** Undefined when it is not the share that we were dealt any more. */
async function goodShare(
  provider: CustodyProvider,
  { placement }: Serving,
  range: Range,
): Promise<Excerpt | undefined> {
  const { manifest } = placement;
  const entry = entryOfPeer(manifest, provider.transport.peer);
  const deal = await loadHeldDeal(provider.store, manifest.dealId);
  if (entry === undefined || deal === undefined || deal.state === "burnt") return undefined;
  const { keystream } = provider.tools;
  return await unlessLost(async () => {
    const found = await excerpt(shareBytes(shareOf(deal, provider.store), manifest.lengthBytes, keystream), range);
    const digest = shareDigest(manifest.dealId, entry.point, digestOfBlocks(found.blockDigests));
    return equalBytes(digest, entry.digest) ? found : undefined;
  }, undefined);
}

async function goodCiphertext(
  provider: CustodyProvider,
  { placement, terms }: Serving,
  range: Range,
): Promise<Excerpt | undefined> {
  const { kept, generation } = placement;
  return await unlessLost(async () => {
    const found = await excerpt(provider.store.bodies.read(ciphertextName(terms.tokenId, generation), 0), range);
    const good = kept !== undefined && equalBytes(digestOfBlocks(found.blockDigests), kept.ciphertextDigest);
    return good ? found : undefined;
  }, undefined);
}
