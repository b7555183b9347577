/**
 * The frames of a payload stream (docs/wire.md):
 *
 *   frame   = length type payload          length: u32 big-endian, of type and payload together
 *   MESSAGE = 0x01 canonical CBOR          DATA = 0x02 bytes
 *   END     = 0x03 length:u64 sha256       FAILURE = 0x04 canonical CBOR
 */
import { createByteReader } from "./byte-reader.ts";
import type { ByteStream } from "./byte-stream.ts";
import { type CborValue, decodeCanonical, encodeCanonical } from "./codec.ts";
import { IntercloudError, type RemoteError } from "./errors.ts";
import { failureFrom, failureMessage } from "./failure.ts";
import type { BodySummary } from "./transport.ts";

/** Of one message on a payload stream. Headers and answers are a few KiB; a chain of 254 links fits. */
export const MAX_MESSAGE_BYTES = 256 * 1024;

/** Of the payload of one DATA frame that we accept. */
export const MAX_DATA_BYTES = 256 * 1024;

/**
 * Of the DATA frames that we send. Noise seals 65,519 bytes at a time: four of these hold exactly one yamux header (12),
 * one frame head (5) and this many bytes, so no frame leaves a small remainder that costs as much as a full one.
 */
export const DATA_BYTES = 4 * 65_519 - 12 - 5;

/** A status, a request id and at most 254 peer names of 52 characters. */
export const MAX_FAILURE_BYTES = 32 * 1024;

const HEAD_BYTES = 5;
const END_BYTES = 8 + 32;

const MESSAGE = 1;
const DATA = 2;
const END = 3;
const FAILURE = 4;

// of type and payload together, for each type
const MAX_LENGTH: Readonly<Record<number, number>> = {
  [MESSAGE]: 1 + MAX_MESSAGE_BYTES,
  [DATA]: 1 + MAX_DATA_BYTES,
  [END]: 1 + END_BYTES,
  [FAILURE]: 1 + MAX_FAILURE_BYTES,
};

export type Item =
  | { readonly kind: "message"; readonly message: CborValue; readonly bytes: Uint8Array }
  /** A piece of a DATA frame, as it arrived. */
  | { readonly kind: "data"; readonly bytes: Uint8Array }
  | { readonly kind: "end"; readonly summary: BodySummary }
  | { readonly kind: "failure"; readonly error: RemoteError };

/** Each frame as a list of buffers, so that the payload is not copied. */
export const messageFrame = (bytes: Uint8Array) => [head(MESSAGE, bytes.length), bytes];
export const dataFrame = (parts: readonly Uint8Array[], lengthBytes: number) => [head(DATA, lengthBytes), ...parts];
export const failureFrame = (error: IntercloudError, requestId?: string) => {
  const bytes = encodeCanonical(failureMessage(error, requestId));
  return [head(FAILURE, bytes.length), bytes];
};

export function endFrame(summary: BodySummary): Uint8Array[] {
  const payload = new Uint8Array(END_BYTES);
  new DataView(payload.buffer).setBigUint64(0, BigInt(summary.lengthBytes));
  payload.set(summary.digest, 8);
  return [head(END, END_BYTES), payload];
}

function head(type: number, payloadBytes: number): Uint8Array {
  const bytes = new Uint8Array(HEAD_BYTES);
  new DataView(bytes.buffer).setUint32(0, 1 + payloadBytes);
  bytes[4] = type;
  return bytes;
}

/**
 * The items of a stream in order; null at its proven end between two frames.
 * @throws IntercloudError TRUNCATED; BAD_FRAME, FRAME_TOO_LONG, MALFORMED, NON_CANONICAL, BAD_MESSAGE (bad-request).
 */
export function createFrameReader(stream: ByteStream): () => Promise<Item | null> {
  const reader = createByteReader(stream);
  let dataLeft = 0;

  async function payloadOf(lengthBytes: number): Promise<Uint8Array> {
    const payload = await reader.exactly(lengthBytes);
    // the stream ended right after a head: `upTo` says so in the usual way
    return payload ?? (await reader.upTo(1));
  }

  return async function nextItem() {
    while (dataLeft === 0) {
      const bytes = await reader.exactly(HEAD_BYTES);
      if (bytes === null) return null;
      const length = ((bytes[0] as number) << 24) | ((bytes[1] as number) << 16) | ((bytes[2] as number) << 8);
      const payloadBytes = ((length | (bytes[3] as number)) >>> 0) - 1;
      const type = bytes[4] as number;
      checkHead(type, payloadBytes);
      if (type === DATA) {
        dataLeft = payloadBytes;
        // says no more than that its sender is still there
        if (dataLeft === 0) return { kind: "data", bytes: new Uint8Array() };
        continue;
      }
      const payload = payloadBytes === 0 ? new Uint8Array() : await payloadOf(payloadBytes);
      if (type === MESSAGE) return { kind: "message", message: decodeCanonical(payload), bytes: payload };
      if (type === END) return { kind: "end", summary: parseEnd(payload) };
      return { kind: "failure", error: failureFrom(stream.peer, decodeCanonical(payload)) };
    }
    const bytes = await reader.upTo(dataLeft);
    dataLeft -= bytes.length;
    return { kind: "data", bytes };
  };
}

function checkHead(type: number, payloadBytes: number): void {
  const maxLength = MAX_LENGTH[type];
  if (maxLength === undefined || payloadBytes < 0) {
    throw new IntercloudError("BAD_FRAME", "bad-request", "this is not a frame of ours; is it an Intercloud peer?");
  }
  if (1 + payloadBytes > maxLength) {
    const message = `a frame of ${payloadBytes} bytes is over its limit of ${maxLength - 1}`;
    throw new IntercloudError("FRAME_TOO_LONG", "bad-request", message);
  }
  if (type === END && payloadBytes !== END_BYTES) {
    throw new IntercloudError("BAD_FRAME", "bad-request", "this END frame has the wrong length");
  }
}

function parseEnd(payload: Uint8Array): BodySummary {
  const lengthBytes = Number(new DataView(payload.buffer, payload.byteOffset).getBigUint64(0));
  return { lengthBytes, digest: new Uint8Array(payload.subarray(8)) };
}
