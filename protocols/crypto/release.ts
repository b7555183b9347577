/**
 * Gives the memory of bytes that nobody needs any more back at once. The garbage collector sees the small objects that stand
 * for buffers and hardly the buffers, so what passes at hundreds of megabytes a second piles up until it does.
 */

/** The bytes are gone afterwards. Does nothing when their memory is shared with other bytes. */
export function release(bytes: Uint8Array): void {
  const { buffer } = bytes;
  if (buffer instanceof ArrayBuffer && buffer.byteLength === bytes.byteLength) buffer.transfer(0);
}

/** Overwrites a secret, then releases it. */
export function wipe(bytes: Uint8Array): void {
  bytes.fill(0);
  release(bytes);
}
