/**
 * The X25519 key of an identity, to which things are sealed that only it may read. It is made from a signature of the identity key
 * (Ed25519 signs deterministically, RFC 8032), so that one key is all that a user has to keep, wherever that key is.
 */
import { type AgreementKey, agreementKeyFromSeed, deriveKey } from "../crypto/key-agreement.ts";
import type { Signer } from "../crypto/signing.ts";

const DOMAIN = "intercloud/user-key/v1";

/** The same for the same identity key, always. */
export function userKeyOf(identityKey: Signer): AgreementKey {
  const signature = identityKey.sign(DOMAIN, new Uint8Array());
  const seed = deriveKey(signature, identityKey.publicKey, DOMAIN);
  signature.fill(0);
  try {
    return agreementKeyFromSeed(seed);
  } finally {
    seed.fill(0);
  }
}
