/** The X25519 identity of age (C2SP age.md, "The X25519 recipient type"): our product has none, the published vectors need one. */
import { bech32 } from "@scure/base";
import { agreementKeyFromSeed, deriveKey } from "../../../protocols/crypto/key-agreement.ts";
import { AEAD_NONCE_BYTES, unseal } from "../../../protocols/envelope/aead.ts";
import { decodeBase64 } from "../../../protocols/envelope/base64.ts";
import type { Stanza } from "../../../protocols/envelope/header.ts";

/** Undefined when none of the stanzas is for this identity. @throws Error when one is malformed. */
export function unwrapX25519(identity: string, stanzas: readonly Stanza[]): Uint8Array | undefined {
  const key = agreementKeyFromSeed(bech32.decodeToBytes(identity).bytes);
  for (const { arguments: words, body } of stanzas) {
    const [type, share = "", ...more] = words;
    if (type !== "X25519") continue;
    const ephemeral = decodeBase64(share);
    if (ephemeral === undefined || more.length > 0 || body.length !== 32) throw new Error("malformed X25519 stanza");
    const salt = Buffer.concat([ephemeral, key.publicKey]);
    const wrapKey = deriveKey(key.agree(ephemeral), salt, "age-encryption.org/v1/X25519");
    const fileKey = unseal(wrapKey, new Uint8Array(AEAD_NONCE_BYTES), body);
    if (fileKey !== undefined) return fileKey;
  }
  return undefined;
}
