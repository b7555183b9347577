/**
 * A provider's signed statement that it destroyed its part of a deposit: what it removed, when, and at which request of the
 * owner. It proves that the provider said so. Should it ever answer with that share again, the receipt is the evidence against it.
 *
 *   receipt ::= CBOR { body, signature }
 */
import * as v from "valibot";
import { DIGEST_BYTES, digestOf } from "../crypto/digest.ts";
import { publicKeyOfPeer } from "../crypto/peer-name.ts";
import { SIGNATURE_BYTES, type Signer, verifySignature } from "../crypto/signing.ts";
import { TOKEN_ID_BYTES } from "../rounds/constants.ts";
import { decodeCanonical, encodeCanonical } from "../wire/codec.ts";
import { boundedBytes, fixedBytes, parseShape, text, timeMs } from "../wire/shape.ts";
import { MAX_RECEIPT_BYTES } from "./constants.ts";

const RECEIPT_DOMAIN = "intercloud/receipt/v1";

const receiptShape = v.strictObject({
  version: v.literal(1),
  tokenId: fixedBytes(TOKEN_ID_BYTES),
  /** The provider that signs. */
  peer: text(64),
  /** What was here and is gone; with the ciphertext the envelope, if the deposit has one. Masks are made for each round and never kept, so there is nothing of them to remove. */
  removed: v.strictObject({ share: v.boolean(), ciphertext: v.boolean() }),
  /** `destroyRequestDigest` of the owner's request. */
  requestDigest: fixedBytes(DIGEST_BYTES),
  timeMs,
});
export type Receipt = Readonly<v.InferOutput<typeof receiptShape>>;

const signedShape = v.strictObject({ body: boundedBytes(MAX_RECEIPT_BYTES), signature: fixedBytes(SIGNATURE_BYTES) });

export function signReceipt(receipt: Receipt, signer: Signer): Uint8Array {
  const body = encodeCanonical(receipt);
  return encodeCanonical({ body, signature: signer.sign(RECEIPT_DOMAIN, body) });
}

/** @throws IntercloudError when it is malformed; a wrong signature is reported, not thrown. */
export function readReceipt(bytes: Uint8Array): { readonly receipt: Receipt; readonly signatureValid: boolean } {
  const { body, signature } = parseShape(signedShape, decodeCanonical(bytes), "signed receipt");
  const receipt = parseShape(receiptShape, decodeCanonical(body), "receipt");
  const signatureValid = verifySignature(publicKeyOfPeer(receipt.peer), RECEIPT_DOMAIN, body, signature);
  return { receipt, signatureValid };
}

export function destroyRequestDigest(request: Uint8Array): Uint8Array {
  return digestOf("intercloud/destroy-request/v1", request);
}
