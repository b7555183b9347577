/** Ed25519 (RFC 8032) by node:crypto. Every signature is over a domain, a zero byte and the message. */
import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import type { Entropy } from "./entropy.ts";

export const PUBLIC_KEY_BYTES = 32;
export const SIGNATURE_BYTES = 64;
const SEED_BYTES = 32;

// RFC 8410: the fixed DER heads of an Ed25519 private (PKCS#8) and public (SPKI) key.
const PKCS8_HEAD = Buffer.from("302e020100300506032b657004220420", "hex");
const SPKI_HEAD = Buffer.from("302a300506032b6570032100", "hex");

/** Somebody who can sign: a key in memory here, a token in a later credential. */
export interface Signer {
  readonly publicKey: Uint8Array;
  sign(domain: string, message: Uint8Array): Uint8Array;
}

/** @param seed 32 bytes, the private key of RFC 8032. */
export function signerFromSeed(seed: Uint8Array): Signer {
  const privateKey = createPrivateKey({ key: Buffer.concat([PKCS8_HEAD, seed]), format: "der", type: "pkcs8" });
  const spki = createPublicKey(privateKey).export({ format: "der", type: "spki" });
  const publicKey = new Uint8Array(spki.subarray(SPKI_HEAD.length));
  return {
    publicKey,
    sign: (domain, message) => new Uint8Array(sign(null, withDomain(domain, message), privateKey)),
  };
}

export function newSigner(entropy: Entropy): Signer {
  return signerFromSeed(entropy(SEED_BYTES));
}

/** False for a wrong signature and for a public key that is not one. */
export function verifySignature(
  publicKey: Uint8Array,
  domain: string,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  if (publicKey.length !== PUBLIC_KEY_BYTES || signature.length !== SIGNATURE_BYTES) return false;
  let key: KeyObject;
  try {
    key = createPublicKey({ key: Buffer.concat([SPKI_HEAD, publicKey]), format: "der", type: "spki" });
  } catch {
    return false;
  }
  return verify(null, withDomain(domain, message), key, signature);
}

function withDomain(domain: string, message: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from(domain, "utf8"), Buffer.of(0), message]);
}
