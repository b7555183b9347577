/**
 * Many messages that differ in a few byte strings of fixed length: encoded once, and filled in for each. A thousand statements of a lot
 * are made in the time of a few that are encoded one by one.
 */
import { createRecent } from "../crypto/recent.ts";
import { type CborValue, encodeCanonical } from "./codec.ts";
import { IntercloudError } from "./errors.ts";

export interface Template {
  readonly lengthBytes: number;
  /** The canonical bytes with these values, which have the lengths of the holes. */
  fill(...values: readonly Uint8Array[]): Uint8Array;
}

/** @param make the message with these values in it, each once */
export function template(holeBytes: readonly number[], make: (values: readonly Uint8Array[]) => CborValue): Template {
  const markers = holeBytes.map((lengthBytes, hole) => marker(lengthBytes, hole));
  const base = Buffer.from(encodeCanonical(make(markers)));
  const places = markers.map((each) => base.indexOf(each));
  const isSound = markers.every((each, i) => places[i]! >= 0 && base.indexOf(each, places[i]! + 1) < 0);
  if (!isSound) throw new IntercloudError("BAD_TEMPLATE", "internal", "a hole of a template is not in it once");
  return {
    lengthBytes: base.length,
    fill(...values) {
      const bytes = Buffer.allocUnsafe(base.length);
      base.copy(bytes);
      for (const [i, place] of places.entries()) bytes.set(values[i]!, place);
      return bytes;
    },
  };
}

/**
 * The same for messages whose byte strings have a few different lengths: a template is made for each combination when it first comes.
 * @param name of the kind of message; `make` is the same for all of a name
 */
export function filled(
  name: string,
  values: readonly Uint8Array[],
  make: (values: readonly Uint8Array[]) => CborValue,
): Uint8Array {
  const key = values.reduce((text, { length }) => `${text} ${length}`, name);
  let found = made.get(key);
  if (found === undefined) {
    const lengths = values.map(({ length }) => length);
    found = template(lengths, make);
    made.set(key, found);
  }
  return found.fill(...values);
}

const made = createRecent<Template>(256);

/** Bytes that nothing else in a message has: no name, number or other hole. */
function marker(lengthBytes: number, hole: number): Uint8Array {
  const bytes = Buffer.alloc(lengthBytes, 0xa5);
  bytes.writeUInt16BE(0xff00 + hole, 0);
  return bytes;
}
