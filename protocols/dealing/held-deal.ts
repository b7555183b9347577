/**
 * What a provider keeps about a deal: its seed and where the correction is. The record goes dealt -> bound -> sealed, or to
 * burnt from any state. A burnt record stays for ever, without the seed: a deal id that was used never comes back.
 */
import * as v from "valibot";
import { MAX_LOT_ITEMS } from "../crypto/statement-signature.ts";
import { DEAL_ID_BYTES, MAX_PROVIDERS } from "../rounds/constants.ts";
import { SEED_BYTES, type Share } from "../rounds/share.ts";
import { asTrace, type Change, type Store } from "../storage/index.ts";
import { decodeCanonical, encodeCanonical } from "../wire/codec.ts";
import { IntercloudError } from "../wire/errors.ts";
import { boundedBytes, fixedBytes, integer, parseShape, timeMs } from "../wire/shape.ts";
import { MAX_MANIFEST_BYTES } from "./constants.ts";
import { dealLotKey, loadDealLot, noDealLotChange } from "./lot/deal-lot.ts";
import { isCorrected } from "./points.ts";

const MAX_TOKEN_ID_BYTES = 64;

const heldDealShape = v.strictObject({
  dealId: fixedBytes(DEAL_ID_BYTES),
  /** The signed manifest; empty when burnt. */
  manifest: boundedBytes(MAX_MANIFEST_BYTES),
  /** Ours; 0 when burnt. */
  point: integer(0, MAX_PROVIDERS),
  /** 32 bytes; empty when burnt. */
  seed: boundedBytes(SEED_BYTES),
  /** The name of the body that holds the correction, null when the point is free or the deal is burnt. */
  correction: v.nullable(v.string()),
  state: v.picklist(["dealt", "bound", "sealed", "burnt"]),
  /** The token that the deal is bound to. */
  boundTo: v.nullable(boundedBytes(MAX_TOKEN_ID_BYTES)),
  /** When a deal that is not sealed is burnt. */
  expiresAtMs: timeMs,
});

export type HeldDeal = Readonly<v.InferOutput<typeof heldDealShape>>;

/** What is kept of a deal that came in a lot, beside what all of the lot have in common; its state is sealed. */
const lotDealShape = v.strictObject({
  lot: fixedBytes(DEAL_ID_BYTES),
  index: integer(0, MAX_LOT_ITEMS - 1),
  point: integer(1, MAX_PROVIDERS),
  seed: fixedBytes(SEED_BYTES),
  boundTo: boundedBytes(MAX_TOKEN_ID_BYTES),
});
type LotDeal = Readonly<v.InferOutput<typeof lotDealShape>>;

const storedShape = v.union([heldDealShape, lotDealShape]);

const RECORD_PREFIX = "deal/";
const OPEN_PREFIX = "deal-open/";

export function heldDealKey(dealId: Uint8Array): string {
  return RECORD_PREFIX + hexOf(dealId);
}

/** The body that keeps the correction of a deal. */
export function correctionName(dealId: Uint8Array): string {
  return `correction-${hexOf(dealId)}`;
}

/** @throws IntercloudError BAD_MESSAGE, MALFORMED when the stored record is damaged. */
export async function loadHeldDeal(store: Store, dealId: Uint8Array): Promise<HeldDeal | undefined> {
  const value = await store.get(heldDealKey(dealId));
  if (value === undefined) return undefined;
  const record = parseShape(storedShape, decodeCanonical(value), "held deal");
  return "lot" in record ? await heldInLot(store, dealId, record) : record;
}

/** The rest of what an ordinary record says is kept once for the whole lot. */
async function heldInLot(store: Store, dealId: Uint8Array, record: LotDeal): Promise<HeldDeal> {
  const { lot: lotId, index, point, seed, boundTo } = record;
  const lot = await loadDealLot(store, lotId);
  const isOwnCorrected = isCorrected(point, lot.manifest.threshold, lot.manifest.shares.length - 1);
  return {
    ...{ dealId, manifest: lot.signedManifest(index), point, seed, state: "sealed", boundTo },
    ...{ correction: isOwnCorrected ? correctionName(dealId) : null, expiresAtMs: lot.manifest.expiresAtMs },
  };
}

/** Whether the record of this deal is still that of one in a lot. */
export async function isLotDeal(store: Store, dealId: Uint8Array): Promise<boolean> {
  const value = await store.get(heldDealKey(dealId));
  return value !== undefined && "lot" in parseShape(storedShape, decodeCanonical(value), "held deal");
}

/** Forgets a deal of a lot that was given up; the id of the lot stays burnt, and with it that of each of its deals. */
export function withoutDealChange(dealId: Uint8Array): Change {
  return { kind: "delete", key: heldDealKey(dealId) };
}

/** The record of a deal of a lot, once the lot is sealed. */
export function lotDealChange(dealId: Uint8Array, record: LotDeal): Change {
  return { kind: "put", key: heldDealKey(dealId), value: encodeCanonical(record) };
}

export function heldDealChange(record: HeldDeal): Change {
  return { kind: "put", key: heldDealKey(record.dealId), value: encodeCanonical(record) };
}

/** @throws IntercloudError DEAL_BURNT: a burnt deal has no share. */
export function shareOf(record: HeldDeal, store: Store): Share {
  const { state, point, seed, correction } = record;
  if (state === "burnt") throw new IntercloudError("DEAL_BURNT", "not-found", "the share of this deal was destroyed");
  return {
    point,
    seed,
    correction: correction === null ? undefined : (offsetBytes) => store.bodies.read(correction, offsetBytes),
  };
}

/**
 * Listed deals are looked at by the sweep; sealed ones are dropped from the list, so the sweep stays short however many
 * deposits a provider keeps.
 */
export function openDealChange(dealId: Uint8Array): Change {
  return { kind: "put", key: OPEN_PREFIX + hexOf(dealId), value: encodeCanonical(null) };
}

export function closedDealChange(dealId: Uint8Array): Change {
  return { kind: "delete", key: OPEN_PREFIX + hexOf(dealId) };
}

export async function openDeals(store: Store): Promise<Uint8Array[]> {
  const ids: Uint8Array[] = [];
  for await (const [key] of store.entries(OPEN_PREFIX)) ids.push(idOfHex(key.slice(OPEN_PREFIX.length)));
  return ids;
}

/**
 * Forgets the seed for good, then the correction. After the first commit the share is gone, whatever happens next; the
 * open list makes the sweep finish the rest. Call it under `withDeal`.
 * @param also changes to commit in the same batch.
 */
export async function burnDeal(store: Store, dealId: Uint8Array, also: readonly Change[] = []): Promise<void> {
  const isLot = (await store.get(dealLotKey(dealId))) !== undefined;
  await store.commit([...also, ...burntDealChanges(dealId), ...(isLot ? [noDealLotChange(dealId)] : [])]);
  await finishBurn(store, dealId);
}

/** The commit that forgets the seed; `finishBurn` is to follow. */
export function burntDealChanges(dealId: Uint8Array): Change[] {
  const burnt: HeldDeal = {
    dealId,
    manifest: new Uint8Array(),
    point: 0,
    seed: new Uint8Array(),
    correction: null,
    state: "burnt",
    boundTo: null,
    expiresAtMs: 0,
  };
  return [heldDealChange(burnt), openDealChange(dealId)].map(asTrace);
}

/** Removes what is left of a burnt deal. Does no harm a second time. */
export async function finishBurn(store: Store, dealId: Uint8Array): Promise<void> {
  await store.bodies.remove(correctionName(dealId));
  await store.commit([closedDealChange(dealId)]);
}

/**
 * Runs `action` while nobody else in this process changes the same deal. Whoever reads a record, decides and writes it back
 * does so in here: otherwise the sweep could burn a deal that is being sealed.
 */
export async function withDeal<T>(store: Store, dealId: Uint8Array, action: () => Promise<T>): Promise<T> {
  let tails = tailsOf.get(store);
  if (tails === undefined) {
    tails = new Map();
    tailsOf.set(store, tails);
  }
  const key = hexOf(dealId);
  const previous = tails.get(key) ?? Promise.resolve();
  const current = previous.then(action);
  const tail = current.then(
    () => {},
    () => {},
  );
  tails.set(key, tail);
  try {
    return await current;
  } finally {
    if (tails.get(key) === tail) tails.delete(key);
  }
}

const tailsOf = new WeakMap<Store, Map<string, Promise<void>>>();

export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

export function idOfHex(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex, "hex"));
}
