import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  divide,
  evaluatePolynomial,
  lagrangeCoefficient,
  lagrangeCoefficients,
} from "../../../protocols/field/index.ts";
import { errorCode, referenceMultiply } from "./reference.ts";

const element = fc.integer({ min: 0, max: 255 });

/** A polynomial with t coefficients and t of the points 1..n, in any order, with 1 <= t <= n <= 254. */
const interpolation = fc.integer({ min: 1, max: 254 }).chain((n) =>
  fc.integer({ min: 1, max: n }).chain((t) =>
    fc.record({
      coefficients: fc.array(element, { minLength: t, maxLength: t }),
      points: fc.uniqueArray(fc.integer({ min: 1, max: n + 1 }), { minLength: t, maxLength: t }),
    }),
  ),
);

function interpolate(points: readonly number[], values: readonly number[], at: number): number {
  return lagrangeCoefficients(points, at).reduce((sum, g, index) => sum ^ referenceMultiply(g, values[index] ?? 0), 0);
}

describe("evaluatePolynomial", () => {
  it("adds up the powers of x", () => {
    fc.assert(
      fc.property(fc.array(element, { maxLength: 20 }), element, (coefficients, x) => {
        let expected = 0;
        let power = 1;
        for (const coefficient of coefficients) {
          expected ^= referenceMultiply(coefficient, power);
          power = referenceMultiply(power, x);
        }
        expect(evaluatePolynomial(coefficients, x)).toBe(expected);
      }),
    );
  });

  it("refuses what is not an element", () => {
    expect(errorCode(() => evaluatePolynomial([256, 1], 1))).toBe("NOT_AN_ELEMENT");
    expect(errorCode(() => evaluatePolynomial([1, -1], 1))).toBe("NOT_AN_ELEMENT");
    expect(errorCode(() => evaluatePolynomial([1, 1], 0.5))).toBe("NOT_AN_ELEMENT");
  });
});

describe("Lagrange coefficients", () => {
  it("give f(0) and f at any other element from any t values", () => {
    fc.assert(
      fc.property(interpolation, element, ({ coefficients, points }, at) => {
        const values = points.map((point) => evaluatePolynomial(coefficients, point));
        expect(interpolate(points, values, 0)).toBe(coefficients[0]);
        expect(interpolate(points, values, at)).toBe(evaluatePolynomial(coefficients, at));
      }),
      { numRuns: 60 },
    );
  });

  it("work with the largest number of points", () => {
    const coefficients = Array.from({ length: 254 }, (_, index) => (index * 89 + 7) % 256);
    const points = Array.from({ length: 254 }, (_, index) => index + 1);
    const values = points.map((point) => evaluatePolynomial(coefficients, point));
    expect(interpolate(points, values, 0)).toBe(7);
    expect(interpolate(points, values, 255)).toBe(evaluatePolynomial(coefficients, 255));
  });

  it("are products of j / (j - i) at zero", () => {
    // S = {1, 2, 3}: g(1) = 2/3 * 3/2, g(2) = 1/3 * 3/1, g(3) = 1/2 * 2/1, with 2-1 = 3, 3-1 = 2, 3-2 = 1 in this field
    const byHand = [
      referenceMultiply(divide(2, 3), divide(3, 2)),
      referenceMultiply(divide(1, 3), divide(3, 1)),
      referenceMultiply(divide(1, 2), divide(2, 1)),
    ];
    expect(lagrangeCoefficients([1, 2, 3])).toEqual(byHand);
    expect(lagrangeCoefficients([1, 2, 3])).toEqual([1, 1, 1]);
    expect(lagrangeCoefficients([1, 2])).toEqual([divide(2, 3), divide(1, 3)]);
  });

  it("are one at their own point and zero at the others", () => {
    expect(lagrangeCoefficients([9, 4, 200], 4)).toEqual([0, 1, 0]);
  });

  it("come one by one as they come together", () => {
    fc.assert(
      fc.property(interpolation, element, ({ points }, at) => {
        const together = lagrangeCoefficients(points, at);
        const index = at % points.length;
        expect(lagrangeCoefficient(points, points[index] ?? 0, at)).toBe(together[index]);
        expect(lagrangeCoefficient(points, points[index] ?? 0)).toBe(lagrangeCoefficients(points)[index]);
      }),
      { numRuns: 40 },
    );
  });

  it.each([[[]], [[0, 1]], [[1, 2, 1]], [[1, 256]], [[-1, 2]], [[1.5, 2]], [[Number.NaN]]])(
    "refuse points %j",
    (points) => {
      expect(errorCode(() => lagrangeCoefficients(points))).toBe("BAD_POINTS");
      expect(errorCode(() => lagrangeCoefficient(points, points[0] ?? 1))).toBe("BAD_POINTS");
    },
  );

  it("refuse a point that is not a member, and a place that is not an element", () => {
    expect(errorCode(() => lagrangeCoefficient([1, 2], 3))).toBe("BAD_POINTS");
    for (const at of [-1, 256, 0.5, Number.NaN]) {
      expect(errorCode(() => lagrangeCoefficients([1, 2], at))).toBe("BAD_POINTS");
      expect(errorCode(() => lagrangeCoefficient([1, 2], 1, at))).toBe("BAD_POINTS");
    }
  });
});
