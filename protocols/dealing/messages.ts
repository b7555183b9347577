/**
 * The messages of dealing. Everything is deterministic CBOR; `channel` methods start with a header, `ask` methods have one
 * message in each direction.
 *
 *   user -> dealer     channel deal        header { request }, answers { dealtBytes }*, { manifest, sealedSeed }
 *   user -> dealer     ask     deal-short  { request } -> { manifest, sealedSeed }
 *   dealer -> provider ask     prepare     { dealId, lengthBytes, point, corrected, sealedSeed } -> {}
 *   dealer -> provider channel correction  header { dealId, lengthBytes, point, sealedSeed } and a body, answer { digest }
 *   dealer -> provider ask     deliver     { manifest, sealedSeed, correction } -> {}
 *   user -> dealer     channel deal        for a lot: answers { dealtBytes }*, { manifest, signature, sealedSeed } and a body of share digests
 *   dealer -> provider channel deliver-lot header { manifest, signature, sealedSeed } and a body of lengths, digests and correction, answer {}
 *   dealer -> provider ask     forget      { dealId } -> {}
 *
 * The dealer is a dealer of the federation, or a user that deals for itself: then each message to a provider also has
 * { request } (self-request.ts).
 */
import * as v from "valibot";
import { DIGEST_BYTES } from "../crypto/digest.ts";
import { AGREEMENT_KEY_BYTES } from "../crypto/key-agreement.ts";
import { SIGNATURE_BYTES } from "../crypto/signing.ts";
import { MAX_LOT_ITEMS } from "../crypto/statement-signature.ts";
import { MAX_REQUEST_BYTES } from "../identity/constants.ts";
import { DEAL_ID_BYTES, MAX_PROVIDERS, MAX_ROUND_BYTES, MIN_THRESHOLD } from "../rounds/constants.ts";
import { SEED_BYTES } from "../rounds/share.ts";
import { boundedBytes, fixedBytes, integer, text } from "../wire/shape.ts";
import { MAX_INLINE_CORRECTION_BYTES, MAX_LOT_ITEM_BYTES, MAX_MANIFEST_BYTES } from "./constants.ts";

/** A sealed box adds an ephemeral key and a tag of 16 bytes. */
const SEALED_SEED_BYTES = AGREEMENT_KEY_BYTES + SEED_BYTES + 16;

const dealId = fixedBytes(DEAL_ID_BYTES);
const lengthBytes = integer(1, MAX_ROUND_BYTES);
const sealedSeed = fixedBytes(SEALED_SEED_BYTES);
const manifest = boundedBytes(MAX_MANIFEST_BYTES);

export const dealHeaderShape = v.strictObject({ request: boundedBytes(MAX_REQUEST_BYTES) });

/** The content of the signed request inside `deal`. */
export const dealRequestShape = v.strictObject({
  threshold: integer(MIN_THRESHOLD, MAX_PROVIDERS),
  /** In point order: the first one gets point 1. */
  providers: v.pipe(v.array(text(64)), v.minLength(MIN_THRESHOLD), v.maxLength(MAX_PROVIDERS)),
  lengthBytes,
  /** Of the deals of a lot, which make up `lengthBytes`; left out for one deal. */
  lengths: v.optional(v.pipe(v.array(integer(1, MAX_LOT_ITEM_BYTES)), v.minLength(1), v.maxLength(MAX_LOT_ITEMS))),
  /** X25519: the user's seed is sealed to it. */
  ephemeralKey: fixedBytes(AGREEMENT_KEY_BYTES),
});
export type DealRequest = v.InferOutput<typeof dealRequestShape>;

/** What is said to a provider about a deal. */
export const DEAL_STEPS = ["prepare", "correction", "deliver", "deliver-lot", "forget"] as const;
export type DealStep = (typeof DEAL_STEPS)[number];

/** Of a user that deals for itself; a dealer of the federation sends none. */
const request = v.optional(boundedBytes(MAX_REQUEST_BYTES));

export const dealProgressShape = v.strictObject({ dealtBytes: integer(0, MAX_ROUND_BYTES) });
export const dealResultShape = v.strictObject({ manifest, sealedSeed });

/** Sent before anything long. The seed comes with it so that a free share, which is nothing but its seed, can be hashed meanwhile. */
export const prepareShape = v.strictObject({
  dealId,
  lengthBytes,
  point: integer(1, MAX_PROVIDERS),
  corrected: v.boolean(),
  sealedSeed,
  request,
});

export const correctionHeaderShape = v.strictObject({
  dealId,
  lengthBytes,
  point: integer(1, MAX_PROVIDERS),
  sealedSeed,
  request,
});
/** `digestOfBlocks` of the share that seed and correction make. */
export const correctionAnswerShape = v.strictObject({ digest: fixedBytes(DIGEST_BYTES) });

export const deliverShape = v.strictObject({
  manifest,
  sealedSeed,
  /** Only when the point is corrected and the deal is at most MAX_INLINE_CORRECTION_BYTES long. */
  correction: v.nullable(boundedBytes(MAX_INLINE_CORRECTION_BYTES)),
  request,
});

/** Of a lot (lot/deal-lot.ts). */
const lotEntries = { manifest, signature: fixedBytes(SIGNATURE_BYTES), sealedSeed };
export const lotResultShape = v.strictObject(lotEntries);
export const deliverLotShape = v.strictObject({ ...lotEntries, request });

export const forgetShape = v.strictObject({ dealId, request });

/** Binds a sealed seed to its deal and point, so that it cannot be replayed as another one. */
export function sealedSeedContext(id: Uint8Array, point: number): string {
  return `intercloud/dealing/seed/v1 ${Buffer.from(id).toString("hex")} ${point}`;
}
