/**
 * Values are sealed with AES-256-GCM, bound to the name of their record, so that a value under another name does not open.
 *
 *   sealed value ::= <salt: 24> <ciphertext> <GCM tag: 16>
 *
 * Each value has a key of its own, HMAC-SHA256(seal key, salt): random 96-bit nonces under one key would be safe for 2^32
 * values only (NIST SP 800-38D), which a busy node writes within weeks.
 */
import { createCipheriv, createDecipheriv, createHmac, randomBytes } from "node:crypto";
import { deriveKey } from "../../protocols/crypto/key-agreement.ts";

export const STORE_KEY_BYTES = 32;
export const STORE_ID_BYTES = 16;
const SALT_BYTES = 24;
const TAG_BYTES = 16;
// The key is fresh for each value, so the nonce may be constant.
const NONCE = new Uint8Array(12);

export interface StoreKeys {
  /** Seals values. */
  readonly seal: Uint8Array;
  /** Keys the hash over all records and the chain over all commits. */
  readonly check: Uint8Array;
  /** Authenticates the anchor file. */
  readonly anchor: Uint8Array;
  /** Public: tells at open whether the store key is the right one. */
  readonly fingerprint: Uint8Array;
}

/** @param storeId makes the keys of two stores differ, so that no file of one passes for a file of the other. */
export function deriveStoreKeys(storeKey: Uint8Array, storeId: Uint8Array): StoreKeys {
  const derive = (use: string) => deriveKey(storeKey, storeId, `intercloud/store/v1 ${use}`);
  return { seal: derive("seal"), check: derive("check"), anchor: derive("anchor"), fingerprint: derive("fingerprint") };
}

export function wipeStoreKeys(keys: StoreKeys): void {
  for (const key of [keys.seal, keys.check, keys.anchor]) key.fill(0);
}

export function sealValue(sealKey: Uint8Array, name: string, value: Uint8Array): Uint8Array {
  const salt = randomBytes(SALT_BYTES);
  const cipher = createCipheriv("aes-256-gcm", valueKey(sealKey, salt), NONCE);
  cipher.setAAD(Buffer.from(name, "utf8"));
  return Buffer.concat([salt, cipher.update(value), cipher.final(), cipher.getAuthTag()]);
}

/** Undefined when it was altered, belongs to another name, or is sealed under another key. */
export function openValue(sealKey: Uint8Array, name: string, sealed: Uint8Array): Uint8Array | undefined {
  if (sealed.length < SALT_BYTES + TAG_BYTES) return undefined;
  const tagAt = sealed.length - TAG_BYTES;
  const decipher = createDecipheriv("aes-256-gcm", valueKey(sealKey, sealed.subarray(0, SALT_BYTES)), NONCE);
  decipher.setAAD(Buffer.from(name, "utf8"));
  decipher.setAuthTag(sealed.subarray(tagAt));
  try {
    const value = decipher.update(sealed.subarray(SALT_BYTES, tagAt));
    decipher.final();
    return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  } catch {
    return undefined;
  }
}

function valueKey(sealKey: Uint8Array, salt: Uint8Array): Uint8Array {
  return createHmac("sha256", sealKey).update(salt).digest();
}
