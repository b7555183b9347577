/**
 * Destroying a deposit. One commit forgets the seed, the record and the grants and leaves the signed receipt; from then on
 * the share is gone, whatever happens next. What was under way is ended, then the files go. A crash in between is finished at the
 * next start, as after a burn; a second request gets the same receipt.
 */
import { auditChange } from "../../audit/index.ts";
import { equalBytes } from "../../crypto/digest.ts";
import { burntDealChanges, finishBurn, loadHeldDeal, withDeal } from "../../dealing/held-deal.ts";
import { type CheckedRequest, checkRequest } from "../../identity/request.ts";
import { encodeToken } from "../../tokens/token.ts";
import type { CborValue } from "../../wire/codec.ts";
import { IntercloudError } from "../../wire/errors.ts";
import { parseShape } from "../../wire/shape.ts";
import { type CheckedDestroyed, type Destroyed, encodeDestroyed, readDestroyed } from "../destroyed.ts";
import { destroyContentShape, requestShape } from "../messages.ts";
import { destroyRequestDigest, signReceipt } from "../receipt.ts";
import { requireOwner } from "./access.ts";
import type { ActiveDeposits } from "./active.ts";
import { dropChange, findChange } from "./change/change-record.ts";
import { forgottenChanges, loadDeposit, type StoredDeposit } from "./deposit-record.ts";
import { removeOrphansOf } from "./orphans.ts";
import type { CustodyProvider } from "./provider.ts";
import { loadTombstone, tombstoneChange } from "./tombstone.ts";

/**
 * The request names no provider and is not remembered: whoever sends it on within its two minutes does what the owner asked all
 * of us to do, and a second time it changes nothing.
 */
export async function destroy(provider: CustodyProvider, active: ActiveDeposits, body: CborValue): Promise<CborValue> {
  const message = parseShape(requestShape, body, "destroy");
  const request = checkRequest(message.request, "destroy", provider.clock.nowMs());
  const { tokenId } = parseShape(destroyContentShape, request.content, "destroy request");
  const { store } = provider;
  const destroyed =
    (await loadTombstone(store, tokenId)) ?? (await forget(provider, tokenId, message.request, request));
  requireOwner(destroyed.token.owner, request.identity);
  await active.stop(tokenId, new IntercloudError("DESTROYED", "cancelled", "the owner destroyed this deposit"));
  const { dealId } = destroyed;
  await withDeal(store, dealId, () => finishBurn(store, dealId));
  await removeOrphansOf(provider, tokenId);
  return { destroyed: encodeDestroyed(destroyed.bytes) };
}

async function forget(
  provider: CustodyProvider,
  tokenId: Uint8Array,
  request: Uint8Array,
  { identity }: CheckedRequest,
): Promise<CheckedDestroyed> {
  const { store } = provider;
  // A change that is under way would bring it back.
  const change = await findChange(store, tokenId);
  if (change !== undefined && change.change.owner === identity) {
    const { dealId } = change.change.next.manifest;
    await withDeal(store, dealId, async () => {
      // Its owner may be giving it up at the same time.
      const found = await findChange(store, tokenId);
      if (found !== undefined && equalBytes(found.change.digest, change.change.digest)) {
        await dropChange(store, found, "abandoned");
      }
    });
  }
  const { dealId } = (await loadDeposit(store, tokenId)).placement.manifest;
  return await withDeal(store, dealId, async () => {
    const earlier = await loadTombstone(store, tokenId);
    if (earlier !== undefined) return earlier;
    const deposit = await loadDeposit(store, tokenId);
    requireOwner(deposit.terms.token.owner, identity);
    const destroyed = await signedDestroyed(provider, deposit, request);
    await store.commit([
      auditChange({ kind: "destroyed", tokenId, dealId, identity }),
      ...(await forgottenChanges(store, deposit)),
      ...burntDealChanges(dealId),
      tombstoneChange(tokenId, destroyed),
    ]);
    provider.observe({ kind: "destroyed", tokenId });
    return readDestroyed(encodeDestroyed(destroyed));
  });
}

async function signedDestroyed(
  provider: CustodyProvider,
  { record, terms, placement }: StoredDeposit,
  request: Uint8Array,
): Promise<Destroyed> {
  const deal = await loadHeldDeal(provider.store, placement.manifest.dealId);
  const receipt = signReceipt(
    {
      version: 1,
      tokenId: terms.tokenId,
      peer: provider.transport.peer,
      removed: { share: deal !== undefined && deal.state !== "burnt", ciphertext: record.holdsCiphertext },
      requestDigest: destroyRequestDigest(request),
      timeMs: provider.clock.nowMs(),
    },
    provider.signer,
  );
  const { manifest, change } = record;
  return { token: encodeToken(terms.token), manifest, change, request, receipt };
}
