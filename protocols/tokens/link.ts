/**
 * A link of a token's chain: provider i's signed statement of what came in, what went out, and what the link before it said
 * (KMaaS: sig_CCi(...sig_CC1(um))). A link is chained to the statement before it, not to that statement's signature, so that
 * in the fanout route all providers can sign at once; the chain counts only when every signature is there and right.
 */
import * as v from "valibot";
import { DIGEST_BYTES, digestOf, equalBytes } from "../crypto/digest.ts";
import { publicKeyOfPeer } from "../crypto/peer-name.ts";
import type { Signer } from "../crypto/signing.ts";
import { statementSignatureShape, verifyStatement } from "../crypto/statement-signature.ts";
import { MAX_PROVIDERS, TOKEN_ID_BYTES } from "../rounds/constants.ts";
import { decodeCanonical, encodeCanonical } from "../wire/codec.ts";
import { boundedBytes, fixedBytes, integer, parseShape, text, timeMs } from "../wire/shape.ts";
import type { PeerName } from "../wire/transport.ts";
import { MAX_LINK_BYTES } from "./constants.ts";

export const LINK_DOMAIN = "intercloud/link/v1";
export const KEEPING_DOMAIN = "intercloud/keeping/v1";

const linkShape = v.strictObject({
  version: v.literal(1),
  tokenId: fixedBytes(TOKEN_ID_BYTES),
  /** 1..n. */
  index: integer(1, MAX_PROVIDERS),
  peer: text(64),
  /** The provider's identity; self-certifying for now. */
  identity: text(256),
  /** `bodyDigest` of the bytes that came in; of nothing in the fanout route. */
  digestIn: fixedBytes(DIGEST_BYTES),
  /** `bodyDigest` of the bytes that went out. */
  digestOut: fixedBytes(DIGEST_BYTES),
  /** Digest of link i-1's statement; of the manifest for link 1. */
  previous: fixedBytes(DIGEST_BYTES),
  timeMs,
});
export type Link = v.InferOutput<typeof linkShape>;

/** Home's statement of what it received and what ciphertext it keeps; closes the chain. */
const keepingShape = v.strictObject({
  version: v.literal(1),
  tokenId: fixedBytes(TOKEN_ID_BYTES),
  peer: text(64),
  /** All digests here are `bodyDigest`: of what the owner sent. */
  digestFromOwner: fixedBytes(DIGEST_BYTES),
  /** Fanout: of the layer received from each provider, in order. Chain: of what came from the last one. */
  digestsReceived: v.pipe(v.array(fixedBytes(DIGEST_BYTES)), v.minLength(1), v.maxLength(MAX_PROVIDERS)),
  digestKept: fixedBytes(DIGEST_BYTES),
  /** Digest of the last link's statement. */
  previous: fixedBytes(DIGEST_BYTES),
  timeMs,
});
export type Keeping = v.InferOutput<typeof keepingShape>;

const signedShape = v.strictObject({ body: boundedBytes(64 * MAX_LINK_BYTES), signature: statementSignatureShape });

/** A statement with its signature, and the digest that the next link names. */
export interface SignedStatement<T> {
  readonly statement: T;
  readonly digest: Uint8Array;
  readonly signatureValid: boolean;
}

export function encodeLink(link: Link): Uint8Array {
  return encodeCanonical(link);
}

export function decodeLink(body: Uint8Array): Link {
  return parseShape(linkShape, decodeCanonical(body), "link");
}

export function statementDigest(body: Uint8Array): Uint8Array {
  return digestOf("intercloud/statement/v1", body);
}

/** Signs the canonical bytes of a link. */
export function signLink(body: Uint8Array, signer: Signer): Uint8Array {
  return encodeCanonical({ body, signature: signer.sign(LINK_DOMAIN, body) });
}

export function signKeeping(keeping: Keeping, signer: Signer): Uint8Array {
  const body = encodeCanonical(keeping);
  return encodeCanonical({ body, signature: signer.sign(KEEPING_DOMAIN, body) });
}

/** @throws IntercloudError when it is malformed; a wrong signature is reported, not thrown. */
export function readLink(bytes: Uint8Array): SignedStatement<Link> {
  return readSigned(bytes, LINK_DOMAIN, decodeLink, (link) => link.peer);
}

export function readKeeping(bytes: Uint8Array): SignedStatement<Keeping> {
  const decodeKeeping = (body: Uint8Array) => parseShape(keepingShape, decodeCanonical(body), "keeping");
  return readSigned(bytes, KEEPING_DOMAIN, decodeKeeping, (keeping) => keeping.peer);
}

/** Whether this is that very statement, signed by the provider that it names. */
export function isLinkOf(statement: Uint8Array, bytes: Uint8Array): boolean {
  try {
    const { digest, signatureValid } = readLink(bytes);
    return signatureValid && equalBytes(digest, statementDigest(statement));
  } catch {
    return false;
  }
}

function readSigned<T>(
  bytes: Uint8Array,
  domain: string,
  decodeBody: (body: Uint8Array) => T,
  peerOf: (statement: T) => PeerName,
): SignedStatement<T> {
  const { body, signature } = parseShape(signedShape, decodeCanonical(bytes), "signed statement");
  const statement = decodeBody(body);
  const signatureValid = verifyStatement(publicKeyOfPeer(peerOf(statement)), domain, body, signature);
  return { statement, digest: statementDigest(body), signatureValid };
}
