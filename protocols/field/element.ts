/**
 * Single elements of GF(2^8) with the polynomial x^8+x^4+x^3+x+1 (that of AES). Addition is XOR.
 *
 * These look numbers up in tables, so their time depends on the operands: they are for points and coefficients, which are
 * public. Bytes of shares and messages go through a kernel.
 */
import { IntercloudError } from "../wire/errors.ts";

const REDUCING_POLYNOMIAL = 0x11b;
const GROUP_ORDER = 255;

// POWERS is written out twice, so that the sum of two logarithms needs no reduction modulo 255.
const POWERS = new Uint8Array(2 * GROUP_ORDER);
const LOGARITHMS = new Uint8Array(256);
for (let exponent = 0, power = 1; exponent < GROUP_ORDER; exponent++) {
  POWERS[exponent] = power;
  POWERS[exponent + GROUP_ORDER] = power;
  LOGARITHMS[power] = exponent;
  const doubled = power << 1;
  power = power ^ (doubled & 0x100 ? doubled ^ REDUCING_POLYNOMIAL : doubled); // times x+1, a generator
}

/** True for an integer from 0 to 255. */
export function isElement(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= 255;
}

/** a * b. Throws NOT_AN_ELEMENT. */
export function multiply(a: number, b: number): number {
  checkElement(a);
  checkElement(b);
  if (a === 0 || b === 0) return 0;
  return POWERS[LOGARITHMS[a]! + LOGARITHMS[b]!]!;
}

/** The b with a * b = 1. Throws DIVISION_BY_ZERO, NOT_AN_ELEMENT. */
export function inverse(a: number): number {
  return divide(1, a);
}

/** a / b. Throws DIVISION_BY_ZERO, NOT_AN_ELEMENT. */
export function divide(a: number, b: number): number {
  checkElement(a);
  checkElement(b);
  if (b === 0) throw new IntercloudError("DIVISION_BY_ZERO", "internal", "zero has no inverse in GF(2^8)");
  if (a === 0) return 0;
  return POWERS[LOGARITHMS[a]! + GROUP_ORDER - LOGARITHMS[b]!]!;
}

/** Throws NOT_AN_ELEMENT. */
export function checkElement(value: number): void {
  if (isElement(value)) return;
  const problem = `an element of GF(2^8) is an integer from 0 to 255, not ${value}`;
  throw new IntercloudError("NOT_AN_ELEMENT", "internal", problem);
}
