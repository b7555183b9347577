/**
 * A share of a deal. Every share is `expand(seed) XOR correction`; t of the n+1 points need no correction, because t free
 * values fix the polynomial. A correction is as long as the message, looks random to whoever lacks the seed, and is kept as a
 * file; forgetting the 32-byte seed destroys the share.
 */
import { createBlockDigester } from "../crypto/block-digest.ts";
import { digestOf } from "../crypto/digest.ts";
import type { Keystream } from "../crypto/keystream.ts";
import { releasePassed, wipe } from "../crypto/release.ts";
import { zeros } from "./zeros.ts";

export const SEED_BYTES = 32;

export interface Share {
  /** 1..n for a provider, n+1 for the user. */
  readonly point: number;
  readonly seed: Uint8Array;
  /** The correction from this offset on; undefined when the share is the expanded seed alone. */
  readonly correction: ((offsetBytes: number) => AsyncIterable<Uint8Array>) | undefined;
}

/**
 * What the manifest says about a provider's share: a commitment to its bytes, whatever seed and correction they are kept as. So a
 * share that was lost and rebuilt from others (which know no seed of it) can be held against it too.
 */
export function shareDigest(dealId: Uint8Array, point: number, contentDigest: Uint8Array): Uint8Array {
  return digestOf("intercloud/share/v1", dealId, Uint8Array.of(point), contentDigest);
}

/** What the manifest says about the user's share, which is always a seed and rebuilt by nobody. */
export function userShareDigest(dealId: Uint8Array, point: number, seed: Uint8Array): Uint8Array {
  return digestOf("intercloud/user-share/v1", dealId, Uint8Array.of(point), seed);
}

/** The bytes of a share, in steps; they belong to the caller, who wipes them. Others get their turn in between. */
export async function* shareBytes(
  { seed, correction }: Share,
  lengthBytes: number,
  keystream: Keystream,
): AsyncIterable<Uint8Array> {
  const expanded = keystream(seed, 0);
  let sinceBreakBytes = 0;
  for await (const piece of correction?.(0) ?? zeros(lengthBytes)) {
    yield expanded.xor(piece);
    sinceBreakBytes += piece.length;
    releasePassed(piece);
    if (sinceBreakBytes < BREAK_BYTES) continue;
    sinceBreakBytes = 0;
    await new Promise<void>((resume) => setImmediate(resume));
  }
}

/** About a millisecond of work. */
const BREAK_BYTES = 1024 * 1024;

export async function shareBlockDigests(share: Share, lengthBytes: number, keystream: Keystream): Promise<Uint8Array> {
  const digester = createBlockDigester();
  for await (const bytes of shareBytes(share, lengthBytes, keystream)) {
    digester.add(bytes);
    wipe(bytes);
  }
  return digester.blockDigests();
}
