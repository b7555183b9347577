/** What the two kernels have in common: their interface, and the checks that make them refuse the same calls. */
import { IntercloudError } from "../wire/errors.ts";
import { isElement } from "./element.ts";

/** Bulk arithmetic in GF(2^8), byte by byte. The kernels are twins that agree byte for byte. */
export interface FieldKernel {
  /**
   * target ^= coefficient * source. Same lengths, any length; the two are the same bytes or do not overlap.
   * Throws LENGTH_MISMATCH, BAD_COEFFICIENT.
   */
  addScaled(target: Uint8Array, source: Uint8Array, coefficient: number): void;
  /**
   * One output per row of `coefficients`: output_k = sum over j of coefficients[k][j] * sources[j].
   * All sources have one length; so have the returned, freshly allocated outputs. Throws LENGTH_MISMATCH, BAD_COEFFICIENT.
   */
  combine(sources: readonly Uint8Array[], coefficients: readonly (readonly number[])[]): Uint8Array[];
  /**
   * `combine` into buffers of the caller, whose old content is lost: for loops that would otherwise allocate for every chunk.
   * The outputs overlap neither each other nor a source. Throws LENGTH_MISMATCH, BAD_COEFFICIENT.
   */
  combineInto(
    outputs: readonly Uint8Array[],
    sources: readonly Uint8Array[],
    coefficients: readonly (readonly number[])[],
  ): void;
}

export function checkCoefficient(coefficient: number): void {
  if (isElement(coefficient)) return;
  const problem = `a coefficient must be an integer from 0 to 255, not ${coefficient}`;
  throw new IntercloudError("BAD_COEFFICIENT", "internal", problem);
}

export function checkSameLength(a: Uint8Array, b: Uint8Array): void {
  if (a.length !== b.length) throw lengthMismatch(`buffers of ${a.length} and ${b.length} bytes cannot be added`);
}

/** Refuses sources and outputs of different lengths, rows that do not fit, and coefficients outside of the field. */
export function checkCombination(
  outputs: readonly Uint8Array[],
  sources: readonly Uint8Array[],
  coefficients: readonly (readonly number[])[],
): void {
  const first = sources[0] ?? outputs[0];
  for (const buffer of [...sources, ...outputs]) if (first !== undefined) checkSameLength(first, buffer);
  if (coefficients.length !== outputs.length) {
    throw lengthMismatch(`${outputs.length} outputs need as many rows of coefficients, not ${coefficients.length}`);
  }
  for (const row of coefficients) {
    if (row.length !== sources.length) {
      throw lengthMismatch(`${sources.length} sources need as many coefficients in each row, not ${row.length}`);
    }
    for (const coefficient of row) checkCoefficient(coefficient);
  }
}

/** Zeroed outputs for a combination; without a source their length is unknown, and an empty sum would hide a mistake. */
export function allocateOutputs(sources: readonly Uint8Array[], count: number): Uint8Array[] {
  const first = sources[0];
  if (first === undefined) throw lengthMismatch("a combination needs at least one source");
  return Array.from({ length: count }, () => new Uint8Array(first.length));
}

function lengthMismatch(problem: string): IntercloudError {
  return new IntercloudError("LENGTH_MISMATCH", "internal", problem);
}
