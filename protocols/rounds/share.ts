/**
 * A share of a deal. Every share is `expand(seed) XOR correction`; t of the n+1 points need no correction, because t free
 * values fix the polynomial. A correction is as long as the message, looks random to whoever lacks the seed, and is kept as a
 * file; forgetting the 32-byte seed destroys the share.
 */
import { digestOf } from "../crypto/digest.ts";

export const SEED_BYTES = 32;

export interface Share {
  /** 1..n for a provider, n+1 for the user. */
  readonly point: number;
  readonly seed: Uint8Array;
  /** The correction from this offset on; undefined when the share is the expanded seed alone. */
  readonly correction: ((offsetBytes: number) => AsyncIterable<Uint8Array>) | undefined;
}

/** What the manifest says about a share: a commitment to seed and correction. */
export function shareDigest(
  dealId: Uint8Array,
  point: number,
  seed: Uint8Array,
  correctionDigest: Uint8Array | undefined,
): Uint8Array {
  const parts = [dealId, Uint8Array.of(point), seed];
  return digestOf("intercloud/share/v1", ...parts, ...(correctionDigest === undefined ? [] : [correctionDigest]));
}
