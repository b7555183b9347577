/**
 * What the owner of a lot and its providers say to each other; a channel for each step, because columns of digests are too long for a
 * question. Digests stand one after another, by deposit and then by provider.
 *
 *   place-lot   { lotId, plan, tag, signature }, body: message digests, and for a keeper the masked messages -> body: digests of our parts
 *   lot-part    provider to keeper: { lotId }, body: its parts -> {}
 *   link-lot    { lotId, timeMs }, body: the digests of all parts -> { signature, keeping }, and from home a body: digests of what it
 *               received and of what it keeps
 *   lot-status  provider to provider, when the owner has not come back: { lotId } -> { seal }: what the owner sealed it with there, and its body
 *   seal-lot    { lotId, tag, terms, signature, links, keeping }, body: digests of what the owner sent and of what home keeps -> {}
 */
import * as v from "valibot";
import { SIGNATURE_BYTES } from "../../crypto/signing.ts";
import { MAX_TAG_BYTES } from "../../identity/constants.ts";
import { DEAL_ID_BYTES, MAX_PROVIDERS, NONCE_BYTES } from "../../rounds/constants.ts";
import { boundedBytes, fixedBytes, timeMs } from "../../wire/shape.ts";
import { lotPlanShape } from "./lot-statements.ts";

const lotId = fixedBytes(DEAL_ID_BYTES);
const tag = boundedBytes(2 * MAX_TAG_BYTES);
/** Over the root of a tree: `signLot`. */
const signature = fixedBytes(SIGNATURE_BYTES);
const keeping = v.strictObject({ timeMs, signature });

export const placeLotShape = v.strictObject({ lotId, plan: lotPlanShape, tag, signature });
export const lotPartShape = v.strictObject({ lotId });
export const linkLotShape = v.strictObject({ lotId, timeMs });
/** `keeping` is home's. */
export const lotLinkedShape = v.strictObject({ signature, keeping: v.nullable(keeping) });
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
