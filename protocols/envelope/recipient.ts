/**
 * age's own X25519 stanza (C2SP age.md, "The X25519 recipient type"): the file key for whoever has an X25519 key.
 *
 *   -> X25519 <ephemeral public key>
 *   <ChaCha20-Poly1305 of the file key>
 */
import type { Entropy } from "../crypto/entropy.ts";
import { AGREEMENT_KEY_BYTES, type AgreementKey, deriveKey, newAgreementKey } from "../crypto/key-agreement.ts";
import { AEAD_NONCE_BYTES, seal, unseal } from "./aead.ts";
import { decodeBase64, encodeBase64 } from "./base64.ts";
import { WRAPPED_KEY_BYTES } from "./constants.ts";
import { headerDamaged } from "./errors.ts";
import type { Stanza } from "./header.ts";

const TYPE = "X25519";
const ZERO_NONCE = new Uint8Array(AEAD_NONCE_BYTES);

export function wrapForKey(recipient: Uint8Array, fileKey: Uint8Array, entropy: Entropy): Stanza {
  const ephemeral = newAgreementKey(entropy);
  const key = wrapKey(ephemeral.agree(recipient), ephemeral.publicKey, recipient);
  try {
    return { arguments: [TYPE, encodeBase64(ephemeral.publicKey)], body: seal(key, ZERO_NONCE, fileKey) };
  } finally {
    key.fill(0);
  }
}

/** Undefined when no stanza of the file is for this key. @throws IntercloudError HEADER_DAMAGED, BAD_KEY. */
export function unwrapWithKey(own: AgreementKey, stanzas: readonly Stanza[]): Uint8Array | undefined {
  for (const { arguments: words, body } of stanzas) {
    if (words[0] !== TYPE) continue;
    const ephemeral = words.length === 2 ? decodeBase64(words[1]!) : undefined;
    if (ephemeral?.length !== AGREEMENT_KEY_BYTES || body.length !== WRAPPED_KEY_BYTES) {
      throw headerDamaged("what it says about an X25519 key is not right");
    }
    const key = wrapKey(own.agree(ephemeral), ephemeral, own.publicKey);
    const fileKey = unseal(key, ZERO_NONCE, body);
    key.fill(0);
    if (fileKey !== undefined) return fileKey;
  }
  return undefined;
}

/** Overwrites `secret`: it is needed for nothing else. */
function wrapKey(secret: Uint8Array, ephemeral: Uint8Array, recipient: Uint8Array): Uint8Array {
  const key = deriveKey(secret, Buffer.concat([ephemeral, recipient]), "age-encryption.org/v1/X25519");
  secret.fill(0);
  return key;
}
