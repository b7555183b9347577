/** Lagrange interpolation over GF(2^8). Subtraction is XOR, as addition is. */
import { IntercloudError } from "../wire/errors.ts";
import { checkElement, divide, isElement, multiply } from "./element.ts";

/**
 * g_S(point) at x = `at`: the product over the other points j of (at - j) / (point - j), where S is `points`. With these,
 * f(at) = sum over S of g_S(i) * f(i) for every polynomial f of degree below the number of points.
 * `points` are distinct integers from 1 to 255 and `point` is one of them; `at` is any element, 0 for the message itself.
 * Throws BAD_POINTS.
 */
export function lagrangeCoefficient(points: readonly number[], point: number, at = 0): number {
  checkPoints(points, at);
  if (!points.includes(point)) throw badPoints(`point ${point} is not among the points ${points.join(", ")}`);
  return coefficientOf(points, point, at);
}

/** All coefficients of `lagrangeCoefficient`, in the order of `points`. Throws BAD_POINTS. */
export function lagrangeCoefficients(points: readonly number[], at = 0): number[] {
  checkPoints(points, at);
  return points.map((point) => coefficientOf(points, point, at));
}

/** f(x), where f has these coefficients, that of x^0 first. Throws NOT_AN_ELEMENT. */
export function evaluatePolynomial(coefficients: readonly number[], x: number): number {
  return coefficients.reduceRight((sum, coefficient) => {
    checkElement(coefficient);
    return multiply(sum, x) ^ coefficient;
  }, 0);
}

function coefficientOf(points: readonly number[], point: number, at: number): number {
  let numerator = 1;
  let denominator = 1;
  for (const other of points) {
    if (other === point) continue;
    numerator = multiply(numerator, at ^ other);
    denominator = multiply(denominator, point ^ other);
  }
  return divide(numerator, denominator);
}

function checkPoints(points: readonly number[], at: number): void {
  if (points.length === 0) throw badPoints("interpolation needs at least one point");
  const wrong = points.find((point) => !isElement(point) || point === 0);
  // f(0) is the message: a share at zero would be the message itself
  if (wrong !== undefined) throw badPoints(`a point is an integer from 1 to 255, not ${wrong}`);
  const repeated = points.find((point, index) => points.indexOf(point) !== index);
  if (repeated !== undefined) throw badPoints(`point ${repeated} is given twice; points must be distinct`);
  if (!isElement(at)) throw badPoints(`a polynomial is evaluated at an integer from 0 to 255, not ${at}`);
}

function badPoints(problem: string): IntercloudError {
  return new IntercloudError("BAD_POINTS", "bad-request", problem);
}
