/**
 * Many short deposits at once take the three steps that one takes (server/short/), each for all of them. `place-lot`: what they are, and for
 * the keepers the owner's masked messages; the providers give their masked layers to all keepers. `link-lot` and `seal-lot` follow.
 */
import { auditChange } from "../../../audit/index.ts";
import { DIGEST_BYTES, equalBytes } from "../../../crypto/digest.ts";
import { wipe } from "../../../crypto/release.ts";
import { type HeldDeal, heldDealChange, loadHeldDeal, withDeal } from "../../../dealing/held-deal.ts";
import { type DealLot, loadDealLot, seedInLot } from "../../../dealing/lot/deal-lot.ts";
import { type CheckedRequest, checkRequest } from "../../../identity/request.ts";
import { checkTag } from "../../../identity/tag.ts";
import { coefficientOf } from "../../../rounds/descriptor.ts";
import { maskKey, maskKeyInLot } from "../../../rounds/masks.ts";
import { whole } from "../../../rounds/whole.ts";
import { byTurns } from "../../../wire/by-turns.ts";
import type { CborValue } from "../../../wire/codec.ts";
import { IntercloudError } from "../../../wire/errors.ts";
import { parseShape } from "../../../wire/shape.ts";
import type { Channel, Context } from "../../../wire/transport.ts";
import { piecesOf, receiveWhole } from "../../../wire/whole-body.ts";
import { CUSTODY_PROTOCOL, LOT_LIFETIME_MS, OPEN_TIMEOUT_MS } from "../../constants.ts";
import { mayDeal } from "../../dealers.ts";
import { type DepositTerms, readTerms } from "../../deposit-terms.ts";
import { type OfferedLot, offerAll, signedRequestBytes } from "../../lot/lot-chain.ts";
import { placeLotShape } from "../../lot/lot-messages.ts";
import { lotStatements } from "../../lot/lot-statements.ts";
import { sliceDigests } from "../../lot/slice-digests.ts";
import type { ActiveDeposits } from "../active.ts";
import { allOrFirstCause } from "../all-or-first-cause.ts";
import { requireRoom } from "../bind.ts";
import type { CustodyProvider } from "../provider.ts";
import { burnUnlinkedLot } from "./burn-lot.ts";
import type { LotSum, LotsUnderWay } from "./lots-under-way.ts";
import { sealAsOthers } from "./settle-lot.ts";

export async function placeLot(
  provider: CustodyProvider,
  active: ActiveDeposits,
  lots: LotsUnderWay,
  channel: Channel,
  header: CborValue,
  context: Context,
): Promise<void> {
  const message = parseShape(placeLotShape, header, "place-lot");
  const { lotId, plan, tag, signature } = message;
  const { store, clock, transport } = provider;
  lots.requireRoom();
  const deal = await requireDealt(provider, lotId);
  const lot = await loadDealLot(store, lotId);
  const { identity } = checkTag(tag, "deposit", clock.nowMs());
  const { shares, items = 0, lengthBytes } = lot.manifest;
  const isKeeper = shares.slice(0, plan.copies).some(({ peer }) => peer === transport.peer);
  const body = await receiveWhole(channel, items * DIGEST_BYTES + (isKeeper ? lengthBytes : 0));
  const digests = body.subarray(0, items * DIGEST_BYTES);
  const masked = isKeeper ? body.subarray(items * DIGEST_BYTES) : undefined;

  const offered = await offerAll(lotStatements(lot, plan, identity, digests));
  // All deposits are made of the same words, and one signature stands for them all: what is right for the first one is right for each.
  const first = signedRequestBytes(tag, offered.statements.offer(0).request, signature, offered.requests, 0);
  const request = checkRequest(first, "deposit", clock.nowMs());
  const terms = readTerms(request, lot.signedManifest(0));
  await requireWilling(provider, lot, terms, request, context, isKeeper ? lengthBytes : 0);
  await bindLot(provider, offered, deal);
  try {
    const ownPart = await partsOf(provider, offered, deal, terms);
    const ownDigests = await sliceDigests(ownPart, lot);
    const sum = masked === undefined ? undefined : await sumOf(provider, offered, masked, ownPart, ownDigests);
    const given = giveParts(provider, offered, plan.copies, ownPart);
    const ended = Promise.withResolvers<void>();
    lots.begin(lotId, {
      offered,
      tag,
      signature,
      digests,
      ownDigests,
      given,
      sum,
      linked: undefined,
      onEnd: ended.resolve,
    });
    waitForSeal(provider, active, lots, lotId, ended.promise).catch(() => {}); // what was not burnt now is burnt by the sweep
    await channel.sendBody(piecesOf(ownDigests));
    await channel.close();
  } catch (error) {
    lots.end(lotId);
    await burnUnlinkedLot(provider, lotId);
    throw error;
  }
}

/** @throws IntercloudError DEAL_USED. */
async function requireDealt({ store, clock }: CustodyProvider, lotId: Uint8Array): Promise<HeldDeal> {
  const deal = await loadHeldDeal(store, lotId);
  if (deal?.state === "dealt" && clock.nowMs() <= deal.expiresAtMs) return deal;
  const message = "this lot was used, has expired or never came; ask for a new one";
  throw new IntercloudError("DEAL_USED", deal === undefined ? "not-found" : "conflict", message);
}

async function requireWilling(
  provider: CustodyProvider,
  { manifest, lengths }: DealLot,
  terms: DepositTerms,
  request: CheckedRequest,
  { from }: Context,
  ciphertextBytes: number,
): Promise<void> {
  const nowMs = provider.clock.nowMs();
  if (!mayDeal(provider, manifest, terms.token.owner)) {
    const text = "this lot is neither by one of our dealers nor by the owner itself";
    throw new IntercloudError("NOT_OUR_DEAL", "refused", text);
  }
  if (from !== terms.descriptor.requester) {
    throw new IntercloudError("NOT_THE_REQUESTER", "refused", "this request was made by another peer");
  }
  const { maxMessageBytes } = provider.limits;
  if (lengths.some((each) => each > maxMessageBytes)) {
    const details = { limitBytes: maxMessageBytes };
    throw new IntercloudError("TOO_LARGE", "full", "a message is larger than we take", details);
  }
  provider.replayGuard.admit(request, nowMs);
  await requireRoom(provider, terms.token.owner, ciphertextBytes);
}

async function bindLot(provider: CustodyProvider, { statements, requests }: OfferedLot, deal: HeldDeal): Promise<void> {
  const { dealId } = deal;
  await withDeal(provider.store, dealId, async () => {
    const { state, manifest } = await requireDealt(provider, dealId);
    if (state !== "dealt" || !equalBytes(manifest, deal.manifest)) {
      throw new IntercloudError("DEAL_USED", "conflict", "this lot is another one by now");
    }
    const { items, owner: identity } = statements;
    await provider.store.commit([
      heldDealChange({ ...deal, state: "bound", boundTo: requests.root }),
      auditChange({ kind: "lot", step: "bound", dealId, identity, root: requests.root, items }),
    ]);
  });
  provider.observe({ kind: "bound", tokenId: requests.root });
}

/** Our shares of all deposits, one after another; to be wiped. */
export async function sharesOf(provider: CustodyProvider, lot: DealLot, deal: HeldDeal): Promise<Uint8Array> {
  const { keystream } = provider.tools;
  const correction = deal.correction === null ? undefined : await whole(provider.store.bodies.read(deal.correction, 0));
  const shares = new Uint8Array(lot.manifest.lengthBytes);
  await byTurns(lot.lengths.length, (index) => {
    const start = lot.offsets[index]!;
    const end = start + lot.lengths[index]!;
    const seed = seedInLot(deal.seed, index);
    const share = keystream(seed, 0).xor(correction?.subarray(start, end) ?? new Uint8Array(end - start));
    shares.set(share, start);
    for (const secret of [seed, share]) wipe(secret);
  });
  return shares;
}

/** Of each deposit our share times its coefficient, under a mask of its own; one after another. */
async function partsOf(
  provider: CustodyProvider,
  { statements, roundHashes }: OfferedLot,
  deal: HeldDeal,
  { descriptor }: DepositTerms,
): Promise<Uint8Array> {
  const { lot, plan } = statements;
  const { keystream, kernel } = provider.tools;
  const member = descriptor.members.find(({ peer }) => peer === provider.transport.peer);
  if (member === undefined) throw new IntercloudError("NOT_A_MEMBER", "refused", "we have no part in this lot");
  const shares = await sharesOf(provider, lot, deal);
  const coefficient = coefficientOf(descriptor, member.point);
  const lotKey = maskKey(provider.agreementKey, plan.userKey, member, deal.dealId);
  const parts = new Uint8Array(lot.manifest.lengthBytes);
  await byTurns(statements.items, (index) => {
    const start = lot.offsets[index]!;
    const end = start + lot.lengths[index]!;
    const key = maskKeyInLot(lotKey, roundHashes[index]!);
    const part = keystream(key, 0).xor(new Uint8Array(end - start));
    kernel.addScaled(part, shares.subarray(start, end), coefficient);
    parts.set(part, start);
    for (const secret of [key, part]) wipe(secret);
  });
  wipe(shares);
  lotKey.fill(0);
  return parts;
}

async function sumOf(
  provider: CustodyProvider,
  { statements }: OfferedLot,
  masked: Uint8Array,
  ownPart: Uint8Array,
  ownDigests: Uint8Array,
): Promise<LotSum> {
  const { lot, roster, items } = statements;
  const digestsFromOwner = await sliceDigests(masked, lot);
  const bytes = new Uint8Array(masked);
  const sum: LotSum = {
    ...{ bytes, digestsFromOwner, digestsReceived: new Uint8Array(items * roster.length * DIGEST_BYTES) },
    ...{ from: new Set(), complete: Promise.withResolvers() },
  };
  sum.complete.promise.catch(() => {});
  addPart(provider, sum, { ...statements, from: provider.transport.peer }, ownPart, ownDigests);
  return sum;
}

/** @param digests of the parts of this provider */
export function addPart(
  { tools }: CustodyProvider,
  sum: LotSum,
  { roster, from }: { readonly roster: readonly string[]; readonly from: string },
  parts: Uint8Array,
  digests: Uint8Array,
): void {
  const position = roster.indexOf(from);
  tools.kernel.addScaled(sum.bytes, parts, 1);
  for (let index = 0; index * DIGEST_BYTES < digests.length; index += 1) {
    const digest = digests.subarray(index * DIGEST_BYTES, (index + 1) * DIGEST_BYTES);
    sum.digestsReceived.set(digest, (index * roster.length + position) * DIGEST_BYTES);
  }
  sum.from.add(from);
  if (sum.from.size === roster.length) sum.complete.resolve();
}

/** Settles when every keeper has them; a failure is met by whoever awaits it. */
function giveParts(
  { transport }: CustodyProvider,
  { statements }: OfferedLot,
  copies: number,
  parts: Uint8Array,
): Promise<void> {
  const { lot, roster } = statements;
  const others = roster.slice(0, copies).filter((peer) => peer !== transport.peer);
  const given = allOrFirstCause(
    others.map(async (peer) => {
      try {
        const options = { timeoutMs: OPEN_TIMEOUT_MS };
        const header = { lotId: lot.manifest.dealId };
        const channel = await transport.open(peer, CUSTODY_PROTOCOL, "lot-part", header, options);
        await channel.sendBody(piecesOf(parts));
        await channel.receiveMessage();
        await channel.close();
      } catch (cause) {
        const text = "a keeper did not take our parts";
        throw new IntercloudError("PART_NOT_TAKEN", "unreachable", text, { peers: [peer] }, cause);
      }
    }),
  );
  given.catch(() => {});
  return given;
}

/** A lot that the owner does not have sealed in time is burnt, unless we have signed our links: then it may be sealed elsewhere. */
async function waitForSeal(
  provider: CustodyProvider,
  active: ActiveDeposits,
  lots: LotsUnderWay,
  lotId: Uint8Array,
  ended: Promise<void>,
): Promise<void> {
  const giveUp = () => lots.end(lotId);
  const settle = async () => {
    if (lots.find(lotId)?.linked === undefined) return;
    await active.run(lotId, "seal", never, (signal) => sealAsOthers(provider, lotId, new Set(), signal));
  };
  const disarm = provider.clock.after(LOT_LIFETIME_MS, () => void settle().then(giveUp, giveUp));
  const never = new AbortController().signal;
  await active.run(lotId, "place", never, async (abandoned) => {
    abandoned.addEventListener("abort", giveUp, { once: true });
    await ended;
  });
  disarm();
  await burnUnlinkedLot(provider, lotId);
}
