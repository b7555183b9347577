/**
 * libp2p's Yamux collects a whole frame before it looks at its length, so a peer that announces a frame of 4 GiB could fill
 * our memory. No honest frame is longer than a window: this breaks the connection at the header of one that is.
 */
import type { MessageStream } from "@libp2p/interface";

const HEADER_BYTES = 12;
const LENGTH_AT = 8;
const TYPE_AT = 1;
const DATA = 0;

/** To be called before the muxer listens to the connection. */
export function guardYamux(connection: MessageStream, maxFrameBytes: number): void {
  const header = new DataView(new ArrayBuffer(HEADER_BYTES));
  let headerBytes = 0;
  let payloadBytes = 0;

  function check(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length; ) {
      if (payloadBytes > 0) {
        const skipped = Math.min(payloadBytes, chunk.length - at);
        payloadBytes -= skipped;
        at += skipped;
        continue;
      }
      header.setUint8(headerBytes, chunk[at] as number);
      headerBytes += 1;
      at += 1;
      if (headerBytes < HEADER_BYTES) continue;
      headerBytes = 0;
      if (header.getUint8(TYPE_AT) !== DATA) continue;
      payloadBytes = header.getUint32(LENGTH_AT);
      if (payloadBytes > maxFrameBytes) {
        connection.abort(new Error(`a Yamux frame of ${payloadBytes} bytes; the limit is ${maxFrameBytes}`));
        return;
      }
    }
  }

  connection.addEventListener("message", ({ data }) => {
    for (const chunk of data instanceof Uint8Array ? [data] : data) check(chunk);
  });
}
