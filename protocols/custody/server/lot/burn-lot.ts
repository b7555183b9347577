/** A lot that was bound and not sealed is burnt, whole, and so is one that its owner gives up after some have sealed it. */
import { type AuditEvent, auditChange } from "../../../audit/index.ts";
import {
  burnDeal,
  correctionName,
  isLotDeal,
  loadHeldDeal,
  openDeals,
  withDeal,
  withoutDealChange,
} from "../../../dealing/held-deal.ts";
import { dealIdInLot, dealLotKey, noDealLotChange } from "../../../dealing/lot/deal-lot.ts";
import type { Change } from "../../../storage/index.ts";
import { IntercloudError } from "../../../wire/errors.ts";
import type { PeerName } from "../../../wire/transport.ts";
import type { LotStatements } from "../../lot/lot-statements.ts";
import type { ActiveDeposits } from "../active.ts";
import { ciphertextName, findLotItem, forgottenItemChanges } from "../deposit-record.ts";
import { dueChange } from "../dues.ts";
import type { CustodyProvider } from "../provider.ts";
import { findLinkedLot, isLinkedLot, noLinkedLotChange, removeLotSum } from "./linked-lot.ts";
import { findLot, noLotChanges, type StoredLot, storedLots } from "./lot-record.ts";
import type { LotsUnderWay } from "./lots-under-way.ts";

type Why = Extract<AuditEvent, { kind: "burnt" }>["why"];

/** Does nothing to a lot that was sealed, or burnt before. @param also changes to commit in the same batch */
export async function burnLot(
  provider: CustodyProvider,
  lotId: Uint8Array,
  why: Why,
  also: readonly Change[] = [],
): Promise<void> {
  await withDeal(provider.store, lotId, () => burnBound(provider, lotId, why, also));
}

/** What failed before we signed our links is over. What we have signed others may have sealed: `settleLots`. */
export async function burnUnlinkedLot(provider: CustodyProvider, lotId: Uint8Array): Promise<void> {
  await withDeal(provider.store, lotId, async () => {
    if (!(await isLinkedLot(provider.store, lotId))) await burnBound(provider, lotId, "failed", []);
  });
}

async function burnBound(
  provider: CustodyProvider,
  lotId: Uint8Array,
  why: Why,
  also: readonly Change[],
): Promise<void> {
  const { store } = provider;
  const deal = await loadHeldDeal(store, lotId);
  if (deal?.state !== "bound") return;
  const event = auditChange({ kind: "burnt", dealId: lotId, tokenId: null, why });
  await burnDeal(store, lotId, [event, noLinkedLotChange(lotId), ...also]);
  await removeLotSum(store, lotId);
  provider.observe({ kind: "burnt", tokenId: deal.boundTo ?? lotId });
}

/** At start nothing is under way, so what is only bound can never be finished; of what is linked others may know more. */
export async function burnBoundLots(provider: CustodyProvider): Promise<void> {
  for (const dealId of await openDeals(provider.store)) {
    if (await isBoundLot(provider, dealId)) await burnUnlinkedLot(provider, dealId);
  }
}

/** Whether this is a lot that its owner has bound, and not sealed yet. */
async function isBoundLot({ store }: CustodyProvider, dealId: Uint8Array): Promise<boolean> {
  const deal = await loadHeldDeal(store, dealId);
  return deal?.state === "bound" && (await store.get(dealLotKey(dealId))) !== undefined;
}

/** Of a lot that is under way, linked or sealed here. */
async function statementsOf(
  { store }: CustodyProvider,
  lots: LotsUnderWay,
  lotId: Uint8Array,
): Promise<LotStatements | undefined> {
  const underWay = lots.find(lotId)?.offered ?? (await findLinkedLot(store, lotId));
  return (underWay ?? (await findLot(store, lotId)))?.statements;
}

/** The providers of such a lot. */
export async function rosterOfLot(
  provider: CustodyProvider,
  lots: LotsUnderWay,
  lotId: Uint8Array,
): Promise<readonly PeerName[]> {
  return (await statementsOf(provider, lots, lotId))?.roster ?? [];
}

/**
 * The owner gives a lot up, whatever has become of it here. Before it is sealed nobody else knows its id. Once we have signed, others may
 * have sealed it and not hear the owner: we tell them.
 * @param request the owner's @returns whether there is such a lot. @throws IntercloudError NOT_THE_OWNER.
 */
export async function abandonLot(
  provider: CustodyProvider,
  active: ActiveDeposits,
  lots: LotsUnderWay,
  lotId: Uint8Array,
  { identity, request }: { readonly identity: string; readonly request: Uint8Array },
): Promise<boolean> {
  const { store } = provider;
  const { roster = [], owner } = (await statementsOf(provider, lots, lotId)) ?? {};
  const others = roster.filter((peer) => peer !== provider.transport.peer);
  const known = others.filter((peer) => provider.agreementKeyOf(peer) !== undefined);
  const due = dueChange("abandon", lotId, request, known);
  if (owner !== undefined && owner !== identity) {
    throw new IntercloudError("NOT_THE_OWNER", "refused", "only the owner can give up its deposits");
  }
  await active.stop(lotId, new IntercloudError("ABANDONED", "cancelled", "the owner abandoned this batch"));
  const isBound = await isBoundLot(provider, lotId);
  const isLinked = await isLinkedLot(store, lotId);
  if (isBound) await burnLot(provider, lotId, "abandoned", isLinked ? [due] : []);
  // Looked for now, because what was stopped may have ended well.
  const sealed = await findLot(store, lotId);
  if (sealed !== undefined) await abandonSealedLot(provider, lotId, sealed, identity, due);
  return isBound || owner !== undefined;
}

/**
 * Forgets all deposits of a sealed lot that never became any, because not everybody sealed it. Without receipts; those that have a record
 * of their own by now are the owner's to destroy.
 */
async function abandonSealedLot(
  provider: CustodyProvider,
  lotId: Uint8Array,
  { statements }: StoredLot,
  identity: string,
  due: Change,
): Promise<void> {
  const { store } = provider;
  const changes: Change[] = [due];
  const bodies: string[] = [];
  for (let index = 0; index < statements.items; index += 1) {
    const { tokenId } = statements.offer(index);
    if ((await findLotItem(store, tokenId)) === undefined) continue;
    const dealId = dealIdInLot(lotId, index);
    changes.push(...forgottenItemChanges(identity, tokenId), withoutDealChange(dealId));
    bodies.push(ciphertextName(tokenId), correctionName(dealId));
  }
  const event = auditChange({ kind: "burnt", dealId: lotId, tokenId: null, why: "abandoned" });
  await store.commit([...changes, ...noLotChanges(lotId), noDealLotChange(lotId), event]);
  await Promise.all(bodies.map((name) => store.bodies.remove(name)));
  provider.observe({ kind: "burnt", tokenId: lotId });
}

/** Forgets what is common to the deposits of lots of which none is left here. */
export async function sweepLots({ store }: CustodyProvider): Promise<void> {
  for await (const lotId of storedLots(store)) {
    const lot = await findLot(store, lotId);
    if (lot === undefined || (await isUsed(store, lotId, lot))) continue;
    await store.commit([...noLotChanges(lotId), noDealLotChange(lotId)]);
  }
}

/** The first deposit that is still there ends the search. */
async function isUsed(store: CustodyProvider["store"], lotId: Uint8Array, { statements }: StoredLot): Promise<boolean> {
  for (let index = 0; index < statements.items; index += 1) {
    if (await isLotDeal(store, dealIdInLot(lotId, index))) return true;
    if ((await findLotItem(store, statements.offer(index).tokenId)) !== undefined) return true;
  }
  return false;
}
