/** The last message of a lot: the owner has seen all chains and accepts them. One commit, and all of its deposits exist. */
import { auditChange } from "../../../audit/index.ts";
import { DIGEST_BYTES, equalBytes } from "../../../crypto/digest.ts";
import {
  burntDealChanges,
  correctionName,
  finishBurn,
  type HeldDeal,
  loadHeldDeal,
  lotDealChange,
  withDeal,
} from "../../../dealing/held-deal.ts";
import { dealIdInLot, seedInLot } from "../../../dealing/lot/deal-lot.ts";
import { stagingChange, unstagedChange } from "../../../dealing/staging.ts";
import { checkKeptRequest, checkRequest } from "../../../identity/request.ts";
import { whole } from "../../../rounds/whole.ts";
import { bodyChanges, type Change, MAX_INLINE_BODY_BYTES } from "../../../storage/index.ts";
import { checkChain } from "../../../tokens/chain.ts";
import type { CborValue } from "../../../wire/codec.ts";
import { IntercloudError } from "../../../wire/errors.ts";
import { parseShape } from "../../../wire/shape.ts";
import type { Channel, Context, PeerName } from "../../../wire/transport.ts";
import { receiveWhole } from "../../../wire/whole-body.ts";
import { chainExpectation, readTerms } from "../../deposit-terms.ts";
import {
  type ClosedLot,
  closeAll,
  keepAll,
  type LinkedLot,
  type LotSignatures,
  proofInLot,
} from "../../lot/lot-chain.ts";
import { type SealLot, sealLotShape } from "../../lot/lot-messages.ts";
import { columnAt, type LotStatements } from "../../lot/lot-statements.ts";
import { sliceDigests } from "../../lot/slice-digests.ts";
import type { ActiveDeposits } from "../active.ts";
import { ciphertextName, findDeposit, lotItemChange, ownedChange } from "../deposit-record.ts";
import type { CustodyProvider } from "../provider.ts";
import { loadTombstone } from "../tombstone.ts";
import { findSealable, type KeptSum, noLinkedLotChange, removeLotSum, type SealableLot } from "./linked-lot.ts";
import { findLot, lotChanges } from "./lot-record.ts";
import type { LotsUnderWay } from "./lots-under-way.ts";

export async function sealLot(
  provider: CustodyProvider,
  active: ActiveDeposits,
  lots: LotsUnderWay,
  channel: Channel,
  header: CborValue,
  context: Context,
): Promise<void> {
  const message = parseShape(sealLotShape, header, "seal-lot");
  const { lotId } = message;
  const linked = await findSealable(provider.store, lots, lotId);
  if (linked === undefined) {
    throw new IntercloudError("WRONG_STATE", "conflict", "we have signed no such links, or have given them up");
  }
  await active.run(lotId, "seal", context.signal, async () => {
    try {
      const body = await receiveWhole(channel, sealBytes(linked.lot.statements));
      await acceptSeal(provider, linked, message, body, provider.clock.nowMs());
    } finally {
      // What failed is not burnt: the owner may have sealed it at others (settle-lot.ts).
      lots.end(lotId);
    }
  });
  // Not announced one by one now: that would take longer than all the rest. The DHT hears of them when the node starts the next time.
  await channel.sendMessage({});
  await channel.close();
}

/** How long the body of the owner's last message is. */
export function sealBytes({ items }: LotStatements): number {
  return 2 * items * DIGEST_BYTES;
}

/**
 * Checks what the owner seals the lot with, and does it. Its seed and correction are gone when this resolves.
 * @param nowMs of a message from the owner; undefined for one that was kept by another provider
 */
export async function acceptSeal(
  provider: CustodyProvider,
  linked: SealableLot,
  message: SealLot,
  body: Uint8Array,
  nowMs: number | undefined,
): Promise<void> {
  const { lotId, keeping, terms, links, tag, signature } = message;
  const { items } = linked.lot.statements;
  requireOwnLink(provider, linked, links);
  const digestsFromOwner = body.subarray(0, items * DIGEST_BYTES);
  const digestsKept = body.subarray(items * DIGEST_BYTES);
  const kept = await keepAll(linked.lot, { digestsFromOwner, digestsKept, keepingTimeMs: keeping.timeMs });
  const closed = await closeAll(kept, {
    ...{ linkSignatures: links, keepingSignature: keeping.signature, closingTerms: terms },
  });
  const { linkSignatures, keepingSignature, closingTerms } = closed;
  const signatures: LotSignatures = {
    ...{ linkSignatures, keepingSignature, closingTerms, closingTag: tag, closingSignature: signature },
    ...{ tag: linked.tag, requestSignature: linked.signature },
  };
  requireClosed(closed, signatures, nowMs);
  if (linked.sum !== undefined) await requireSameSum(linked.sum, closed);
  await withDeal(provider.store, lotId, async () => {
    await commitSealed(provider, linked, closed, signatures);
    await finishBurn(provider.store, lotId);
    await removeLotSum(provider.store, lotId);
  });
}

/** All deposits are made of the same words, and each signature stands for all of them: the first one is checked as if it were alone. */
function requireClosed(closed: ClosedLot, signatures: LotSignatures, nowMs: number | undefined): void {
  const { statements } = closed;
  const proof = proofInLot(statements, closed, closed, signatures, 0);
  const closing =
    nowMs === undefined ? checkKeptRequest(proof.closing, "deposit") : checkRequest(proof.closing, "deposit", nowMs);
  if (closing.identity !== statements.owner) {
    throw new IntercloudError("NOT_THE_OWNER", "refused", "only the owner can close its deposits");
  }
  const terms = readTerms(checkKeptRequest(proof.request, "deposit"), proof.manifest);
  const expectation = chainExpectation(terms, columnAt(closed.digestsFromOwner, 0));
  const chain = checkChain(expectation, proof.links, proof.keeping);
  if (chain.valid) return;
  const peers = chain.firstBreak?.suspects ?? [];
  throw new IntercloudError("CHAIN_BROKEN", "integrity", "the chains to be sealed are broken", { peers });
}

function requireOwnLink(
  { transport }: CustodyProvider,
  { lot, linkSignature }: SealableLot,
  links: readonly Uint8Array[],
): void {
  const { roster } = lot.statements;
  const own = links[roster.indexOf(transport.peer)];
  if (links.length === roster.length && own !== undefined && equalBytes(own, linkSignature)) return;
  throw new IntercloudError("WRONG_STATE", "conflict", "we have signed no such links for this lot");
}

/** Each keeper added up for itself: what was given to us must be what was given to home. */
async function requireSameSum(
  { bytes, digestsFromOwner, digestsReceived }: KeptSum,
  { statements, digestsOut, digestsFromOwner: signedFromOwner, digestsKept }: ClosedLot,
): Promise<void> {
  const { roster, items, lot } = statements;
  const disagree = (text: string, peers: readonly PeerName[]) =>
    new IntercloudError("KEEPERS_DISAGREE", "integrity", text, { peers });
  for (let place = 0; place < items * roster.length; place += 1) {
    if (equalBytes(columnAt(digestsReceived, place), columnAt(digestsOut, place))) continue;
    throw disagree("a provider gave us another part than the one that it signed", [roster[place % roster.length]!]);
  }
  if (!equalBytes(digestsFromOwner, signedFromOwner)) throw disagree("the owner gave us other bytes than home", []);
  if (!equalBytes(await sliceDigests(bytes, lot), digestsKept)) {
    throw disagree("home says that it keeps another sum than the one of these parts", [roster[0]!]);
  }
}

/** Each deposit gets small records of its own, with its own seed, correction and ciphertext; the seed that all came from is forgotten. */
async function commitSealed(
  provider: CustodyProvider,
  linked: SealableLot,
  closed: ClosedLot,
  signatures: LotSignatures,
): Promise<void> {
  const { store } = provider;
  const { lot, owner: identity, items } = closed.statements;
  const { dealId: lotId } = lot.manifest;
  const deal = await loadHeldDeal(store, lotId);
  if (deal?.state !== "bound" || (await findLot(store, lotId)) !== undefined) {
    throw new IntercloudError("DEAL_USED", "conflict", "the deal of this lot is gone");
  }
  const correction = deal.correction === null ? undefined : await whole(store.bodies.read(deal.correction, 0));
  const indexes: number[] = [];
  for (const [index, tokenId] of closed.tokenIds.entries()) {
    if (!(await isKnown(provider, tokenId))) indexes.push(index);
  }
  if (correction !== undefined) await stageLong(provider, closed, indexes);
  const changes: Change[] = [];
  for (const index of indexes) {
    changes.push(...(await itemChanges(provider, linked, closed, { deal, correction, index })));
  }
  const { root } = closed.requests;
  await store.commit([
    ...changes,
    ...lotChanges(closed, linked.digests, signatures),
    ...[...burntDealChanges(lotId), noLinkedLotChange(lotId)],
    auditChange({ kind: "lot", step: "sealed", dealId: lotId, identity, root, items }),
  ]);
  provider.observe({ kind: "sealed", tokenId: root });
}

/** Others sealed it long ago, and it was repaired here since, or destroyed: what is here is newer. */
async function isKnown({ store }: CustodyProvider, tokenId: Uint8Array): Promise<boolean> {
  return (await findDeposit(store, tokenId)) !== undefined || (await loadTombstone(store, tokenId)) !== undefined;
}

/** Long corrections are files of their own: so that the sweep finds them if we die before their records are there. */
async function stageLong(
  provider: CustodyProvider,
  { statements }: LinkedLot,
  indexes: readonly number[],
): Promise<void> {
  const { lengths, manifest } = statements.lot;
  const stagedAtMs = provider.clock.nowMs();
  const staged = indexes
    .filter((index) => lengths[index]! > MAX_INLINE_BODY_BYTES)
    .map((index) =>
      stagingChange(dealIdInLot(manifest.dealId, index), {
        dealer: manifest.dealer,
        lengthBytes: lengths[index]!,
        stagedAtMs,
        digest: null,
      }),
    );
  if (staged.length > 0) await provider.store.commit(staged);
}

async function itemChanges(
  { store }: CustodyProvider,
  { sum }: SealableLot,
  { statements, tokenIds }: ClosedLot,
  {
    deal,
    correction,
    index,
  }: { readonly deal: HeldDeal; readonly correction: Uint8Array | undefined; readonly index: number },
): Promise<Change[]> {
  const { lot, owner } = statements;
  const { point, dealId: lotId } = deal;
  const tokenId = tokenIds[index]!;
  const dealId = dealIdInLot(lotId, index);
  const start = lot.offsets[index]!;
  const lengthBytes = lot.lengths[index]!;
  const slice = (bytes: Uint8Array) => bytes.subarray(start, start + lengthBytes);
  const holdsCiphertext = sum !== undefined;
  const storedBytes = (holdsCiphertext ? lengthBytes : 0) + (correction === undefined ? 0 : lengthBytes);
  const seed = seedInLot(deal.seed, index);
  const changes = [
    lotItemChange(tokenId, { lot: lotId, index, point, holdsCiphertext, storedBytes }),
    lotDealChange(dealId, { lot: lotId, index, point, seed, boundTo: tokenId }),
    ownedChange(owner, tokenId, storedBytes),
    ...(sum === undefined ? [] : await bodyChanges(store, ciphertextName(tokenId), slice(sum.bytes))),
    ...(correction === undefined ? [] : await bodyChanges(store, correctionName(dealId), slice(correction))),
  ];
  if (correction !== undefined && lengthBytes > MAX_INLINE_BODY_BYTES) changes.push(unstagedChange(dealId));
  seed.fill(0);
  return changes;
}
