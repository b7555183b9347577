/**
 * Pseudorandom streams that can be read from any offset: AES-256 in counter mode (NIST SP 800-38A) from block 0.
 * A key is used for one stream only, so the counter can start at zero.
 */
import { createCipheriv } from "node:crypto";

export const KEYSTREAM_KEY_BYTES = 32;
const BLOCK_BYTES = 16;

export interface KeystreamReader {
  /** `bytes` XOR the next `bytes.length` bytes of the stream. Returns new bytes; `bytes` stays as it was. */
  xor(bytes: Uint8Array): Uint8Array;
}

/** Passed in wherever a stream is expanded, so that the secrecy audit can put unit vectors in its place. */
export type Keystream = (key: Uint8Array, offsetBytes: number) => KeystreamReader;

export const aesKeystream: Keystream = (key, offsetBytes) => {
  const counter = Buffer.alloc(BLOCK_BYTES);
  counter.writeBigUInt64BE(BigInt(Math.floor(offsetBytes / BLOCK_BYTES)), BLOCK_BYTES - 8);
  const cipher = createCipheriv("aes-256-ctr", key, counter);
  const skipBytes = offsetBytes % BLOCK_BYTES;
  if (skipBytes > 0) cipher.update(new Uint8Array(skipBytes));
  return { xor: (bytes) => cipher.update(bytes) };
};
