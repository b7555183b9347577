/** The digests of all providers' shares of one deal, taken while the deal is made. */
import { type BlockDigester, createBlockDigester, digestOfBlocks } from "../crypto/block-digest.ts";

export interface ShareDigests {
  readonly add: (point: number, chunk: Uint8Array) => void;
  /** `digestOfBlocks` of the share at this point. To be asked for when all of it was added. */
  digestOf(point: number): Uint8Array;
}

export function createShareDigests(providers: number): ShareDigests {
  const digesters: BlockDigester[] = Array.from({ length: providers }, createBlockDigester);
  const digests = new Map<number, Uint8Array>();
  return {
    add: (point, chunk) => digesters[point - 1]?.add(chunk),
    digestOf(point) {
      const known = digests.get(point);
      if (known !== undefined) return known;
      const digest = digestOfBlocks((digesters[point - 1] as BlockDigester).blockDigests());
      digests.set(point, digest);
      return digest;
    },
  };
}
