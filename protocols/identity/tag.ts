/**
 * A tag is an identity's signed statement that a session key speaks for it, for some purposes, until a time
 * (CryptoCloud's identity tags, DESIGN section 7). Everything after it is signed by the session key.
 */
import * as v from "valibot";
import { digestOf } from "../crypto/digest.ts";
import type { Entropy } from "../crypto/entropy.ts";
import { createRecent } from "../crypto/recent.ts";
import { newSigner, PUBLIC_KEY_BYTES, SIGNATURE_BYTES, type Signer, verifySignature } from "../crypto/signing.ts";
import { type CborValue, decodeCanonical, encodeCanonical } from "../wire/codec.ts";
import { IntercloudError } from "../wire/errors.ts";
import { boundedBytes, fixedBytes, parseShape, text, timeMs } from "../wire/shape.ts";
import { CLOCK_SKEW_MS, MAX_TAG_BYTES, MAX_TAG_LIFETIME_MS, PURPOSES, type Purpose } from "./constants.ts";
import { type Identity, keyOfIdentity, MAX_IDENTITY_LENGTH } from "./identity.ts";

const TAG_DOMAIN = "intercloud/tag/v1";

const tagShape = v.strictObject({
  version: v.literal(1),
  identity: text(MAX_IDENTITY_LENGTH),
  sessionKey: fixedBytes(PUBLIC_KEY_BYTES),
  purposes: v.pipe(v.array(v.picklist(PURPOSES)), v.minLength(1), v.maxLength(PURPOSES.length)),
  notBeforeMs: timeMs,
  expiresAtMs: timeMs,
});
const signedTagShape = v.strictObject({
  body: boundedBytes(MAX_TAG_BYTES),
  signature: fixedBytes(SIGNATURE_BYTES),
});

export type Tag = v.InferOutput<typeof tagShape>;

/** An identity with a session key that speaks for it. */
export interface Session {
  readonly identity: Identity;
  readonly signer: Signer;
  /** The signed tag, as it travels with every request. */
  readonly tag: Uint8Array;
}

export interface SessionOptions {
  readonly identity: Identity;
  /** The identity's own key. */
  readonly identityKey: Signer;
  readonly purposes: readonly Purpose[];
  readonly nowMs: number;
  readonly lifetimeMs: number;
  readonly entropy: Entropy;
}

export function openSession(options: SessionOptions): Session {
  const signer = newSigner(options.entropy);
  const body = encodeCanonical({
    version: 1,
    identity: options.identity,
    sessionKey: signer.publicKey,
    purposes: options.purposes,
    notBeforeMs: options.nowMs,
    expiresAtMs: options.nowMs + options.lifetimeMs,
  });
  const tag = encodeCanonical({ body, signature: options.identityKey.sign(TAG_DOMAIN, body) });
  return { identity: options.identity, signer, tag };
}

/** Every request of a session comes with the same tag. Those of a thousand sessions, by their digests. */
const knownTags = createRecent<Tag>(1024);

/** @throws IntercloudError BAD_TAG, TAG_EXPIRED, TAG_PURPOSE, BAD_IDENTITY, BAD_MESSAGE. */
export function checkTag(bytes: Uint8Array, purpose: Purpose, nowMs: number): Tag {
  const name = Buffer.from(digestOf("intercloud/known-tag/v1", bytes)).toString("latin1");
  const tag = knownTags.get(name) ?? readTag(bytes);
  knownTags.set(name, tag);
  if (nowMs + CLOCK_SKEW_MS < tag.notBeforeMs || nowMs > tag.expiresAtMs) {
    throw new IntercloudError("TAG_EXPIRED", "expired", "the tag is outside its time; open a new session");
  }
  if (!tag.purposes.includes(purpose)) {
    throw new IntercloudError("TAG_PURPOSE", "refused", `the tag does not allow "${purpose}"`);
  }
  return tag;
}

/** Everything about a tag that never changes. */
function readTag(bytes: Uint8Array): Tag {
  const signed = parseShape(signedTagShape, decodeCanonical(bytes), "tag");
  const tag = parseShape(tagShape, decodeCanonical(signed.body) as CborValue, "tag");
  if (!verifySignature(keyOfIdentity(tag.identity), TAG_DOMAIN, signed.body, signed.signature)) {
    throw new IntercloudError("BAD_TAG", "refused", "the tag is not signed by the identity that it names");
  }
  if (tag.expiresAtMs - tag.notBeforeMs > MAX_TAG_LIFETIME_MS) {
    throw new IntercloudError("BAD_TAG", "refused", "the tag is valid for longer than tags may be; open a new session");
  }
  return tag;
}
