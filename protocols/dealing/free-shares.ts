/**
 * Digests of free shares that are made ahead. A free share is nothing but its seed, so a provider gets nothing long to hash while a
 * deal is made; it hashes meanwhile what it will have to answer for when the deal is delivered.
 */
import { digestOfBlocks } from "../crypto/block-digest.ts";
import { equalBytes } from "../crypto/digest.ts";
import type { Keystream } from "../crypto/keystream.ts";
import { type Share, shareBlockDigests } from "../rounds/share.ts";
import { MAX_FREE_SHARES_AHEAD } from "./constants.ts";

export interface FreeShares {
  /**
   * Begins to hash. When there are many the oldest is forgotten: a delivery can do without.
   * @returns when it ended, well or not
   */
  begin(key: string, share: Share, lengthBytes: number): Promise<void>;
  /** Whether this very share is being hashed, or has been. */
  has(key: string, share: Share, lengthBytes: number): boolean;
  /** The digest of the share, from what was begun if it was this share. Forgets it. */
  digestOf(key: string, share: Share, lengthBytes: number): Promise<Uint8Array>;
  forget(key: string): void;
}

interface Begun {
  readonly seed: Uint8Array;
  readonly lengthBytes: number;
  readonly digest: Promise<Uint8Array>;
}

export function createFreeShares(keystream: Keystream): FreeShares {
  const begun = new Map<string, Begun>();
  const hash = async (share: Share, lengthBytes: number) =>
    digestOfBlocks(await shareBlockDigests(share, lengthBytes, keystream));
  const find = (key: string, share: Share, lengthBytes: number) => {
    const found = begun.get(key);
    const same = found !== undefined && found.lengthBytes === lengthBytes && equalBytes(found.seed, share.seed);
    return same ? found : undefined;
  };
  const forget = (key: string) => {
    begun.get(key)?.seed.fill(0);
    begun.delete(key);
  };
  return {
    begin(key, share, lengthBytes) {
      forget(key);
      if (begun.size >= MAX_FREE_SHARES_AHEAD) forget(begun.keys().next().value as string);
      const digest = hash(share, lengthBytes);
      begun.set(key, { seed: new Uint8Array(share.seed), lengthBytes, digest });
      const ended = () => {}; // a failure is told when the digest is asked for
      return digest.then(ended, ended);
    },
    has: (key, share, lengthBytes) => find(key, share, lengthBytes) !== undefined,
    async digestOf(key, share, lengthBytes) {
      try {
        return await (find(key, share, lengthBytes)?.digest ?? hash(share, lengthBytes));
      } finally {
        forget(key);
      }
    },
    forget,
  };
}
