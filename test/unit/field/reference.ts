import { IntercloudError } from "../../../protocols/wire/errors.ts";

/** a * b modulo x^8+x^4+x^3+x+1, bit by bit as on paper: shares no code and no table with what it checks. */
export function referenceMultiply(a: number, b: number): number {
  let product = 0;
  for (let bit = 0; bit < 8; bit++) if ((b >> bit) & 1) product ^= a << bit;
  for (let bit = 15; bit >= 8; bit--) if ((product >> bit) & 1) product ^= 0b1_0001_1011 << (bit - 8);
  return product;
}

/** The code of the IntercloudError that `action` throws; any other error, or none, fails the test. */
export function errorCode(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof IntercloudError) return error.code;
    throw error;
  }
  throw new Error("nothing was thrown");
}

/** Bytes that differ from test to test and are the same in every run (a 32-bit linear congruential generator). */
export function patternBytes(lengthBytes: number, seed: number): Uint8Array {
  let state = seed >>> 0;
  return Uint8Array.from({ length: lengthBytes }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state >>> 24;
  });
}
