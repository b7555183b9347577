/**
 * Corrections that have come, or are coming, before their deal is delivered. A small record is written before the first byte,
 * so that a correction whose dealer died is found and removed.
 */
import * as v from "valibot";
import { auditChange } from "../audit/index.ts";
import { DIGEST_BYTES } from "../crypto/digest.ts";
import { MAX_ROUND_BYTES } from "../rounds/constants.ts";
import type { Change, Store } from "../storage/index.ts";
import { decodeCanonical, encodeCanonical } from "../wire/codec.ts";
import { fixedBytes, integer, parseShape, text, timeMs } from "../wire/shape.ts";
import { STAGING_LIFETIME_MS } from "./constants.ts";
import {
  burnDeal,
  closedDealChange,
  correctionName,
  finishBurn,
  hexOf,
  idOfHex,
  loadHeldDeal,
  openDeals,
  withDeal,
} from "./held-deal.ts";

const STAGING_PREFIX = "deal-staging/";

const stagingShape = v.strictObject({
  /** Only the dealer that staged a correction may replace or deliver it. */
  dealer: text(64),
  lengthBytes: integer(1, MAX_ROUND_BYTES),
  /** When we last knew that it was wanted. */
  stagedAtMs: timeMs,
  /** `digestOfBlocks` of the share that it makes with our seed, once all of it is on disk; null before. */
  digest: v.nullable(fixedBytes(DIGEST_BYTES)),
});

export type Staging = Readonly<v.InferOutput<typeof stagingShape>>;

function stagingKey(dealId: Uint8Array): string {
  return STAGING_PREFIX + hexOf(dealId);
}

export async function loadStaging(store: Store, dealId: Uint8Array): Promise<Staging | undefined> {
  const value = await store.get(stagingKey(dealId));
  return value && parseShape(stagingShape, decodeCanonical(value), "staged correction");
}

export async function* stagedDeals(store: Store): AsyncIterable<readonly [dealId: Uint8Array, staging: Staging]> {
  for await (const [key, value] of store.entries(STAGING_PREFIX)) {
    const staging = parseShape(stagingShape, decodeCanonical(value), "staged correction");
    yield [idOfHex(key.slice(STAGING_PREFIX.length)), staging];
  }
}

export function stagingChange(dealId: Uint8Array, staging: Staging): Change {
  return { kind: "put", key: stagingKey(dealId), value: encodeCanonical(staging) };
}

export function unstagedChange(dealId: Uint8Array): Change {
  return { kind: "delete", key: stagingKey(dealId) };
}

/**
 * Removes what nobody will use: burns deals that expired before they were sealed, finishes burnings that a crash cut short,
 * and removes corrections that were staged more than an hour ago. To be called at start and then now and then.
 */
export async function sweepDeals(store: Store, nowMs: number): Promise<void> {
  for (const dealId of await openDeals(store)) await withDeal(store, dealId, () => sweepDeal(store, dealId, nowMs));
  const staged: Uint8Array[] = [];
  for await (const [key] of store.entries(STAGING_PREFIX)) staged.push(idOfHex(key.slice(STAGING_PREFIX.length)));
  for (const dealId of staged) await withDeal(store, dealId, () => sweepStaging(store, dealId, nowMs));
}

async function sweepDeal(store: Store, dealId: Uint8Array, nowMs: number): Promise<void> {
  const record = await loadHeldDeal(store, dealId);
  const waiting = record?.state === "dealt" || record?.state === "bound";
  if (waiting && nowMs <= record.expiresAtMs) return;
  if (waiting) {
    await burnDeal(store, dealId, [auditChange({ kind: "burnt", dealId, tokenId: record.boundTo, why: "expired" })]);
  } else if (record?.state === "burnt") await finishBurn(store, dealId);
  else await store.commit([closedDealChange(dealId)]);
}

async function sweepStaging(store: Store, dealId: Uint8Array, nowMs: number): Promise<void> {
  const staging = await loadStaging(store, dealId);
  if (staging === undefined || nowMs - staging.stagedAtMs <= STAGING_LIFETIME_MS) return;
  await store.bodies.remove(correctionName(dealId));
  await store.commit([unstagedChange(dealId)]);
}
