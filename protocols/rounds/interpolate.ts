/** The polynomials that shares, or what is linear in them, lie on: one for each byte. */
import { equalBytes } from "../crypto/digest.ts";
import { type FieldKernel, lagrangeCoefficients } from "../field/index.ts";

/** What is at one point; all of one length. */
export interface PointedBytes {
  readonly point: number;
  readonly bytes: Uint8Array;
}

/** What the polynomials through these are at another point. */
export function interpolate(values: readonly PointedBytes[], at: number, kernel: FieldKernel): Uint8Array {
  const points = values.map(({ point }) => point);
  const value = new Uint8Array(values[0]!.bytes.length);
  for (const [i, coefficient] of lagrangeCoefficients(points, at).entries()) {
    kernel.addScaled(value, values[i]!.bytes, coefficient);
  }
  return value;
}

/** Whether all lie on polynomials of a degree below `threshold`. */
export function lieOnPolynomial(values: readonly PointedBytes[], threshold: number, kernel: FieldKernel): boolean {
  const base = values.slice(0, threshold);
  return values.slice(threshold).every(({ point, bytes }) => equalBytes(interpolate(base, point, kernel), bytes));
}
