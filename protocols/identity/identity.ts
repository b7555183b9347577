/**
 * Identities are strings. A self-certifying one is `key:` and the base58btc of an Ed25519 public key: nobody has to be
 * asked what its key is. (Named identities come with the threshold master key, DESIGN section 7.)
 */
import { base58 } from "@scure/base";
import { peerNameOf } from "../crypto/peer-name.ts";
import { createRecent } from "../crypto/recent.ts";
import { PUBLIC_KEY_BYTES } from "../crypto/signing.ts";
import { IntercloudError } from "../wire/errors.ts";
import type { PeerName } from "../wire/transport.ts";

export type Identity = string;

export const MAX_IDENTITY_LENGTH = 256;
const KEY_PREFIX = "key:";

export function identityOfKey(publicKey: Uint8Array): Identity {
  return KEY_PREFIX + base58.encode(publicKey);
}

/** An identity says which key it is and nothing else. */
const knownKeys = createRecent<Uint8Array>(1024);

/** @throws IntercloudError BAD_IDENTITY when it is not a self-certifying identity. */
export function keyOfIdentity(identity: Identity): Uint8Array {
  let key = knownKeys.get(identity);
  if (key === undefined) {
    key = readIdentity(identity);
    knownKeys.set(identity, key);
  }
  return key.slice();
}

function readIdentity(identity: Identity): Uint8Array {
  if (identity.startsWith(KEY_PREFIX)) {
    try {
      const publicKey = base58.decode(identity.slice(KEY_PREFIX.length));
      if (publicKey.length === PUBLIC_KEY_BYTES && identityOfKey(publicKey) === identity) return publicKey;
    } catch {
      // fall through to the one error below
    }
  }
  throw new IntercloudError(
    "BAD_IDENTITY",
    "refused",
    'this is not an identity we can check; write it as "key:..." as `intercloud id show` prints it',
  );
}

/** What a manifest calls an identity that deals for itself: the name of a peer with its key. @throws IntercloudError BAD_IDENTITY. */
export function dealerNameOf(identity: Identity): PeerName {
  return peerNameOf(keyOfIdentity(identity));
}
