/**
 * The frames of a control stream (docs/wire.md): a u32 big-endian length and one canonical CBOR map.
 *
 *   ask     = {id, protocol, method, body}     cancel = {id, cancel: true}      from the one who opened the stream
 *   answer  = {id, body}                       failure = {id, status, ...}      from the other
 *
 * A failure with id 0 is about the stream itself, and its last frame.
 */
import * as v from "valibot";
import { createByteReader } from "./byte-reader.ts";
import { type ByteStream, truncated } from "./byte-stream.ts";
import { type CborValue, decodeCanonical, encodeCanonical } from "./codec.ts";
import { IntercloudError } from "./errors.ts";
import { failureEntries } from "./failure.ts";
import { MAX_CONTROL_BYTES } from "./limits.ts";
import { integer, parseShape, text } from "./shape.ts";

const HEAD_BYTES = 4;

/** The id of a failure that is about the stream itself. */
export const STREAM_ID = 0;

const id = integer(1, Number.MAX_SAFE_INTEGER);
const body = v.custom<CborValue>((value) => value !== undefined);

const askSchema = v.strictObject({ id, protocol: text(128), method: text(64), body });
const cancelSchema = v.strictObject({ id, cancel: v.literal(true) });
const answerSchema = v.strictObject({ id, body });
const failureSchema = v.strictObject({ id: integer(STREAM_ID, Number.MAX_SAFE_INTEGER), ...failureEntries });

export type Ask = v.InferOutput<typeof askSchema>;
export type Cancel = v.InferOutput<typeof cancelSchema>;
export type Answer = v.InferOutput<typeof answerSchema>;
export type ControlFailure = v.InferOutput<typeof failureSchema>;

/** @throws IntercloudError BAD_MESSAGE. */
export function parseFromAsker(value: CborValue): Ask | Cancel {
  return hasField(value, "cancel") ? parseShape(cancelSchema, value, "cancel") : parseShape(askSchema, value, "ask");
}

/** @throws IntercloudError BAD_MESSAGE. */
export function parseFromAnswerer(value: CborValue): Answer | ControlFailure {
  return hasField(value, "status")
    ? parseShape(failureSchema, value, "failure")
    : parseShape(answerSchema, value, "answer");
}

function hasField(value: CborValue, name: string): boolean {
  return typeof value === "object" && value !== null && Object.hasOwn(value, name);
}

/** @throws IntercloudError MESSAGE_TOO_LONG: the caller wanted to send more than a control stream carries. */
export function encodeControl(message: { readonly [key: string]: CborValue }): Uint8Array {
  const bytes = encodeCanonical(message);
  if (bytes.length > MAX_CONTROL_BYTES) {
    const what = `a request or answer of ${bytes.length} bytes is over the limit of ${MAX_CONTROL_BYTES}; use a channel`;
    throw new IntercloudError("MESSAGE_TOO_LONG", "internal", what);
  }
  const frame = new Uint8Array(HEAD_BYTES + bytes.length);
  new DataView(frame.buffer).setUint32(0, bytes.length);
  frame.set(bytes, HEAD_BYTES);
  return frame;
}

export interface ControlFrame {
  readonly value: CborValue;
  readonly lengthBytes: number;
}

/** The frames of a stream; null at its proven end. @throws TRUNCATED, FRAME_TOO_LONG, MALFORMED, NON_CANONICAL. */
export function createControlReader(stream: ByteStream): () => Promise<ControlFrame | null> {
  const reader = createByteReader(stream);
  return async () => {
    const head = await reader.exactly(HEAD_BYTES);
    if (head === null) return null;
    const lengthBytes = new DataView(head.buffer, head.byteOffset).getUint32(0);
    if (lengthBytes === 0 || lengthBytes > MAX_CONTROL_BYTES) {
      const what = `a control frame of ${lengthBytes} bytes; the limit is ${MAX_CONTROL_BYTES}`;
      throw new IntercloudError("FRAME_TOO_LONG", "bad-request", what);
    }
    const bytes = await reader.exactly(lengthBytes);
    if (bytes === null) throw truncated(stream.peer);
    return { value: decodeCanonical(bytes), lengthBytes };
  };
}
