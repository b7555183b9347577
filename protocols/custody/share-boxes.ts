/**
 * Protocol 1: shares that their providers sealed to the owner, kept with the deposit, so that its home alone is enough to read it. Only
 * shares that are seeds are sealed (t of the n+1, the owner's own among them): 80 bytes each, however long the message is.
 */
import * as v from "valibot";
import { digestOfBlocks } from "../crypto/block-digest.ts";
import { equalBytes } from "../crypto/digest.ts";
import type { Entropy } from "../crypto/entropy.ts";
import type { AgreementKey } from "../crypto/key-agreement.ts";
import type { Keystream } from "../crypto/keystream.ts";
import { openSealed, sealTo } from "../crypto/sealed-box.ts";
import type { Manifest } from "../dealing/manifest.ts";
import { freePoints, userPoint } from "../dealing/points.ts";
import { MAX_PROVIDERS } from "../rounds/constants.ts";
import { SEED_BYTES, shareBlockDigests, shareDigest, userShareDigest } from "../rounds/share.ts";
import type { Token } from "../tokens/token.ts";
import { IntercloudError } from "../wire/errors.ts";
import { boundedBytes } from "../wire/shape.ts";
import type { PeerName } from "../wire/transport.ts";
import type { Placement } from "./placement.ts";

/** An ephemeral key, a seed and a tag. */
export const MAX_BOX_BYTES = 96;
export const boxShape = boundedBytes(MAX_BOX_BYTES);
/** In the order of `boxedPoints`. */
export const boxesShape = v.pipe(v.array(boxShape), v.maxLength(MAX_PROVIDERS));

/** A share that is nothing but its seed. */
export interface SeedShare {
  readonly point: number;
  readonly seed: Uint8Array;
}

/** The providers' points in ascending order, then the owner's. */
export function boxedPoints({ threshold, shares }: Manifest): readonly number[] {
  return freePoints(threshold, shares.length - 1).sort((a, b) => a - b);
}

/** @param userKey of the token */
export function sealShare(
  userKey: Uint8Array,
  { dealId }: Pick<Manifest, "dealId">,
  { point, seed }: SeedShare,
  entropy: Entropy,
): Uint8Array {
  return sealTo(userKey, contextOf(dealId, point), seed, entropy);
}

/** One box for each point, or none at all. @throws IntercloudError TERMS_DISAGREE. */
export function requireBoxes({ protocol }: Token, manifest: Manifest, boxes: readonly Uint8Array[]): void {
  if (boxes.length === (protocol === 1 ? boxedPoints(manifest).length : 0)) return;
  const message = "a deposit of Protocol 1 has a sealed share for each point that is a seed, and no other has any";
  throw new IntercloudError("TERMS_DISAGREE", "bad-request", message);
}

/** @throws IntercloudError WRONG_BOX that names the provider when it does not open, or is not the owner's. */
export function openBox(key: AgreementKey, { manifest, roster }: Placement, point: number, box: Uint8Array): SeedShare {
  const peer = roster[point - 1];
  try {
    const seed = openSealed(key, contextOf(manifest.dealId, point), box);
    if (seed.length === SEED_BYTES) return { point, seed };
  } catch (cause) {
    throw wrongBox(peer, cause);
  }
  throw wrongBox(peer);
}

/** Holds an opened share against what the dealer signed. Expands it, so it takes as long as the message. @throws IntercloudError WRONG_BOX. */
export async function requireDealt(
  { manifest, roster }: Placement,
  { point, seed }: SeedShare,
  keystream: Keystream,
): Promise<void> {
  const { dealId, lengthBytes, shares } = manifest;
  const content = () => shareBlockDigests({ point, seed, correction: undefined }, lengthBytes, keystream);
  const digest =
    point === userPoint(roster.length)
      ? userShareDigest(dealId, point, seed)
      : shareDigest(dealId, point, digestOfBlocks(await content()));
  const entry = shares[point - 1];
  if (entry !== undefined && equalBytes(digest, entry.digest)) return;
  throw wrongBox(roster[point - 1]);
}

function contextOf(dealId: Uint8Array, point: number): string {
  return `share ${Buffer.from(dealId).toString("hex")} ${point}`;
}

function wrongBox(peer: PeerName | undefined, cause?: unknown): IntercloudError {
  const message = "a provider sealed something else to us than its share";
  return new IntercloudError("WRONG_BOX", "integrity", message, { peers: peer === undefined ? [] : [peer] }, cause);
}
