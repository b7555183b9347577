/**
 * Checks that a decoded message has the shape we expect; unknown fields are refused.
 * The schemas are valibot's; this file holds the pieces that all our messages share.
 */
import * as v from "valibot";
import { IntercloudError } from "./errors.ts";

// not v.instance(), whose type would be the narrower Uint8Array<ArrayBuffer>
const bytes = v.custom<Uint8Array>((value) => value instanceof Uint8Array);

/** Bytes of exactly this length. */
export const fixedBytes = (lengthBytes: number) =>
  v.pipe(
    bytes,
    v.check((value) => value.length === lengthBytes, `not ${lengthBytes} bytes`),
  );

export const boundedBytes = (maxLengthBytes: number) =>
  v.pipe(
    bytes,
    v.check((value) => value.length <= maxLengthBytes, `more than ${maxLengthBytes} bytes`),
  );

/** A whole number from `min` to `max`, both included. */
export const integer = (min: number, max: number) =>
  v.pipe(v.number(), v.safeInteger(), v.minValue(min), v.maxValue(max));

export const text = (maxLength: number) => v.pipe(v.string(), v.minLength(1), v.maxLength(maxLength));

/** Milliseconds since 1970. The bound keeps sums of times exact. */
export const timeMs = integer(0, 2 ** 50);

/**
 * Reads what a peer has answered. What it makes of nonsense is no mistake of whoever asked, but a failure of the peer.
 * @throws IntercloudError BAD_ANSWER that names the peer, or what `read` throws if that does.
 */
export function readAnswer<T>(peer: string, method: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    const isLie = cause instanceof IntercloudError && cause.status === "integrity";
    if (isLie && cause.details.peers?.includes(peer)) throw cause;
    const status = isLie ? "integrity" : "unreachable";
    const text = `${peer} answered "${method}" with something that is not what it should be; is its version right?`;
    throw new IntercloudError("BAD_ANSWER", status, text, { peers: [peer] }, cause);
  }
}

/** @throws IntercloudError BAD_MESSAGE that names the field, never its value. */
export function parseShape<const S extends v.GenericSchema>(schema: S, value: unknown, what: string): v.InferOutput<S> {
  const result = v.safeParse(schema, value);
  if (result.success) return result.output;
  const issue = result.issues[0];
  const field = v.getDotPath(issue) ?? "(whole)";
  throw new IntercloudError("BAD_MESSAGE", "bad-request", `${what}: the field "${field}" is missing or not valid`, {
    field,
  });
}
