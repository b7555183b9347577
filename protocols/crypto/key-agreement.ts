/** X25519 (RFC 7748) and HKDF-SHA256 (RFC 5869) by node:crypto. */
import { createPrivateKey, createPublicKey, diffieHellman, hkdfSync, type KeyObject } from "node:crypto";
import { IntercloudError } from "../wire/errors.ts";
import type { Entropy } from "./entropy.ts";

export const AGREEMENT_KEY_BYTES = 32;

// RFC 8410: the fixed DER head of an X25519 private key (PKCS#8). Public keys come and go as JWK (RFC 8037), which OpenSSL reads in a
// third and writes in a twentieth of the time of DER; a private key would leave a string behind that cannot be wiped.
const PKCS8_HEAD = Buffer.from("302e020100300506032b656e04220420", "hex");
const JWK = { kty: "OKP", crv: "X25519" } as const;

/** A key pair that can agree on secrets: a provider's long-lived one, or a request's ephemeral one. */
export interface AgreementKey {
  readonly publicKey: Uint8Array;
  /** The raw X25519 secret, 32 bytes. @throws IntercloudError BAD_KEY for a key of small order. */
  agree(otherPublicKey: Uint8Array): Uint8Array;
}

/** @param seed 32 bytes, the private key of RFC 7748. @throws IntercloudError BAD_KEY for another length. */
export function agreementKeyFromSeed(seed: Uint8Array): AgreementKey {
  requireLength(seed, "secret");
  const der = Buffer.concat([PKCS8_HEAD, seed]);
  const privateKey = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  der.fill(0);
  const { x = "" } = createPublicKey(privateKey).export({ format: "jwk" });
  return {
    publicKey: new Uint8Array(Buffer.from(x, "base64url")),
    agree: (otherPublicKey) => agree(privateKey, otherPublicKey),
  };
}

/** A new seed in its one form: five bits of a private key do not matter, and have fixed values here (RFC 7748 section 5). */
export function newAgreementSeed(entropy: Entropy): Uint8Array {
  const seed = entropy(AGREEMENT_KEY_BYTES);
  seed[0]! &= 0xf8;
  seed[31]! = (seed[31]! & 0x7f) | 0x40;
  return seed;
}

export function isAgreementSeed(seed: Uint8Array): boolean {
  return seed.length === AGREEMENT_KEY_BYTES && (seed[0]! & 0x07) === 0 && (seed[31]! & 0xc0) === 0x40;
}

export function newAgreementKey(entropy: Entropy): AgreementKey {
  return agreementKeyFromSeed(entropy(AGREEMENT_KEY_BYTES));
}

function agree(privateKey: KeyObject, otherPublicKey: Uint8Array): Uint8Array {
  requireLength(otherPublicKey, "public");
  try {
    const x = Buffer.from(otherPublicKey).toString("base64url");
    const publicKey = createPublicKey({ key: { ...JWK, x }, format: "jwk" });
    // node:crypto fails when the result is all zeros, as RFC 7748 section 6.1 advises.
    const secret = diffieHellman({ privateKey, publicKey });
    // not a copy, so that who wipes the result wipes the secret
    return new Uint8Array(secret.buffer, secret.byteOffset, secret.length);
  } catch (cause) {
    throw new IntercloudError("BAD_KEY", "bad-request", "this X25519 public key cannot be used", {}, cause);
  }
}

/** OpenSSL would read the first 32 bytes of a longer key and ignore the rest. */
function requireLength(key: Uint8Array, kind: "secret" | "public"): void {
  if (key.length === AGREEMENT_KEY_BYTES) return;
  const problem = `an X25519 ${kind} key is ${AGREEMENT_KEY_BYTES} bytes long, not ${key.length}`;
  throw new IntercloudError("BAD_KEY", "bad-request", problem);
}

export function deriveKey(secret: Uint8Array, salt: Uint8Array, info: string, lengthBytes = 32): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", secret, salt, Buffer.from(info, "utf8"), lengthBytes));
}
