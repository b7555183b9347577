/** The first step of a refresh or move, at every provider of the new generation: its share of the fresh deal is set aside for it. */
import { auditChange } from "../../../audit/index.ts";
import { equalBytes } from "../../../crypto/digest.ts";
import { heldDealChange, loadHeldDeal, withDeal } from "../../../dealing/held-deal.ts";
import { entryOfPeer } from "../../../dealing/manifest.ts";
import { checkRequest } from "../../../identity/request.ts";
import type { CborValue } from "../../../wire/codec.ts";
import { IntercloudError } from "../../../wire/errors.ts";
import { parseShape } from "../../../wire/shape.ts";
import { type ChangeTerms, readChange, requireChangeOf } from "../../change/change-terms.ts";
import { mayDeal } from "../../dealers.ts";
import { grantsDigest, readKeptGrants } from "../../grants.ts";
import { prepareChangeShape } from "../../messages.ts";
import { keepersOf } from "../../placement.ts";
import { readProof } from "../../proof.ts";
import { requireRoom } from "../bind.ts";
import { findDeposit } from "../deposit-record.ts";
import type { CustodyProvider } from "../provider.ts";
import { changeRecordChange, findChange, isBefore, namesOf, requireOpen } from "./change-record.ts";
import { catchUp } from "./retire.ts";

export async function prepareChange(provider: CustodyProvider, body: CborValue): Promise<CborValue> {
  const message = parseShape(prepareChangeShape, body, "prepare of a change");
  const request = checkRequest(message.request, "change", provider.clock.nowMs());
  const change = readChange(message.request, request);
  const self = provider.transport.peer;
  const entry = entryOfPeer(change.next.manifest, self);
  if (entry === undefined || !mayDeal(provider, change.next.manifest, change.owner)) {
    throw new IntercloudError(
      "NOT_OUR_DEAL",
      "refused",
      "the fresh deal has no share for us, or is neither by one of our dealers nor by the owner itself",
    );
  }
  requireOpen(provider, change);
  requireGrants(change, message.grants);
  const { joins, envelope, keptEnvelope } = await requireFits(provider, change, message.proof);
  const { lengthBytes, dealId } = change.next.manifest;
  const isKeeper = keepersOf(change.next).includes(self);
  const ciphertextBytes = isKeeper ? lengthBytes : 0;
  const envelopeBytes = isKeeper ? (envelope?.lengthBytes ?? 0) : 0;
  await requireRoom(provider, change.owner, ciphertextBytes + (keptEnvelope === null ? envelopeBytes : 0));

  await withDeal(provider.store, dealId, async () => {
    const found = await findChange(provider.store, change.tokenId);
    // The answer to an earlier attempt may have been lost.
    if (found !== undefined && equalBytes(found.change.digest, change.digest)) return;
    if (found !== undefined) {
      const text = "another change of this deposit is under way; let it end, or give it up first";
      throw new IntercloudError("CHANGE_UNDER_WAY", "conflict", text);
    }
    const deal = await loadHeldDeal(provider.store, dealId);
    const isFresh = deal?.state === "dealt" && provider.clock.nowMs() <= deal.expiresAtMs;
    if (!isFresh || !equalBytes(deal.manifest, change.manifestBytes)) {
      throw new IntercloudError(
        "DEAL_USED",
        "conflict",
        "this deal was used, has expired or is another one; ask for a new deal",
      );
    }
    await provider.store.commit([
      auditChange({ kind: "change-prepared", ...namesOf(change), dealId, identity: change.owner }),
      heldDealChange({ ...deal, state: "bound", boundTo: change.tokenId }),
      changeRecordChange(change.tokenId, {
        ...{ version: 1, state: "prepared", request: message.request, proof: joins ? message.proof : null },
        ...{ grants: message.grants, keeping: null, holding: null, holdsCiphertext: false },
        envelope: isKeeper ? keptEnvelope : null,
        storedBytes: ciphertextBytes + envelopeBytes + (entry.corrected ? lengthBytes : 0),
      }),
    ]);
  });
  provider.observe({ kind: "change-prepared", tokenId: change.tokenId });
  return {};
}

function requireGrants({ grantsDigest: expected, tokenId, owner }: ChangeTerms, list: Uint8Array | null): void {
  const signed = list === null ? undefined : readKeptGrants(list);
  const fits = signed === undefined || (signed.owner === owner && equalBytes(signed.list.tokenId, tokenId));
  if (fits && equalBytes(grantsDigest(list), expected)) return;
  throw new IntercloudError(
    "CHANGE_DISAGREES",
    "bad-request",
    "the list of grants is not the one that the owner sent along",
  );
}

/**
 * Holds the change against the newest generation that we or the asking side know of. One that was completed without us is completed
 * here first.
 * @returns whether the deposit, as it is before this change, is new to us, the envelope that belongs to it, and the one that is here.
 */
async function requireFits(provider: CustodyProvider, change: ChangeTerms, proofBytes: Uint8Array) {
  const proof = readProof(proofBytes);
  if (!proof.chain.valid) {
    throw new IntercloudError("CHAIN_BROKEN", "integrity", "the chain of the deposit that should come here is broken");
  }
  const before = await findDeposit(provider.store, change.tokenId);
  if (before !== undefined && before.record.state !== "sealed") {
    throw new IntercloudError("WRONG_STATE", "conflict", "this deposit is not sealed here");
  }
  await catchUp(provider, proof);
  const deposit = await findDeposit(provider.store, change.tokenId);
  const isNewer = deposit !== undefined && deposit.placement.generation > proof.placement.generation;
  const now = isNewer ? deposit.placement : proof.placement;
  requireChangeOf(change, proof.terms, now);
  const { envelope } = proof;
  return { joins: !isBefore(change, deposit), envelope, keptEnvelope: deposit?.record.envelope ?? null };
}
