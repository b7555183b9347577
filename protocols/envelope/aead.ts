/** ChaCha20-Poly1305 (RFC 8439), a whole piece of bytes at a time. */
import { createCipheriv, createDecipheriv } from "node:crypto";
import { release } from "../crypto/release.ts";
import { TAG_BYTES } from "./constants.ts";

const CIPHER = "chacha20-poly1305";
const OPTIONS = { authTagLength: TAG_BYTES };

export const AEAD_NONCE_BYTES = 12;

/** Ciphertext and tag. A pair of key and nonce is for one plaintext only. */
export function seal(key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array): Uint8Array {
  const cipher = createCipheriv(CIPHER, key, nonce, OPTIONS);
  const sealed = new Uint8Array(plaintext.length + TAG_BYTES);
  const ciphertext = cipher.update(plaintext);
  sealed.set(ciphertext);
  release(ciphertext);
  cipher.final();
  sealed.set(cipher.getAuthTag(), plaintext.length);
  return sealed;
}

/** Undefined when it was not sealed with this key and nonce, or was changed. */
export function unseal(key: Uint8Array, nonce: Uint8Array, sealed: Uint8Array): Uint8Array | undefined {
  if (sealed.length < TAG_BYTES) return undefined;
  const end = sealed.length - TAG_BYTES;
  const decipher = createDecipheriv(CIPHER, key, nonce, OPTIONS);
  const plaintext = decipher.update(sealed.subarray(0, end));
  decipher.setAuthTag(sealed.subarray(end));
  try {
    decipher.final();
    return plaintext;
  } catch {
    plaintext.fill(0);
    release(plaintext);
    return undefined;
  }
}
