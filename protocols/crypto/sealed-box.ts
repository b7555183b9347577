/**
 * A few bytes sealed to an X25519 key (ephemeral-static X25519, HKDF-SHA256, AES-256-GCM; the construction of age's
 * X25519 recipient). `context` is bound into the key: a box opens only where it was meant to.
 *
 *   box ::= <ephemeral public key: 32> <ciphertext> <GCM tag: 16>
 */
import { createCipheriv, createDecipheriv } from "node:crypto";
import { IntercloudError } from "../wire/errors.ts";
import type { Entropy } from "./entropy.ts";
import { AGREEMENT_KEY_BYTES, type AgreementKey, deriveKey, newAgreementKey } from "./key-agreement.ts";

const TAG_BYTES = 16;
// The key is fresh for each box, so the nonce may be constant (RFC 9180 does the same for its first message).
const NONCE = new Uint8Array(12);

export function sealTo(recipient: Uint8Array, context: string, plaintext: Uint8Array, entropy: Entropy): Uint8Array {
  const ephemeral = newAgreementKey(entropy);
  const key = boxKey(ephemeral.agree(recipient), ephemeral.publicKey, recipient, context);
  const cipher = createCipheriv("aes-256-gcm", key, NONCE);
  key.fill(0);
  return Buffer.concat([ephemeral.publicKey, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

/** @throws IntercloudError SEAL_BROKEN when the box is not for this key and context, or was altered. */
export function openSealed(recipient: AgreementKey, context: string, box: Uint8Array): Uint8Array {
  try {
    const ephemeral = box.subarray(0, AGREEMENT_KEY_BYTES);
    const key = boxKey(recipient.agree(ephemeral), ephemeral, recipient.publicKey, context);
    const decipher = createDecipheriv("aes-256-gcm", key, NONCE);
    key.fill(0);
    decipher.setAuthTag(box.subarray(box.length - TAG_BYTES));
    const body = box.subarray(AGREEMENT_KEY_BYTES, box.length - TAG_BYTES);
    return Buffer.concat([decipher.update(body), decipher.final()]);
  } catch (cause) {
    throw new IntercloudError("SEAL_BROKEN", "integrity", "this sealed box does not open with our key", {}, cause);
  }
}

/** Overwrites `secret`: it is needed for nothing else. */
function boxKey(secret: Uint8Array, ephemeral: Uint8Array, recipient: Uint8Array, context: string): Uint8Array {
  const key = deriveKey(secret, Buffer.concat([ephemeral, recipient]), `intercloud/sealed-box/v1 ${context}`);
  secret.fill(0);
  return key;
}
