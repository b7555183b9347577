/**
 * Unit vectors for unknowns. All arithmetic on a message is byte by byte and linear, so the byte positions can be used as
 * columns: the k-th unknown is 1 at position k and 0 elsewhere, and whatever the code computes is, position by position, the
 * coefficients of a linear form. A keystream is an unknown: each key gets the next free column.
 */
import type { Keystream, KeystreamReader } from "../../../protocols/crypto/keystream.ts";

export interface Unknowns {
  /** The keystream that expands a key to its unit vector. `onExpand` hears what is expanded. */
  keystream(onExpand?: (column: number) => void): Keystream;
  /** The same for keys that were expanded before; every other key gives zeros. */
  knownKeystream(onExpand?: (column: number) => void): Keystream;
  /** The column of a new unknown that is not a keystream. */
  next(): number;
  count(): number;
}

/** @param firstPosition where in a stream the columns begin. */
export function createUnknowns(firstPosition = 0): Unknowns {
  const columnOf = new Map<string, number>();
  let count = 0;
  const unitStream = (column: number | undefined, offsetBytes: number): KeystreamReader => {
    const one = column === undefined ? -1 : firstPosition + column;
    let position = offsetBytes;
    return {
      xor(bytes) {
        const out = bytes.slice();
        if (one >= position && one < position + out.length) out[one - position]! ^= 1;
        position += out.length;
        return out;
      },
    };
  };
  return {
    next: () => count++,
    count: () => count,
    keystream: (onExpand) => (key, offsetBytes) => {
      const name = Buffer.from(key).toString("hex");
      const column = columnOf.get(name) ?? count++;
      columnOf.set(name, column);
      onExpand?.(column);
      return unitStream(column, offsetBytes);
    },
    knownKeystream: (onExpand) => (key, offsetBytes) => {
      const column = columnOf.get(Buffer.from(key).toString("hex"));
      if (column !== undefined) onExpand?.(column);
      return unitStream(column, offsetBytes);
    },
  };
}

export function unitVector(column: number, columns: number): Uint8Array {
  const row = new Uint8Array(columns);
  row[column] = 1;
  return row;
}
