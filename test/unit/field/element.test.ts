import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { divide, inverse, multiply } from "../../../protocols/field/index.ts";
import { errorCode, referenceMultiply } from "./reference.ts";

interface Fips197 {
  readonly products: readonly { readonly a: string; readonly b: string; readonly product: string }[];
  readonly substitutions: readonly { readonly from: string; readonly to: string }[];
}
const fips197 = JSON.parse(
  readFileSync(new URL("../../vectors/gf256/fips197.json", import.meta.url), "utf8"),
) as Fips197;
const fromHex = (hex: string) => Number.parseInt(hex, 16);

describe("elements of GF(2^8)", () => {
  it("multiplies as FIPS 197 says", () => {
    for (const { a, b, product } of fips197.products) {
      expect(multiply(fromHex(a), fromHex(b))).toBe(fromHex(product));
      expect(referenceMultiply(fromHex(a), fromHex(b))).toBe(fromHex(product));
    }
  });

  it("inverts as the substitution box of FIPS 197 does", () => {
    for (const { from, to } of fips197.substitutions) {
      const inverted = inverse(fromHex(from));
      let substituted = 0x63;
      for (const turns of [0, 1, 2, 3, 4]) substituted ^= ((inverted << turns) | (inverted >> (8 - turns))) & 0xff;
      expect(substituted).toBe(fromHex(to));
    }
  });

  it("multiplies all 65,536 pairs as the bitwise reference does", () => {
    const wrong: string[] = [];
    for (let a = 0; a < 256; a++) {
      for (let b = 0; b < 256; b++) if (multiply(a, b) !== referenceMultiply(a, b)) wrong.push(`${a} * ${b}`);
    }
    expect(wrong).toEqual([]);
  });

  it("inverts and divides by all 255 non-zero elements", () => {
    const wrong: string[] = [];
    for (let b = 1; b < 256; b++) {
      if (referenceMultiply(b, inverse(b)) !== 1) wrong.push(`1 / ${b}`);
      for (let a = 0; a < 256; a++) if (referenceMultiply(divide(a, b), b) !== a) wrong.push(`${a} / ${b}`);
    }
    expect(wrong).toEqual([]);
  });

  it("refuses to divide by zero", () => {
    expect(errorCode(() => inverse(0))).toBe("DIVISION_BY_ZERO");
    expect(errorCode(() => divide(0, 0))).toBe("DIVISION_BY_ZERO");
    expect(errorCode(() => divide(7, 0))).toBe("DIVISION_BY_ZERO");
  });

  it.each([-1, 256, 1.5, Number.NaN, Number.POSITIVE_INFINITY])("refuses %s as an element", (wrong) => {
    expect(errorCode(() => multiply(wrong, 1))).toBe("NOT_AN_ELEMENT");
    expect(errorCode(() => multiply(0, wrong))).toBe("NOT_AN_ELEMENT");
    expect(errorCode(() => divide(wrong, 1))).toBe("NOT_AN_ELEMENT");
    expect(errorCode(() => divide(1, wrong))).toBe("NOT_AN_ELEMENT");
    expect(errorCode(() => inverse(wrong))).toBe("NOT_AN_ELEMENT");
  });
});
