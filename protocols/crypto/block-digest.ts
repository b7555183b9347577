/**
 * A digest of many bytes that can be shown for a part of them: SHA-256 over the SHA-256 of each block of 1 MiB. Whoever has the
 * list of the blocks' digests can check one block without the others.
 */
import { createHash } from "node:crypto";
import { DIGEST_BYTES, digestOf, sha256 } from "./digest.ts";

/** Small enough to be held in memory by several processes, large enough that the list stays short (512 KiB for 16 GiB). */
export const DIGEST_BLOCK_BYTES = 1024 * 1024;

export interface BlockDigester {
  add(bytes: Uint8Array): void;
  /** The digests of all blocks, one after another; ends the last block. Nothing may be added afterwards. */
  blockDigests(): Uint8Array;
}

export function createBlockDigester(): BlockDigester {
  const digests: Uint8Array[] = [];
  let hash = createHash("sha256");
  let filledBytes = 0;
  const endBlock = () => {
    digests.push(hash.digest());
    hash = createHash("sha256");
    filledBytes = 0;
  };
  return {
    add(bytes) {
      for (let start = 0; start < bytes.length; ) {
        const piece = bytes.subarray(start, start + DIGEST_BLOCK_BYTES - filledBytes);
        hash.update(piece);
        start += piece.length;
        filledBytes += piece.length;
        if (filledBytes === DIGEST_BLOCK_BYTES) endBlock();
      }
    },
    blockDigests() {
      if (filledBytes > 0) endBlock();
      return new Uint8Array(Buffer.concat(digests));
    },
  };
}

/** The digest of all bytes, from the list of their blocks' digests. */
export function digestOfBlocks(blockDigests: Uint8Array): Uint8Array {
  return digestOf("intercloud/blocks/v1", blockDigests);
}

/** The list for bytes that are all at hand. */
export function blockDigestsOf(bytes: Uint8Array): Uint8Array {
  const digester = createBlockDigester();
  digester.add(bytes);
  return digester.blockDigests();
}

/** The digest of bytes that are all at hand. */
export function bodyDigest(bytes: Uint8Array): Uint8Array {
  if (bytes.length > 0 && bytes.length <= DIGEST_BLOCK_BYTES) return digestOfBlocks(sha256(bytes));
  return digestOfBlocks(blockDigestsOf(bytes));
}

/** A transform that passes bytes on and takes their digest on the way. */
export interface DigestTap {
  through(source: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array>;
  /** Of everything that passed; once, at the end. */
  digest(): Uint8Array;
}

export function digestTap(): DigestTap {
  const digester = createBlockDigester();
  return {
    async *through(source) {
      for await (const chunk of source) {
        digester.add(chunk);
        yield chunk;
      }
    },
    digest: () => digestOfBlocks(digester.blockDigests()),
  };
}

/** How many bytes the list of digests takes. */
export function blockDigestsBytes(lengthBytes: number): number {
  return DIGEST_BYTES * Math.ceil(lengthBytes / DIGEST_BLOCK_BYTES);
}
