/**
 * Masks: for each provider of a round, it and the user derive the same key from X25519 and the descriptor; both XOR the
 * expanded stream in, so it cancels. What passes between two providers, or reaches a peer that collects the parts, is then a
 * layer under a mask and says nothing but the sum over all of them.
 */
import { digestOf } from "../crypto/digest.ts";
import { type AgreementKey, deriveKey } from "../crypto/key-agreement.ts";
import type { PeerName } from "../wire/transport.ts";
import type { RoundMember } from "./descriptor.ts";

/**
 * @param own our key: the provider's long-lived one, or the user's ephemeral one
 * @param other the other side's public key
 * @param provider the provider of the pair, whichever side we are
 */
export function maskKey(
  own: AgreementKey,
  other: Uint8Array,
  provider: RoundMember,
  descriptorHash: Uint8Array,
): Uint8Array {
  const secret = own.agree(other);
  const key = deriveKey(secret, descriptorHash, `intercloud/mask/v1 ${provider.point} ${provider.peer}`);
  secret.fill(0);
  return key;
}

/**
 * A key that a provider and the user have in common beside that of the mask: for what the provider reports to the user alone.
 * Parameters as for `maskKey`.
 */
export function reportKey(
  own: AgreementKey,
  other: Uint8Array,
  provider: RoundMember,
  descriptorHash: Uint8Array,
): Uint8Array {
  const { mask, report } = roundKeys(own, other, provider, descriptorHash);
  mask.fill(0);
  return report;
}

/** Both, from one agreement. */
export function roundKeys(
  own: AgreementKey,
  other: Uint8Array,
  provider: RoundMember,
  descriptorHash: Uint8Array,
): { readonly mask: Uint8Array; readonly report: Uint8Array } {
  const secret = own.agree(other);
  const derive = (use: "mask" | "report") =>
    deriveKey(secret, descriptorHash, `intercloud/${use}/v1 ${provider.point} ${provider.peer}`);
  const keys = { mask: derive("mask"), report: derive("report") };
  secret.fill(0);
  return keys;
}

/** What the fingerprints for one challenge are under; no two challenges have the same. */
export function fingerprintsMaskKey(key: Uint8Array, challenge: Uint8Array): Uint8Array {
  return digestOf("intercloud/fingerprints-mask/v1", key, challenge);
}

/** What a share that is handed to the user is under. */
export function shareMaskKey(key: Uint8Array): Uint8Array {
  return digestOf("intercloud/share-mask/v1", key);
}

/**
 * In a lot a provider and the user agree on one key, and each deposit's mask comes from it and from the hash of its own descriptor.
 * @param lotKey `maskKey` with the id of the lot in place of a descriptor's hash
 */
export function maskKeyInLot(lotKey: Uint8Array, descriptorHash: Uint8Array): Uint8Array {
  return digestOf("intercloud/lot-mask/v1", lotKey, descriptorHash);
}

/**
 * The key that two members of a round among providers have in common. Both names go into it in one order.
 * @param own our long-lived key
 * @param other the other member's public key
 */
export function pairMaskKey(
  own: AgreementKey,
  other: Uint8Array,
  peers: readonly [PeerName, PeerName],
  roundHash: Uint8Array,
): Uint8Array {
  const secret = own.agree(other);
  const key = deriveKey(secret, roundHash, `intercloud/pair-mask/v1 ${[...peers].sort().join(" ")}`);
  secret.fill(0);
  return key;
}
