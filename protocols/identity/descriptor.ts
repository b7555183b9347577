/**
 * A peer's own statement of who it is: its name in the federation, the key that others agree on masks with, where it
 * listens and what it is willing to do. Signed by the peer's key, which its peer name contains.
 */
import * as v from "valibot";
import { AGREEMENT_KEY_BYTES } from "../crypto/key-agreement.ts";
import { peerNameOf, publicKeyOfPeer } from "../crypto/peer-name.ts";
import { SIGNATURE_BYTES, type Signer, verifySignature } from "../crypto/signing.ts";
import { encodeCanonical } from "../wire/codec.ts";
import { IntercloudError } from "../wire/errors.ts";
import { fixedBytes, parseShape, timeMs } from "../wire/shape.ts";
import type { PeerName } from "../wire/transport.ts";

const DESCRIPTOR_DOMAIN = "intercloud/descriptor/v1";

/** A machine has a handful of addresses; a client tries them all. */
const MAX_ADDRESSES = 16;
const MAX_ADDRESS_LENGTH = 256;
const MAX_DUTIES = 16;

export type PeerKind = "provider" | "dealer";

export interface PeerDescriptor {
  readonly version: 1;
  /** Unique in its federation, such as `provider-1`. */
  readonly name: string;
  readonly peer: PeerName;
  readonly kind: PeerKind;
  /** X25519, 32 bytes. */
  readonly agreementKey: Uint8Array;
  /** Multiaddrs. */
  readonly addresses: readonly string[];
  readonly duties: readonly string[];
  readonly issuedAtMs: number;
}

export interface SignedDescriptor extends PeerDescriptor {
  readonly signature: Uint8Array;
}

/** Names appear in file names, commands and logs. */
export const namePattern = /^[a-z0-9][a-z0-9-]{0,62}$/;

export const signedDescriptorShape = v.strictObject({
  version: v.literal(1),
  name: v.pipe(v.string(), v.regex(namePattern)),
  peer: v.pipe(v.string(), v.check(isPeerName, "not the name of an Ed25519 peer")),
  kind: v.picklist(["provider", "dealer"]),
  agreementKey: fixedBytes(AGREEMENT_KEY_BYTES),
  addresses: v.pipe(
    v.array(v.pipe(v.string(), v.regex(/^\/[\x21-\x7e]+$/), v.maxLength(MAX_ADDRESS_LENGTH))),
    v.maxLength(MAX_ADDRESSES),
  ),
  duties: v.pipe(v.array(v.pipe(v.string(), v.regex(namePattern))), v.maxLength(MAX_DUTIES)),
  issuedAtMs: timeMs,
  signature: fixedBytes(SIGNATURE_BYTES),
});

/** The descriptor of the peer whose key `signer` is. */
export function signDescriptor(fields: Omit<PeerDescriptor, "version" | "peer">, signer: Signer): SignedDescriptor {
  const descriptor = signedFields({ ...fields, version: 1, peer: peerNameOf(signer.publicKey) });
  return { ...descriptor, signature: signer.sign(DESCRIPTOR_DOMAIN, descriptorBytes(descriptor)) };
}

/** @throws IntercloudError BAD_MESSAGE (the shape), DESCRIPTOR_BAD_SIGNATURE. */
export function checkDescriptor(value: unknown): SignedDescriptor {
  const descriptor = parseShape(signedDescriptorShape, value, "peer descriptor");
  if (!isDescriptorSigned(descriptor)) {
    throw new IntercloudError(
      "DESCRIPTOR_BAD_SIGNATURE",
      "integrity",
      `the descriptor "${descriptor.name}" is not signed by the peer that it names; do not use it`,
      { peers: [descriptor.peer] },
    );
  }
  return descriptor;
}

export function isDescriptorSigned(descriptor: SignedDescriptor): boolean {
  const publicKey = publicKeyOfPeer(descriptor.peer);
  return verifySignature(publicKey, DESCRIPTOR_DOMAIN, descriptorBytes(descriptor), descriptor.signature);
}

/** What is signed: deterministic CBOR of all fields but the signature. */
export function descriptorBytes(descriptor: PeerDescriptor): Uint8Array {
  return encodeCanonical({ ...signedFields(descriptor) });
}

/** Named one by one: an object with more fields, such as a signature, must not be signed with them. */
function signedFields(descriptor: PeerDescriptor): PeerDescriptor {
  const { version, name, peer, kind, agreementKey, addresses, duties, issuedAtMs } = descriptor;
  return { version, name, peer, kind, agreementKey, addresses, duties, issuedAtMs };
}

function isPeerName(text: string): boolean {
  try {
    publicKeyOfPeer(text);
    return true;
  } catch {
    return false;
  }
}
