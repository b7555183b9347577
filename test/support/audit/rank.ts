/** Linear algebra over GF(2^8), for the secrecy audit: rows are byte vectors, one column for each unknown. */
import { inverse, multiply } from "../../../protocols/field/index.ts";

/** A row-reduced basis that rows can be added to one by one. */
export interface Basis {
  /** True when the row was not in the span already. */
  add(row: Uint8Array): boolean;
  contains(row: Uint8Array): boolean;
  readonly rank: number;
}

export function createBasis(rows: readonly Uint8Array[] = []): Basis {
  const pivots = new Map<number, Uint8Array>();
  const reduce = (row: Uint8Array): Uint8Array => {
    const rest = row.slice();
    for (const [column, pivot] of pivots) {
      const factor = rest[column]!;
      if (factor === 0) continue;
      for (let k = 0; k < rest.length; k += 1) rest[k] = rest[k]! ^ multiply(factor, pivot[k]!);
    }
    return rest;
  };
  const basis: Basis = {
    contains: (row) => reduce(row).every((byte) => byte === 0),
    add(row) {
      const rest = reduce(row);
      const column = rest.findIndex((byte) => byte !== 0);
      if (column < 0) return false;
      const factor = inverse(rest[column]!);
      const pivot = rest.map((byte) => multiply(factor, byte));
      // older pivots must stay zero in the new pivot's column, so that one pass reduces
      for (const [other, old] of pivots) {
        const above = old[column]!;
        if (above !== 0)
          pivots.set(
            other,
            old.map((byte, k) => byte ^ multiply(above, pivot[k]!)),
          );
      }
      pivots.set(column, pivot);
      return true;
    },
    get rank() {
      return pivots.size;
    },
  };
  for (const row of rows) basis.add(row);
  return basis;
}

/**
 * Whether these views tell anything about the message. Every view is a linear map of (message, other unknowns) with the others
 * uniform, so its distribution depends on the message exactly when the message's column adds to the rank.
 * @param messageColumns the columns of the unknowns that make up the message
 */
export function learns(view: readonly Uint8Array[], messageColumns: readonly number[]): boolean {
  const withMessage = createBasis(view);
  const without = createBasis(
    view.map((row) => {
      const rest = row.slice();
      for (const column of messageColumns) rest[column] = 0;
      return rest;
    }),
  );
  return withMessage.rank !== without.rank;
}

/** The smallest set of parties that together learn the message, or undefined when not even all of them do. */
export function smallestCoalition(
  views: ReadonlyMap<string, readonly Uint8Array[]>,
  messageColumns: readonly number[],
): readonly string[] | undefined {
  const parties = [...views.keys()];
  for (let size = 1; size <= parties.length; size += 1) {
    for (const coalition of subsets(parties, size)) {
      const view = coalition.flatMap((party) => views.get(party) ?? []);
      if (learns(view, messageColumns)) return coalition;
    }
  }
  return undefined;
}

export function* subsets<T>(values: readonly T[], size: number): Iterable<T[]> {
  if (size === 0) {
    yield [];
    return;
  }
  for (let first = 0; first + size <= values.length; first += 1) {
    for (const rest of subsets(values.slice(first + 1), size - 1)) yield [values[first]!, ...rest];
  }
}
