/**
 * Gives the memory of bytes that nobody needs any more back at once. The garbage collector sees the small objects that stand
 * for buffers and hardly the buffers, so what passes at hundreds of megabytes a second piles up until it does.
 */

/** Less is not worth the call. Node's own pool of small buffers hands out parts of this size and smaller. */
const WORTHWHILE_BYTES = 16 * 1024;

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

const passing = new WeakSet<ArrayBufferLike>();

/**
 * Says that the memory of these bytes holds nothing else that anybody needs, and that whoever takes them, or parts of them in
 * their order, is done with what comes first when it is done with what comes last. Then `releasePassed` may give it back.
 * @param spentBytes what may lie in front of the bytes in their memory: it has been read already.
 */
export function markPassing(bytes: Uint8Array, spentBytes = 0): Uint8Array {
  const { buffer, byteOffset, byteLength } = bytes;
  const fillsBuffer = byteOffset <= spentBytes && byteOffset + byteLength === buffer.byteLength;
  if (fillsBuffer && byteLength >= WORTHWHILE_BYTES) passing.add(buffer);
  return bytes;
}

/** To be called with each piece in its order. Does nothing until the last one, and for memory that was never marked. */
export function releasePassed({ buffer, byteOffset, byteLength }: Uint8Array): void {
  if (byteOffset + byteLength !== buffer.byteLength || !passing.has(buffer)) return;
  if (buffer instanceof ArrayBuffer) buffer.transfer(0);
}
