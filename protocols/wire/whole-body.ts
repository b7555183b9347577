/** Bodies that are all in memory. */
import type { Channel } from "./transport.ts";

const PIECE_BYTES = 64 * 1024;

/** Copies, because the chunks that a channel is given are its own from then on. Others get their turn in between. */
export async function* piecesOf(...parts: readonly Uint8Array[]): AsyncIterable<Uint8Array> {
  for (const bytes of parts) {
    for (let start = 0; start < bytes.length; start += PIECE_BYTES) {
      yield new Uint8Array(bytes.subarray(start, start + PIECE_BYTES));
    }
  }
}

/** Its length is checked by the channel; memory is taken as the bytes come. */
export async function receiveWhole(channel: Channel, lengthBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of channel.receiveBody({ lengthBytes })) chunks.push(chunk);
  const { buffer, byteOffset } = Buffer.concat(chunks);
  return new Uint8Array(buffer, byteOffset, lengthBytes);
}
