/**
 * The kernel in plain JavaScript: what the SIMD kernel is tested and measured against. Its table is indexed with the bytes of
 * shares, so unlike its twin it is not constant-time: processes use `simdKernel`.
 */
import { multiply } from "./element.ts";
import { allocateOutputs, checkCoefficient, checkCombination, checkSameLength, type FieldKernel } from "./kernel.ts";

export const scalarKernel: FieldKernel = {
  addScaled(target, source, coefficient) {
    checkSameLength(target, source);
    checkCoefficient(coefficient);
    addProducts(target, source, coefficient);
  },

  combine(sources, coefficients) {
    const outputs = allocateOutputs(sources, coefficients.length);
    scalarKernel.combineInto(outputs, sources, coefficients);
    return outputs;
  },

  combineInto(outputs, sources, coefficients) {
    checkCombination(outputs, sources, coefficients);
    for (const [k, output] of outputs.entries()) {
      output.fill(0);
      for (const [j, source] of sources.entries()) addProducts(output, source, coefficients[k]![j]!);
    }
  },
};

function addProducts(target: Uint8Array, source: Uint8Array, coefficient: number): void {
  // a table of its own for each call: V8 makes faster code of it than of a row of one large table
  const products = new Uint8Array(256);
  for (let element = 0; element < 256; element++) products[element] = multiply(coefficient, element);
  const lengthBytes = target.length;
  for (let index = 0; index < lengthBytes; index++) target[index] = target[index]! ^ products[source[index]!]!;
}
