import { bodyDigest } from "../../crypto/block-digest.ts";
import { DIGEST_BYTES } from "../../crypto/digest.ts";
import type { DealLot } from "../../dealing/lot/deal-lot.ts";
import { byTurns } from "../../wire/by-turns.ts";

/** `bodyDigest` of what belongs to each deposit, one after another. */
export async function sliceDigests(bytes: Uint8Array, { lengths, offsets }: DealLot): Promise<Uint8Array> {
  const digests = new Uint8Array(lengths.length * DIGEST_BYTES);
  await byTurns(lengths.length, (index) => {
    const start = offsets[index]!;
    digests.set(bodyDigest(bytes.subarray(start, start + lengths[index]!)), index * DIGEST_BYTES);
  });
  return digests;
}
