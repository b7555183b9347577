/** GF(2^8) with the polynomial x^8+x^4+x^3+x+1 (AES's field), byte by byte. Addition is XOR. */
export { divide, inverse, multiply } from "./element.ts";
export type { FieldKernel } from "./kernel.ts";
export { evaluatePolynomial, lagrangeCoefficient, lagrangeCoefficients } from "./polynomial.ts";
export { scalarKernel } from "./scalar-kernel.ts";
export { createSimdKernel, simdKernel, xorInto } from "./simd-kernel.ts";
