/**
 * The identification token `um` of KMaaS section 3: what a deposit is, who owns it, which deal it is on. Its id is the
 * SHA-256 of its canonical bytes, and everything that is ever signed about the deposit names that id.
 */
import { createHash } from "node:crypto";
import * as v from "valibot";
import { DIGEST_BYTES } from "../crypto/digest.ts";
import { AGREEMENT_KEY_BYTES } from "../crypto/key-agreement.ts";
import { DEAL_ID_BYTES, MAX_PROVIDERS, MIN_THRESHOLD } from "../rounds/constants.ts";
import { type CborValue, decodeCanonical, encodeCanonical } from "../wire/codec.ts";
import { fixedBytes, integer, parseShape, text, timeMs } from "../wire/shape.ts";
import { MAX_MESSAGE_BYTES } from "./constants.ts";

const tokenShape = v.strictObject({
  version: v.literal(1),
  /** `messageDigest` of message.ts. */
  digest: fixedBytes(DIGEST_BYTES),
  owner: text(256),
  /** The provider that keeps the ciphertext, CC_1 of KMaaS. */
  home: text(64),
  createdAtMs: timeMs,
  dealId: fixedBytes(DEAL_ID_BYTES),
  manifestDigest: fixedBytes(DIGEST_BYTES),
  /** n and t. */
  providers: integer(MIN_THRESHOLD, MAX_PROVIDERS),
  threshold: integer(MIN_THRESHOLD, MAX_PROVIDERS),
  /** 1: the owner's key is needed to read it, and one keeper. 2: the user's share and t-1 providers. 3: any t providers. */
  protocol: v.picklist([1, 2, 3]),
  /** The X25519 key that shares are sealed to in Protocol 1; null in the others. */
  userKey: v.nullable(fixedBytes(AGREEMENT_KEY_BYTES)),
  route: v.picklist(["chain", "fanout"]),
  /** Length of the message; in Protocol 1, sealed. */
  lengthBytes: integer(1, MAX_MESSAGE_BYTES),
  /** How many providers, from home on in manifest order, keep the ciphertext. */
  copies: integer(1, MAX_PROVIDERS),
  /** "self": the owner dealt the deal itself. Left out when a dealer of the federation did. */
  dealer: v.optional(v.literal("self")),
  policy: v.strictObject({
    /**
     * "whole": the message itself is layered. Otherwise what is layered is an envelope key (protocols/envelope), which opens an age
     * file: "envelope": the providers that keep the ciphertext keep the file as well. "detached": it is with the user.
     */
    form: v.picklist(["whole", "envelope", "detached"]),
  }),
});

export type Token = v.InferOutput<typeof tokenShape>;

export function encodeToken(token: Token): Uint8Array {
  return encodeCanonical(token as CborValue);
}

/** @throws IntercloudError BAD_MESSAGE, MALFORMED, NON_CANONICAL. */
export function decodeToken(bytes: Uint8Array): Token {
  return parseShape(tokenShape, decodeCanonical(bytes), "token");
}

export function tokenIdOf(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash("sha256").update(bytes).digest());
}
