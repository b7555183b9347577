/**
 * What is layered in place of a message m of B blocks:
 *
 *   layered ::= <r: 32 random bytes> <block digest: 32>*B <m>
 *   block digest_i = SHA-256(domain, r, i, block_i)        message digest = SHA-256(domain, r, lengthBytes, block digests)
 *
 * The token holds the message digest. r keeps anybody who sees the token from guessing a short message, and the block
 * digests let a reader check and release a stream block by block. They are layered too, so nobody else sees them.
 */
import { createHash } from "node:crypto";
import { DIGEST_BYTES, digestOf, equalBytes } from "../crypto/digest.ts";
import { IntercloudError } from "../wire/errors.ts";
import { MESSAGE_BLOCK_BYTES } from "./constants.ts";

export const MESSAGE_SALT_BYTES = 32;

export function blockCount(messageBytes: number): number {
  return Math.ceil(messageBytes / MESSAGE_BLOCK_BYTES);
}

/** Length of salt and block digests, which come before the message. */
export function headerBytes(messageBytes: number): number {
  return MESSAGE_SALT_BYTES + DIGEST_BYTES * blockCount(messageBytes);
}

export function layeredBytes(messageBytes: number): number {
  return headerBytes(messageBytes) + messageBytes;
}

export function messageDigest(salt: Uint8Array, messageBytes: number, blockDigests: Uint8Array): Uint8Array {
  return digestOf("intercloud/message/v1", salt, uint64(messageBytes), blockDigests);
}

/** Cuts a stream into blocks and gives each block's digest as it ends. `length` must be the length of the whole message. */
export interface BlockHasher {
  /** How many bytes the block that is open still takes; 0 when the message is over. */
  wantedBytes(): number;
  /** At most `wantedBytes()` bytes. Returns the block's digest when the block is full, else undefined. */
  add(bytes: Uint8Array): Uint8Array | undefined;
  /** Number of blocks that are full. */
  index(): number;
}

export function blockHasher(salt: Uint8Array, messageBytes: number, startBlock = 0): BlockHasher {
  let index = startBlock;
  let filledBytes = 0;
  let hash = openBlock(salt, index);
  // after a last block that is not full, the next one would begin behind the end of the message
  const leftBytes = () => Math.max(0, messageBytes - index * MESSAGE_BLOCK_BYTES);
  const wantedBytes = () => Math.min(MESSAGE_BLOCK_BYTES, leftBytes()) - filledBytes;
  return {
    wantedBytes,
    index: () => index,
    add(bytes) {
      hash.update(bytes);
      filledBytes += bytes.length;
      if (wantedBytes() > 0) return undefined;
      const digest = new Uint8Array(hash.digest());
      index += 1;
      filledBytes = 0;
      hash = openBlock(salt, index);
      return digest;
    },
  };
}

/** The block digests of a whole message, concatenated. @throws IntercloudError SOURCE_LENGTH when it has another length. */
export async function hashBlocks(
  salt: Uint8Array,
  messageBytes: number,
  source: AsyncIterable<Uint8Array>,
): Promise<Uint8Array> {
  const digests = new Uint8Array(DIGEST_BYTES * blockCount(messageBytes));
  for await (const block of digestedBlocks(salt, messageBytes, source)) {
    digests.set(block.digest, DIGEST_BYTES * block.index);
  }
  return digests;
}

/** The layered message. @throws IntercloudError SOURCE_CHANGED when the source is not what `blockDigests` were made of. */
export async function* layeredMessage(
  salt: Uint8Array,
  messageBytes: number,
  blockDigests: Uint8Array,
  source: AsyncIterable<Uint8Array>,
): AsyncIterable<Uint8Array> {
  yield Buffer.concat([salt, blockDigests]);
  for await (const block of digestedBlocks(salt, messageBytes, source)) {
    const expected = blockDigests.subarray(DIGEST_BYTES * block.index, DIGEST_BYTES * (block.index + 1));
    if (!equalBytes(block.digest, expected)) {
      throw new IntercloudError(
        "SOURCE_CHANGED",
        "cancelled",
        "the message changed while it was being deposited; nothing was kept, deposit it again",
      );
    }
    yield* block.pieces;
  }
}

interface DigestedBlock {
  readonly index: number;
  readonly digest: Uint8Array;
  /** The block's bytes, as they came. */
  readonly pieces: readonly Uint8Array[];
}

/** Blocks of `source` with their digests; `source` must be exactly `messageBytes` long. */
async function* digestedBlocks(
  salt: Uint8Array,
  messageBytes: number,
  source: AsyncIterable<Uint8Array>,
): AsyncIterable<DigestedBlock> {
  const hasher = blockHasher(salt, messageBytes);
  let pieces: Uint8Array[] = [];
  for await (const chunk of source) {
    for (let start = 0; start < chunk.length; ) {
      const wanted = hasher.wantedBytes();
      if (wanted === 0) throw wrongLength(messageBytes);
      const piece = chunk.subarray(start, start + wanted);
      start += piece.length;
      const index = hasher.index();
      pieces.push(piece);
      const digest = hasher.add(piece);
      if (digest === undefined) continue;
      yield { index, digest, pieces };
      pieces = [];
    }
  }
  if (hasher.wantedBytes() > 0) throw wrongLength(messageBytes);
}

function wrongLength(messageBytes: number): IntercloudError {
  return new IntercloudError(
    "SOURCE_LENGTH",
    "cancelled",
    `the message is not ${messageBytes} bytes long, as was said at the start; nothing was kept`,
  );
}

function openBlock(salt: Uint8Array, index: number) {
  return createHash("sha256").update("intercloud/block/v1\0").update(salt).update(uint64(index));
}

function uint64(value: number): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}
