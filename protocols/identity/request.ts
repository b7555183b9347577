/**
 * A request that its sender answers for: content, purpose, time window and nonce, signed by a session key whose tag names
 * the identity. Every provider checks it for itself; who relayed it does not matter.
 *
 *   request ::= CBOR { tag, body, signature }      body ::= CBOR { purpose, issuedAtMs, expiresAtMs, nonce, content }
 */
import * as v from "valibot";
import type { Entropy } from "../crypto/entropy.ts";
import { SIGNATURE_BYTES } from "../crypto/signing.ts";
import { statementSignatureShape, verifyStatement } from "../crypto/statement-signature.ts";
import { type CborValue, decodeCanonical, encodeCanonical } from "../wire/codec.ts";
import { IntercloudError } from "../wire/errors.ts";
import { boundedBytes, fixedBytes, parseShape, timeMs } from "../wire/shape.ts";
import {
  CLOCK_SKEW_MS,
  MAX_REQUEST_BYTES,
  MAX_REQUEST_LIFETIME_MS,
  MAX_TAG_BYTES,
  PURPOSES,
  type Purpose,
} from "./constants.ts";
import type { Identity } from "./identity.ts";
import { checkTag, type Session } from "./tag.ts";

export const REQUEST_DOMAIN = "intercloud/request/v1";
const NONCE_BYTES = 16;

const requestShape = v.strictObject({
  tag: boundedBytes(MAX_TAG_BYTES + SIGNATURE_BYTES + 64),
  body: boundedBytes(MAX_REQUEST_BYTES),
  signature: statementSignatureShape,
});
const bodyShape = v.strictObject({
  purpose: v.picklist(PURPOSES),
  issuedAtMs: timeMs,
  expiresAtMs: timeMs,
  nonce: fixedBytes(NONCE_BYTES),
  content: v.custom<CborValue>((value) => value !== undefined),
});

/** A request whose signature, tag, purpose and time window are right. */
export interface CheckedRequest {
  readonly identity: Identity;
  readonly content: CborValue;
  readonly nonce: Uint8Array;
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
}

export interface RequestOptions {
  readonly session: Session;
  readonly purpose: Purpose;
  readonly content: CborValue;
  readonly nowMs: number;
  readonly lifetimeMs: number;
  readonly entropy: Entropy;
}

export function signRequest(options: RequestOptions): Uint8Array {
  const { purpose, nowMs, content } = options;
  const times = { issuedAtMs: nowMs, expiresAtMs: nowMs + options.lifetimeMs };
  const body = encodeCanonical(requestBody({ purpose, ...times, nonce: options.entropy(NONCE_BYTES) }, content));
  const signature = options.session.signer.sign(REQUEST_DOMAIN, body);
  return encodeCanonical({ tag: options.session.tag, body, signature });
}

/** What a session signs once for all requests of a lot, beside their contents. */
export type RequestTerms = Readonly<Omit<v.InferOutput<typeof bodyShape>, "content">>;

export function requestBody(terms: RequestTerms, content: CborValue): CborValue {
  return { ...terms, content };
}

/**
 * Checks everything that can be checked without memory; replays are the replay guard's business.
 * @throws IntercloudError BAD_SIGNATURE, REQUEST_EXPIRED, WRONG_PURPOSE, and what `checkTag` throws.
 */
export function checkRequest(bytes: Uint8Array, purpose: Purpose, nowMs: number): CheckedRequest {
  const request = parseShape(requestShape, decodeCanonical(bytes), "request");
  const tag = checkTag(request.tag, purpose, nowMs);
  if (!verifyStatement(tag.sessionKey, REQUEST_DOMAIN, request.body, request.signature)) {
    throw new IntercloudError("BAD_SIGNATURE", "refused", "the request is not signed by the session key of its tag");
  }
  const body = parseShape(bodyShape, decodeCanonical(request.body), "request");
  if (body.purpose !== purpose) {
    throw new IntercloudError("WRONG_PURPOSE", "refused", `the request is for "${body.purpose}", not "${purpose}"`);
  }
  const tooLong = body.expiresAtMs - body.issuedAtMs > MAX_REQUEST_LIFETIME_MS;
  if (tooLong || nowMs > body.expiresAtMs || nowMs + CLOCK_SKEW_MS < body.issuedAtMs) {
    throw new IntercloudError("REQUEST_EXPIRED", "expired", "the request is outside its time window; make a new one");
  }
  return {
    identity: tag.identity,
    content: body.content,
    nonce: body.nonce,
    issuedAtMs: body.issuedAtMs,
    expiresAtMs: body.expiresAtMs,
  };
}

/** What a request says that nobody has checked: good for putting it in its place, and for nothing else. */
export function uncheckedContent(bytes: Uint8Array): CborValue {
  const request = parseShape(requestShape, decodeCanonical(bytes), "request");
  return parseShape(bodyShape, decodeCanonical(request.body), "request").content;
}

/** Checks a request that was kept as a proof: everything as at the moment it was issued. */
export function checkKeptRequest(bytes: Uint8Array, purpose: Purpose): CheckedRequest {
  const request = parseShape(requestShape, decodeCanonical(bytes), "request");
  const body = parseShape(bodyShape, decodeCanonical(request.body), "request");
  return checkRequest(bytes, purpose, body.issuedAtMs);
}
