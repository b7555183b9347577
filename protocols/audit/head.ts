/**
 * The signed head of an audit log: the node's word that its log has so many entries and ends in this one. Whoever keeps a
 * head can tell later whether the log still goes on from there: a node that cuts or rewrites its log cannot take it back.
 *
 *   signed head ::= CBOR { body, signature }        body ::= CBOR { version, peer, log, count, hash, timeMs }
 */
import * as v from "valibot";
import { DIGEST_BYTES } from "../crypto/digest.ts";
import { publicKeyOfPeer } from "../crypto/peer-name.ts";
import { SIGNATURE_BYTES, type Signer, verifySignature } from "../crypto/signing.ts";
import { decodeCanonical, encodeCanonical } from "../wire/codec.ts";
import { boundedBytes, fixedBytes, integer, parseShape, text, timeMs } from "../wire/shape.ts";
import { LOG_ID_BYTES } from "./constants.ts";

const HEAD_DOMAIN = "intercloud/audit-head/v1";

/** A name, three numbers, an id and a digest: 200 bytes. */
const MAX_BODY_BYTES = 512;

const headShape = v.strictObject({
  version: v.literal(1),
  /** The node; its name is the key that the signature is checked with. */
  peer: text(64),
  log: fixedBytes(LOG_ID_BYTES),
  /** How many entries there are, which is the sequence number of the last. */
  count: integer(1, Number.MAX_SAFE_INTEGER),
  /** The last entry's hash. */
  hash: fixedBytes(DIGEST_BYTES),
  /** When it was signed, by the node's clock. */
  timeMs,
});

export type AuditHead = Readonly<v.InferOutput<typeof headShape>>;

const signedShape = v.strictObject({ body: boundedBytes(MAX_BODY_BYTES), signature: fixedBytes(SIGNATURE_BYTES) });

export function signHead(head: Omit<AuditHead, "version">, signer: Signer): Uint8Array {
  const body = encodeCanonical({ version: 1, ...head });
  return encodeCanonical({ body, signature: signer.sign(HEAD_DOMAIN, body) });
}

/** @throws IntercloudError when it is malformed; a wrong signature is reported, not thrown. */
export function readSignedHead(bytes: Uint8Array): { readonly head: AuditHead; readonly signatureValid: boolean } {
  const { body, signature } = parseShape(signedShape, decodeCanonical(bytes), "signed audit head");
  const head = parseShape(headShape, decodeCanonical(body), "audit head");
  return { head, signatureValid: verifySignature(publicKeyOfPeer(head.peer), HEAD_DOMAIN, body, signature) };
}
