/**
 * Control messages and everything that is signed: deterministic CBOR (RFC 8949, section 4.2.1).
 * cborg does not check the order of map keys, so a decoded value is encoded again and compared.
 */
import { decode, encode, rfc8949EncodeOptions } from "cborg";
import { IntercloudError } from "./errors.ts";
import { decodePlain, encodePlain } from "./plain-cbor.ts";

export type CborValue =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | readonly CborValue[]
  | { readonly [key: string]: CborValue };

const decodeOptions = {
  strict: true,
  allowIndefinite: false,
  allowUndefined: false,
  allowInfinity: false,
  allowNaN: false,
  allowBigInt: false,
  rejectDuplicateMapKeys: true,
};

export function encodeCanonical(value: CborValue): Uint8Array {
  return encodePlain(value) ?? encode(value, rfc8949EncodeOptions);
}

/** @throws IntercloudError MALFORMED (not CBOR, or a type we do not use) or NON_CANONICAL. */
export function decodeCanonical(bytes: Uint8Array): CborValue {
  const plain = decodePlain(bytes);
  if (plain !== undefined) return plain;
  let value: CborValue;
  try {
    value = decode(bytes, decodeOptions) as CborValue;
  } catch (cause) {
    throw new IntercloudError("MALFORMED", "bad-request", "these bytes are not a CBOR message", {}, cause);
  }
  const again = encode(value, rfc8949EncodeOptions);
  if (Buffer.compare(again, bytes) !== 0) {
    throw new IntercloudError("NON_CANONICAL", "bad-request", "this message is not in its one canonical form");
  }
  return value;
}
