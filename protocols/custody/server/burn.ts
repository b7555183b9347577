/** A deal that was bound and not sealed is burnt: it is never used for other bytes. */
import { type AuditEvent, auditChange } from "../../audit/index.ts";
import { equalBytes } from "../../crypto/digest.ts";
import { burnDeal, loadHeldDeal, withDeal } from "../../dealing/held-deal.ts";
import { checkKeptRequest, checkRequest } from "../../identity/request.ts";
import type { CborValue } from "../../wire/codec.ts";
import { IntercloudError } from "../../wire/errors.ts";
import { parseShape } from "../../wire/shape.ts";
import type { Context, PeerName } from "../../wire/transport.ts";
import { abandonContentShape, requestShape } from "../messages.ts";
import type { ActiveDeposits } from "./active.ts";
import { burnDeposit, findDeposit, removeFiles, type StoredDeposit } from "./deposit-record.ts";
import { dueChange } from "./dues.ts";
import { abandonLot, burnBoundLots, rosterOfLot, sweepLots } from "./lot/burn-lot.ts";
import type { LotsUnderWay } from "./lot/lots-under-way.ts";
import { removeOrphans } from "./orphans.ts";
import type { CustodyProvider } from "./provider.ts";
import { unsealedDeposits } from "./unsealed.ts";

type Why = Extract<AuditEvent, { kind: "burnt" }>["why"];

const burntEvent = ({ terms: { tokenId }, placement: { manifest } }: StoredDeposit, why: Why): AuditEvent => {
  return { kind: "burnt", dealId: manifest.dealId, tokenId, why };
};

/** After a step failed, or too late for one. A deposit that was sealed meanwhile, or is gone, stays as it is. */
export async function burnUnsealed(provider: CustodyProvider, tokenId: Uint8Array, why: Why): Promise<void> {
  const found = await findDeposit(provider.store, tokenId);
  // Abandoned meanwhile: what the step has stored after that belongs to nothing.
  if (found === undefined) return await removeFiles(provider.store, tokenId);
  await withDeal(provider.store, found.terms.manifest.dealId, async () => {
    const deposit = await findDeposit(provider.store, tokenId);
    if (deposit === undefined || deposit.record.state === "sealed") return;
    await burnDeposit(provider.store, deposit, burntEvent(deposit, why));
    provider.observe({ kind: "burnt", tokenId });
  });
}

/**
 * The owner gives a deposit up that did not become one: some providers may have sealed it all the same. Done whatever its state
 * is, and without a receipt, because there never was a deposit to destroy; nothing there is fine, too. A deal that is not bound yet
 * goes as well, so that a bind which comes after this finds nothing: only the peers of the deal and its user know its id.
 *
 * One of us that was away meanwhile may have sealed it: we tell it, and it takes the owner's word from us, however old.
 */
export async function abandon(
  provider: CustodyProvider,
  active: ActiveDeposits,
  lots: LotsUnderWay,
  body: CborValue,
  context: Context,
): Promise<CborValue> {
  const message = parseShape(requestShape, body, "abandon");
  const { identity, content } = checkKeptRequest(message.request, "destroy");
  const { tokenId, dealId } = parseShape(abandonContentShape, content, "abandon");
  const { store } = provider;
  const found = await findOwn(provider, identity, tokenId, dealId);
  const roster = found?.terms.roster ?? (await rosterOfLot(provider, lots, dealId));
  if (!roster.includes(context.from)) {
    const nowMs = provider.clock.nowMs();
    provider.replayGuard.admit(checkRequest(message.request, "destroy", nowMs), nowMs);
  } else if (found !== undefined && found.placement.generation > 0) return {}; // Its owner has used it since.
  const word = { identity, request: message.request };
  if (tokenId === null && (await abandonLot(provider, active, lots, dealId, word))) return {};
  const reason = new IntercloudError("ABANDONED", "cancelled", "the owner abandoned this deposit");
  if (found !== undefined) await active.stop(found.terms.tokenId, reason);
  await withDeal(store, dealId, async () => {
    const deposit = await findOwn(provider, identity, tokenId, dealId);
    if (deposit !== undefined) {
      const dues =
        deposit.record.state === "bound"
          ? []
          : [dueChange("abandon", deposit.terms.tokenId, message.request, others(provider, deposit))];
      await burnDeposit(store, deposit, burntEvent(deposit, "abandoned"), dues);
      provider.observe({ kind: "burnt", tokenId: deposit.terms.tokenId });
    } else if ((await loadHeldDeal(store, dealId))?.state === "dealt") {
      await burnDeal(store, dealId, [auditChange({ kind: "burnt", dealId, tokenId: null, why: "abandoned" })]);
    }
  });
  return {};
}

/** Those of our federation that may have sealed a deposit which has passed here. */
function others({ transport, agreementKeyOf }: CustodyProvider, { terms: { roster } }: StoredDeposit): PeerName[] {
  return roster.filter((peer) => peer !== transport.peer && agreementKeyOf(peer) !== undefined);
}

/** The deposit that is to be given up, if it is here. */
async function findOwn(
  provider: CustodyProvider,
  identity: string,
  tokenId: Uint8Array | null,
  dealId: Uint8Array,
): Promise<StoredDeposit | undefined> {
  const found = tokenId === null ? undefined : await findDeposit(provider.store, tokenId);
  if (found === undefined) return undefined;
  if (found.terms.token.owner !== identity) {
    throw new IntercloudError("NOT_THE_OWNER", "refused", "only the owner can give up a deposit");
  }
  if (!equalBytes(found.terms.token.dealId, dealId)) {
    throw new IntercloudError("TERMS_DISAGREE", "bad-request", "this deposit is on another deal");
  }
  return found;
}

/**
 * At start nothing is under way, so what is only bound can never be finished. Later sweeps burn what has expired. Of what is linked, others
 * may know more: `settleLinked`.
 */
export async function sweepDeposits(provider: CustodyProvider, atStart: boolean): Promise<void> {
  if (atStart) {
    await removeOrphans(provider);
    await burnBoundLots(provider);
    await sweepLots(provider);
  }
  for await (const { record, terms } of unsealedDeposits(provider.store)) {
    if (record.state !== "bound") continue;
    if (terms.manifest.expiresAtMs < provider.clock.nowMs()) await burnUnsealed(provider, terms.tokenId, "expired");
    else if (atStart) await burnUnsealed(provider, terms.tokenId, "failed");
  }
}
