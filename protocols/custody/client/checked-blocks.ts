/**
 * Checks a layered message block by block against the token, and releases only what is right. It remembers how far it has
 * come, so that another round can go on from there.
 */
import { DIGEST_BYTES, equalBytes } from "../../crypto/digest.ts";
import { exactReader } from "../../rounds/exact-reader.ts";
import { MESSAGE_BLOCK_BYTES } from "../../tokens/constants.ts";
import { blockCount, blockHasher, headerBytes, MESSAGE_SALT_BYTES, messageDigest } from "../../tokens/message.ts";
import type { Token } from "../../tokens/token.ts";
import { IntercloudError } from "../../wire/errors.ts";

/** What came back is not what was deposited. Nothing of it was released. */
export class WrongBytes extends IntercloudError {
  override readonly name = "WrongBytes";

  constructor() {
    super("WRONG_BYTES", "integrity", "what the providers sent does not add up to what was deposited");
  }
}

export interface CheckedMessage {
  /** Where in the layered message the next round should start. */
  offsetBytes(): number;
  isComplete(): boolean;
  /**
   * The blocks in `layered`, which starts at `offsetBytes()`, as pieces. @throws WrongBytes before anything wrong is released.
   */
  blocks(layered: AsyncIterable<Uint8Array>): AsyncIterable<readonly Uint8Array[]>;
}

export function checkedMessage(token: Token): CheckedMessage {
  const { lengthBytes } = token;
  const blocksTotal = blockCount(lengthBytes);
  let header: { readonly salt: Uint8Array; readonly blockDigests: Uint8Array } | undefined;
  let nextBlock = 0;

  return {
    isComplete: () => nextBlock === blocksTotal,
    offsetBytes: () => (header === undefined ? 0 : headerBytes(lengthBytes) + nextBlock * MESSAGE_BLOCK_BYTES),
    async *blocks(layered) {
      const reader = exactReader(layered);
      try {
        if (header === undefined) {
          const salt = await reader.read(MESSAGE_SALT_BYTES);
          const blockDigests = await reader.read(DIGEST_BYTES * blocksTotal);
          if (!equalBytes(messageDigest(salt, lengthBytes, blockDigests), token.digest)) throw new WrongBytes();
          header = { salt: new Uint8Array(salt), blockDigests: new Uint8Array(blockDigests) };
        }
        const hasher = blockHasher(header.salt, lengthBytes, nextBlock);
        while (nextBlock < blocksTotal) {
          const pieces: Uint8Array[] = [];
          let digest: Uint8Array | undefined;
          while (digest === undefined) {
            const piece = await reader.readSome(hasher.wantedBytes());
            pieces.push(piece);
            digest = hasher.add(piece);
          }
          const start = DIGEST_BYTES * nextBlock;
          if (!equalBytes(digest, header.blockDigests.subarray(start, start + DIGEST_BYTES))) throw new WrongBytes();
          nextBlock += 1;
          yield pieces;
        }
        await reader.end();
      } finally {
        await reader.close();
      }
    },
  };
}
