/**
 * Linear fingerprints over GF(2^8): short values of long bodies of one length, by which sums and polynomials of the bodies can be checked
 * without them. The fingerprint of a sum is the sum of the fingerprints, and that of a multiple the multiple; two bodies that were there
 * before anybody knew the challenge have the same one by chance once in 2^64 times (a random linear map, as in Freivalds' check of products).
 *
 * A body is cut into blocks, and a fingerprint is `FOLDS` sums of all blocks, each with random coefficients of its own from the challenge.
 */
import { aesKeystream, KEYSTREAM_KEY_BYTES } from "../crypto/keystream.ts";
import type { FieldKernel } from "../field/index.ts";

export const CHALLENGE_BYTES = KEYSTREAM_KEY_BYTES;

/** A wrong byte stays in none of the sums with a chance of 2^-8 each: who lies is found out once at most, and named. */
const FOLDS = 8;

/** Blocks of this many bytes, the smallest that makes few enough of them; a fingerprint should not be longer than what it stands for. */
const BLOCK_BYTES: readonly number[] = [16, 256, 4096];
const MAX_SMALL_BLOCKS = 256;

/** Blocks that the kernel adds up in one call. */
const BATCH_BLOCKS = 16;

export function fingerprintBytes(lengthBytes: number): number {
  return FOLDS * blockBytesFor(lengthBytes);
}

export const MAX_FINGERPRINT_BYTES = FOLDS * BLOCK_BYTES.at(-1)!;

export interface Fingerprinter {
  /** The next bytes of the body. */
  add(bytes: Uint8Array): void;
  /** Of all that was added; once, at the end. What was added is wiped. */
  fingerprint(): Uint8Array;
}

/** @param lengthBytes of the whole body @param challenge 32 random bytes that nobody who made the body knew */
export function createFingerprinter(challenge: Uint8Array, lengthBytes: number, kernel: FieldKernel): Fingerprinter {
  const blockBytes = blockBytesFor(lengthBytes);
  // Public by now or soon: not a stream of the round's, so not a keystream that is passed in.
  const random = aesKeystream(challenge, 0);
  const folds = Array.from({ length: FOLDS }, () => new Uint8Array(blockBytes));
  const sums = folds.map(() => new Uint8Array(blockBytes));
  const batch = new Uint8Array(BATCH_BLOCKS * blockBytes);
  let filledBytes = 0;

  const fold = () => {
    const blocks = Math.ceil(filledBytes / blockBytes);
    if (blocks === 0) return;
    batch.fill(0, filledBytes);
    const sources = Array.from({ length: blocks }, (_, i) => batch.subarray(i * blockBytes, (i + 1) * blockBytes));
    const scalars = random.xor(new Uint8Array(FOLDS * blocks));
    const rows = folds.map((_, k) => Array.from(scalars.subarray(k * blocks, (k + 1) * blocks)));
    kernel.combineInto(sums, sources, rows);
    for (const [k, sum] of sums.entries()) kernel.addScaled(folds[k]!, sum, 1);
    filledBytes = 0;
  };

  return {
    add(bytes) {
      for (let start = 0; start < bytes.length; ) {
        const piece = bytes.subarray(start, start + batch.length - filledBytes);
        batch.set(piece, filledBytes);
        filledBytes += piece.length;
        start += piece.length;
        if (filledBytes === batch.length) fold();
      }
    },
    fingerprint() {
      fold();
      batch.fill(0);
      for (const sum of sums) sum.fill(0);
      return new Uint8Array(Buffer.concat(folds));
    },
  };
}

/** Of a body that is all at hand. */
export function fingerprintOf(bytes: Uint8Array, challenge: Uint8Array, kernel: FieldKernel): Uint8Array {
  const fingerprinter = createFingerprinter(challenge, bytes.length, kernel);
  fingerprinter.add(bytes);
  return fingerprinter.fingerprint();
}

function blockBytesFor(lengthBytes: number): number {
  return BLOCK_BYTES.find((blockBytes) => lengthBytes <= MAX_SMALL_BLOCKS * blockBytes) ?? BLOCK_BYTES.at(-1)!;
}
