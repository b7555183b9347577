/** Ed25519 (RFC 8032) by node:crypto. Every signature is over a domain, a zero byte and the message. */
import { createPrivateKey, createPublicKey, hash, type KeyObject, sign, verify } from "node:crypto";
import { IntercloudError } from "../wire/errors.ts";
import type { Entropy } from "./entropy.ts";
import { createRecent } from "./recent.ts";
import { isSmallOrder } from "./small-order.ts";

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

/** @param seed 32 bytes, the private key of RFC 8032. @throws IntercloudError BAD_KEY for another length. */
export function signerFromSeed(seed: Uint8Array): Signer {
  // OpenSSL would read the first 32 bytes of a longer seed and ignore the rest.
  if (seed.length !== SEED_BYTES) {
    throw new IntercloudError("BAD_KEY", "bad-request", `an Ed25519 seed is 32 bytes long, not ${seed.length}`);
  }
  const der = Buffer.concat([PKCS8_HEAD, seed]);
  const privateKey = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  der.fill(0);
  const spki = createPublicKey(privateKey).export({ format: "der", type: "spki" });
  const publicKey = new Uint8Array(spki.subarray(SPKI_HEAD.length));
  return {
    publicKey,
    sign(domain, message) {
      const signed = withDomain(domain, message);
      const signature = new Uint8Array(sign(null, signed, privateKey));
      // We meet it again, in the chain of our own deposit for one.
      goodSignatures.set(signatureName(publicKey, signature, signed), true);
      return signature;
    },
  };
}

export function newSigner(entropy: Entropy): Signer {
  return signerFromSeed(entropy(SEED_BYTES));
}

/**
 * False for a wrong signature, and for a public key that is not one or that everybody can sign for. A deposit's statements and a
 * session's tag are looked at again and again: what was right a moment ago is found by its hash, at a fiftieth of the price.
 */
export function verifySignature(
  publicKey: Uint8Array,
  domain: string,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  if (publicKey.length !== PUBLIC_KEY_BYTES || signature.length !== SIGNATURE_BYTES) return false;
  const signed = withDomain(domain, message);
  const name = signatureName(publicKey, signature, signed);
  if (goodSignatures.get(name) === true) return true;
  const key = keyObjectOf(publicKey);
  if (key === undefined || !verify(null, signed, key, signature)) return false;
  goodSignatures.set(name, true);
  return true;
}

function signatureName(publicKey: Uint8Array, signature: Uint8Array, signed: Uint8Array): string {
  return hash("sha256", Buffer.concat([publicKey, signature, signed]), "base64");
}

/** Two hundred bytes each: of the statements of some hundred deposits. */
const goodSignatures = createRecent<true>(8192);
/** Of the peers and sessions of a busy minute. */
const keyObjects = createRecent<KeyObject>(2048);

function keyObjectOf(publicKey: Uint8Array): KeyObject | undefined {
  const name = Buffer.from(publicKey).toString("base64");
  const known = keyObjects.get(name);
  if (known !== undefined) return known;
  if (isSmallOrder(publicKey)) return undefined;
  try {
    const x = Buffer.from(publicKey).toString("base64url");
    const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
    keyObjects.set(name, key);
    return key;
  } catch {
    return undefined;
  }
}

function withDomain(domain: string, message: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from(domain, "utf8"), Buffer.of(0), message]);
}
