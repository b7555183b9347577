/**
 * A peer's name is the text form of its Ed25519 libp2p peer id: base58btc of an identity multihash that holds the
 * protobuf of the public key (libp2p peer-ids specification). So the name is enough to check a signature.
 */
import { base58 } from "@scure/base";
import { IntercloudError } from "../wire/errors.ts";
import type { PeerName } from "../wire/transport.ts";
import { createRecent } from "./recent.ts";
import { PUBLIC_KEY_BYTES } from "./signing.ts";

// identity multihash (0x00), 36 bytes; protobuf field 1 (key type) = 1 (Ed25519), field 2 (data) of 32 bytes
const HEAD = Uint8Array.of(0x00, 0x24, 0x08, 0x01, 0x12, 0x20);

export function peerNameOf(publicKey: Uint8Array): PeerName {
  return base58.encode(Buffer.concat([HEAD, publicKey]));
}

/** A name says which key it is and nothing else, and takes longer to read than most of what is done with it. */
const knownKeys = createRecent<Uint8Array>(1024);
const knownIdentities = createRecent<string>(1024);

/** @throws IntercloudError BAD_PEER_NAME when this is not the name of an Ed25519 peer. */
export function publicKeyOfPeer(peer: PeerName): Uint8Array {
  let key = knownKeys.get(peer);
  if (key === undefined) {
    key = readName(peer);
    knownKeys.set(peer, key);
  }
  return key.slice();
}

function readName(peer: PeerName): Uint8Array {
  let bytes: Uint8Array;
  try {
    bytes = base58.decode(peer);
  } catch {
    bytes = new Uint8Array();
  }
  if (bytes.length !== HEAD.length + PUBLIC_KEY_BYTES || Buffer.compare(bytes.subarray(0, HEAD.length), HEAD) !== 0) {
    throw new IntercloudError("BAD_PEER_NAME", "bad-request", "this is not the name of an Ed25519 peer");
  }
  return bytes.slice(HEAD.length);
}

/** A provider's self-certifying identity: the same key, written as identities are. */
export function peerIdentity(peer: PeerName): string {
  let identity = knownIdentities.get(peer);
  if (identity === undefined) {
    identity = `key:${base58.encode(publicKeyOfPeer(peer))}`;
    knownIdentities.set(peer, identity);
  }
  return identity;
}
