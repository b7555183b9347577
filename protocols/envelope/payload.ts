/**
 * The payload of an age file (C2SP age.md, "Payload"; the STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizár):
 *
 *   payload ::= <nonce: 16> chunk* <last chunk>
 *   chunk   ::= ChaCha20-Poly1305 of 64 KiB, under HKDF-SHA256(file key, nonce, "payload"), nonce = <index: 11> <is last: 1>
 *
 * So a chunk that is changed, moved, left out or put in, and an end that is cut off or put on, do not authenticate.
 */
import { deriveKey } from "../crypto/key-agreement.ts";
import { IntercloudError } from "../wire/errors.ts";
import { AEAD_NONCE_BYTES, seal, unseal } from "./aead.ts";
import { chunksOf } from "./chunks.ts";
import { CHUNK_BYTES, TAG_BYTES } from "./constants.ts";

export const SEALED_CHUNK_BYTES = CHUNK_BYTES + TAG_BYTES;

/** What seals and opens the chunks of one file. */
export function payloadKey(fileKey: Uint8Array, nonce: Uint8Array): Uint8Array {
  return deriveKey(fileKey, nonce, "payload");
}

/** The chunks of `message`, which may be empty. Wipes the key at its end. */
export async function* sealPayload(key: Uint8Array, message: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  const nonce = Buffer.alloc(AEAD_NONCE_BYTES);
  try {
    for await (const chunk of chunksOf(message, CHUNK_BYTES))
      yield seal(key, nonceOf(nonce, chunk.index, chunk.isLast), chunk.bytes);
  } finally {
    key.fill(0);
  }
}

/** Wipes the key at its end. @throws IntercloudError FILE_DAMAGED; what was yielded before is the right beginning. */
export async function* openPayload(key: Uint8Array, payload: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  try {
    for await (const { bytes } of openChunks(key, payload, 0)) if (bytes.length > 0) yield bytes;
  } finally {
    key.fill(0);
  }
}

export interface OpenedChunk {
  /** What is in it. */
  readonly bytes: Uint8Array;
  /** As it came. Gone when the next chunk is asked for. */
  readonly sealed: Uint8Array;
  readonly isLast: boolean;
}

/** From the chunk `firstIndex` on, with which `payload` begins. @throws IntercloudError FILE_DAMAGED. */
export async function* openChunks(
  key: Uint8Array,
  payload: AsyncIterable<Uint8Array>,
  firstIndex: number,
): AsyncIterable<OpenedChunk> {
  const nonce = Buffer.alloc(AEAD_NONCE_BYTES);
  for await (const { bytes: sealed, isLast, index: passed } of chunksOf(payload, SEALED_CHUNK_BYTES)) {
    const index = firstIndex + passed;
    const bytes = unseal(key, nonceOf(nonce, index, isLast), sealed);
    if (bytes === undefined && sealed.length === SEALED_CHUNK_BYTES) {
      // Right bytes in their right place, of which only the end is wrong: the reference implementation releases them, too.
      const atWrongEnd = unseal(key, nonceOf(nonce, index, !isLast), sealed);
      if (atWrongEnd !== undefined) {
        yield { bytes: atWrongEnd, sealed, isLast: false };
        throw damaged(index + 1, isLast ? "its end is missing" : "something was put behind its end");
      }
    }
    // An empty chunk after others would be a second form of the same message.
    if (bytes === undefined || (bytes.length === 0 && index > 0)) {
      throw damaged(index, isLast ? "its end is missing or was changed" : "it was changed");
    }
    yield { bytes, sealed, isLast };
  }
}

/** Eleven bytes of index, big-endian (no index comes near 2^64), and whether it is the last chunk. */
function nonceOf(nonce: Buffer, index: number, isLast: boolean): Buffer {
  nonce.writeBigUInt64BE(BigInt(index), AEAD_NONCE_BYTES - 1 - 8);
  nonce[AEAD_NONCE_BYTES - 1] = isLast ? 1 : 0;
  return nonce;
}

/** @param rightChunks how many before it are right */
function damaged(rightChunks: number, what: string): IntercloudError {
  const offsetBytes = rightChunks * CHUNK_BYTES;
  const message = `this age file is damaged: after byte ${offsetBytes} of the message ${what}; get the file again from where you keep it`;
  return new IntercloudError("FILE_DAMAGED", "integrity", message, { offsetBytes });
}
