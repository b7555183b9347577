/** A whole deal made by hand, so that a test can hand any part of it to a provider, right or wrong. */
import { agreementKeyFromSeed } from "../../../protocols/crypto/key-agreement.ts";
import { aesKeystream } from "../../../protocols/crypto/keystream.ts";
import { peerNameOf } from "../../../protocols/crypto/peer-name.ts";
import { sealTo } from "../../../protocols/crypto/sealed-box.ts";
import { newSigner, type Signer } from "../../../protocols/crypto/signing.ts";
import { dealShares } from "../../../protocols/dealing/deal.ts";
import { type Manifest, signManifest } from "../../../protocols/dealing/manifest.ts";
import { sealedSeedContext } from "../../../protocols/dealing/messages.ts";
import { correctedPoints, isCorrected } from "../../../protocols/dealing/points.ts";
import { createShareDigests } from "../../../protocols/dealing/share-digests.ts";
import { scalarKernel } from "../../../protocols/field/index.ts";
import { shareDigest, userShareDigest } from "../../../protocols/rounds/share.ts";
import { seededEntropy } from "./seeded.ts";

export const THRESHOLD = 2;

export const START_MS = 1_700_000_000_000;
export const LIFETIME_MS = 3_600_000;

const entropy = seededEntropy("dealt");

export interface Party {
  readonly signer: Signer;
  readonly peer: string;
  readonly agreementKey: ReturnType<typeof agreementKeyFromSeed>;
}

export function newParty(): Party {
  const signer = newSigner(entropy);
  return { signer, peer: peerNameOf(signer.publicKey), agreementKey: agreementKeyFromSeed(entropy(32)) };
}

export interface Dealt {
  readonly dealId: Uint8Array;
  readonly manifest: Manifest;
  readonly signed: Uint8Array;
  readonly seeds: readonly Uint8Array[];
  correctionOf(point: number): Uint8Array | null;
  sealedSeedFor(provider: Party, point: number): Uint8Array;
}

export function dealByHand(
  dealer: Party,
  providers: readonly Party[],
  lengthBytes: number,
  change: Partial<Manifest> = {},
): Dealt {
  const options = { threshold: THRESHOLD, providers: providers.length, lengthBytes };
  const digests = createShareDigests(providers.length);
  const base = { entropy, keystream: aesKeystream, kernel: scalarKernel, onShare: digests.add };
  const deal = dealShares({ ...options, ...base });
  const dealId = change.dealId ?? entropy(16);
  const parts = new Map<number, Uint8Array[]>();
  for (let chunks = deal.step(); chunks !== undefined; chunks = deal.step()) {
    for (const [index, point] of correctedPoints(THRESHOLD, providers.length).entries()) {
      parts.set(point, [...(parts.get(point) ?? []), chunks[index] as Uint8Array]);
    }
  }
  const correctionOf = (point: number) => {
    const list = parts.get(point);
    return list === undefined ? null : new Uint8Array(Buffer.concat(list));
  };
  const shares = deal.seeds.map((seed, index) => {
    const point = index + 1;
    const provider = providers[index];
    return {
      point,
      peer: provider?.peer ?? "",
      digest:
        provider === undefined
          ? userShareDigest(dealId, point, seed)
          : shareDigest(dealId, point, digests.digestOf(point)),
      corrected: isCorrected(point, THRESHOLD, providers.length),
    };
  });
  const manifest: Manifest = {
    version: 1,
    dealId,
    dealer: dealer.peer,
    threshold: THRESHOLD,
    lengthBytes,
    pads: "derived",
    createdAtMs: START_MS,
    expiresAtMs: START_MS + LIFETIME_MS,
    shares,
    ...change,
  };
  return {
    dealId,
    manifest,
    signed: signManifest(manifest, dealer.signer),
    seeds: deal.seeds,
    correctionOf,
    sealedSeedFor: (provider, point) =>
      sealTo(
        provider.agreementKey.publicKey,
        sealedSeedContext(dealId, point),
        deal.seeds[point - 1] as Uint8Array,
        entropy,
      ),
  };
}
