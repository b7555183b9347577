/**
 * A lot whose links we have signed and that its owner has not sealed here: others may have sealed it, so all that is needed to seal it is
 * on disk. The record goes in the commit that seals the lot, or burns it.
 */
import * as v from "valibot";
import { DIGEST_BYTES } from "../../../crypto/digest.ts";
import { SIGNATURE_BYTES } from "../../../crypto/signing.ts";
import { MAX_LOT_ITEMS } from "../../../crypto/statement-signature.ts";
import { MAX_LOT_SHARES } from "../../../dealing/constants.ts";
import { hexOf, idOfHex } from "../../../dealing/held-deal.ts";
import { loadDealLot } from "../../../dealing/lot/deal-lot.ts";
import { MAX_TAG_BYTES } from "../../../identity/constants.ts";
import { whole } from "../../../rounds/whole.ts";
import { bodyChanges, type Change, type Store } from "../../../storage/index.ts";
import { decodeCanonical, encodeCanonical } from "../../../wire/codec.ts";
import { boundedBytes, fixedBytes, parseShape, text, timeMs } from "../../../wire/shape.ts";
import { type LinkedLot, linkAll, offerAll } from "../../lot/lot-chain.ts";
import { type LotStatements, lotPlanShape, lotStatements } from "../../lot/lot-statements.ts";
import type { LotsUnderWay, LotUnderWay } from "./lots-under-way.ts";

/** One for each deposit and provider. */
const column = boundedBytes(DIGEST_BYTES * MAX_LOT_SHARES);
/** One for each deposit. */
const shortColumn = boundedBytes(DIGEST_BYTES * MAX_LOT_ITEMS);
const signature = fixedBytes(SIGNATURE_BYTES);

const recordShape = v.strictObject({
  version: v.literal(1),
  ...{ plan: lotPlanShape, owner: text(256), tag: boundedBytes(2 * MAX_TAG_BYTES), requestSignature: signature },
  /** Of the messages. */
  digests: shortColumn,
  digestsOut: column,
  /** The time that all links name. */
  linkTimeMs: timeMs,
  /** Ours. */
  linkSignature: signature,
  linkedAtMs: timeMs,
  /** At keepers, beside the body. */
  received: v.nullable(v.strictObject({ digestsFromOwner: shortColumn, digestsReceived: column })),
});
type LinkedRecord = v.InferOutput<typeof recordShape>;

/** What the owner's last message is held against. */
export interface SealableLot extends Pick<LotUnderWay, "tag" | "signature" | "digests"> {
  readonly lot: LinkedLot;
  /** Ours, over our links. */
  readonly linkSignature: Uint8Array;
  /** At the keepers only. */
  readonly sum: KeptSum | undefined;
}

export interface KeptSum {
  /** The owner's bytes, and what has come to them so far. */
  readonly bytes: Uint8Array;
  readonly digestsFromOwner: Uint8Array;
  /** Of what came from each provider. */
  readonly digestsReceived: Uint8Array;
}

const RECORD_PREFIX = "lot-linked/";
const SUM_PREFIX = "lot-sum-";

/** The body with what a keeper has added up. */
export function lotSumName(lotId: Uint8Array): string {
  return SUM_PREFIX + hexOf(lotId);
}

/** Undefined for any other body. */
export function lotIdOfSum(name: string): Uint8Array | undefined {
  return name.startsWith(SUM_PREFIX) ? idOfHex(name.slice(SUM_PREFIX.length)) : undefined;
}

/** The body is written now if it is long. */
export async function linkedLotChanges(
  store: Store,
  { lot, tag, signature: requestSignature, digests, linkSignature, sum }: SealableLot,
  linkedAtMs: number,
): Promise<Change[]> {
  const { plan, owner, lot: dealt } = lot.statements;
  const { dealId } = dealt.manifest;
  const { digestsOut, linkTimeMs } = lot;
  const received = sum && { digestsFromOwner: sum.digestsFromOwner, digestsReceived: sum.digestsReceived };
  const value = encodeCanonical({
    ...{ version: 1, plan, owner, tag, requestSignature, digests, digestsOut, linkTimeMs, linkSignature, linkedAtMs },
    received: received ?? null,
  });
  const body = sum === undefined ? [] : await bodyChanges(store, lotSumName(dealId), sum.bytes);
  return [{ kind: "put", key: RECORD_PREFIX + hexOf(dealId), value }, ...body];
}

/** `removeLotSum` is to follow. */
export function noLinkedLotChange(lotId: Uint8Array): Change {
  return { kind: "delete", key: RECORD_PREFIX + hexOf(lotId) };
}

/** Does nothing when there is none. */
export async function removeLotSum(store: Store, lotId: Uint8Array): Promise<void> {
  await store.bodies.remove(lotSumName(lotId));
}

export async function isLinkedLot(store: Store, lotId: Uint8Array): Promise<boolean> {
  return (await store.get(RECORD_PREFIX + hexOf(lotId))) !== undefined;
}

export async function linkedLots(store: Store): Promise<Uint8Array[]> {
  const ids: Uint8Array[] = [];
  for await (const [key] of store.entries(RECORD_PREFIX)) ids.push(idOfHex(key.slice(RECORD_PREFIX.length)));
  return ids;
}

async function loadRecord(store: Store, lotId: Uint8Array): Promise<LinkedRecord | undefined> {
  const value = await store.get(RECORD_PREFIX + hexOf(lotId));
  return value && parseShape(recordShape, decodeCanonical(value), "record of a linked lot");
}

async function statementsOf(
  store: Store,
  lotId: Uint8Array,
  { plan, owner, digests }: LinkedRecord,
): Promise<LotStatements> {
  return lotStatements(await loadDealLot(store, lotId), plan, owner, digests);
}

/** What a linked lot is, without the work of making its chains again; undefined when there is none. */
export async function findLinkedLot(
  store: Store,
  lotId: Uint8Array,
): Promise<{ readonly statements: LotStatements; readonly linkedAtMs: number } | undefined> {
  const record = await loadRecord(store, lotId);
  if (record === undefined) return undefined;
  return { statements: await statementsOf(store, lotId, record), linkedAtMs: record.linkedAtMs };
}

/** As it was when we had signed; undefined when there is none. */
export async function restoreLinkedLot(store: Store, lotId: Uint8Array): Promise<SealableLot | undefined> {
  const record = await loadRecord(store, lotId);
  if (record === undefined) return undefined;
  const { tag, requestSignature, digests, digestsOut, linkTimeMs, linkSignature, received } = record;
  const lot = await linkAll(await offerAll(await statementsOf(store, lotId, record)), digestsOut, linkTimeMs);
  const sum = received && { ...received, bytes: await whole(store.bodies.read(lotSumName(lotId), 0)) };
  return { lot, tag, signature: requestSignature, digests, linkSignature, sum: sum ?? undefined };
}

/** From memory, or after a restart from the disk. */
export async function findSealable(
  store: Store,
  lots: LotsUnderWay,
  lotId: Uint8Array,
): Promise<SealableLot | undefined> {
  return lots.find(lotId)?.linked ?? (await restoreLinkedLot(store, lotId));
}
