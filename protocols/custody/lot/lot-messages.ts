/**
 * What the owner of a lot and its providers say to each other; a channel for each step, because columns of digests are too long for a
 * question. Digests stand one after another, by deposit and then by provider.
 *
 *   place-lot   { lotId, plan, tag, signature }, body: message digests, and for a keeper the masked messages -> body: digests of our parts
 *   lot-part    provider to keeper: { lotId }, body: its parts -> {}
 *   link-lot    { lotId, timeMs, challenge }, body: the digests of all parts -> { signature, keeping, fingerprints }, and from home a body:
 *               digests of what it received and of what it keeps
 *   testify-lot when the fingerprints do not fit: { lotId } -> body: our shares under a mask, and from a keeper digests of what it received
 *   lot-status  provider to provider, when the owner has not come back: { lotId } -> { seal }: what the owner sealed it with there, and its body
 *   seal-lot    { lotId, tag, terms, signature, links, keeping }, body: digests of what the owner sent and of what home keeps -> {}
 */
import * as v from "valibot";
import { SIGNATURE_BYTES } from "../../crypto/signing.ts";
import { MAX_TAG_BYTES } from "../../identity/constants.ts";
import { DEAL_ID_BYTES, MAX_PROVIDERS, NONCE_BYTES } from "../../rounds/constants.ts";
import { CHALLENGE_BYTES } from "../../rounds/fingerprint.ts";
import { boundedBytes, fixedBytes, timeMs } from "../../wire/shape.ts";
import { fingerprintsShape } from "../messages.ts";
import { lotPlanShape } from "./lot-statements.ts";

const lotId = fixedBytes(DEAL_ID_BYTES);
const tag = boundedBytes(2 * MAX_TAG_BYTES);
/** Over the root of a tree: `signLot`. */
const signature = fixedBytes(SIGNATURE_BYTES);
const keeping = v.strictObject({ timeMs, signature });

export const placeLotShape = v.strictObject({ lotId, plan: lotPlanShape, tag, signature });
export const lotPartShape = v.strictObject({ lotId });
export const linkLotShape = v.strictObject({ lotId, timeMs, challenge: fixedBytes(CHALLENGE_BYTES) });
/** `keeping` is home's. The fingerprints are of all shares, and all ciphertexts, one after another. */
export const lotLinkedShape = v.strictObject({
  signature,
  keeping: v.nullable(keeping),
  fingerprints: fingerprintsShape,
});
export const testifyLotShape = v.strictObject({ lotId });
/** What all closing requests have in common. */
export const closingTermsShape = v.strictObject({
  ...{ purpose: v.literal("deposit"), issuedAtMs: timeMs, expiresAtMs: timeMs, nonce: fixedBytes(NONCE_BYTES) },
});
export const sealLotShape = v.strictObject({
  ...{ lotId, tag, terms: closingTermsShape, signature, keeping },
  links: v.pipe(v.array(signature), v.minLength(1), v.maxLength(MAX_PROVIDERS)),
});
export type SealLot = Readonly<v.InferOutput<typeof sealLotShape>>;
/** Null where it is not sealed. */
export const lotStatusShape = v.strictObject({ seal: v.nullable(sealLotShape) });
