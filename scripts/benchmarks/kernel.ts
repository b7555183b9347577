/** The field kernel: SIMD against its scalar twin, and the sums that dealing and retrieving are made of. */
import { randomBytes } from "node:crypto";
import {
  type FieldKernel,
  lagrangeCoefficients,
  scalarKernel,
  simdKernel,
  xorInto,
} from "../../protocols/field/index.ts";
import { median, type Row } from "./row.ts";

const BUFFER_BYTES = 64 * 1024;
const SCALED_TARGET = 8;
const ROUNDS = 15;
const ROUND_MS = 20;

/** Rates in GB of one buffer per second, medians over rounds in which ours and its twin take turns. */
export async function kernelBench(): Promise<Row[]> {
  const [target, source, second, third] = Array.from({ length: 4 }, () => randomBuffer()) as Buffers;
  const addScaled = (kernel: FieldKernel) => () => kernel.addScaled(target, source, 0x57);

  const outputs = Array.from({ length: 4 }, () => new Uint8Array(BUFFER_BYTES));
  const sources = [source, second, third];
  const combine = (kernel: FieldKernel, points: readonly number[]) => {
    const rows = points.map((point) => lagrangeCoefficients([1, 2, 3], point));
    return () => kernel.combineInto(outputs.slice(0, points.length), sources, rows);
  };

  return [
    compare("kernel: dst ^= c*src, 64 KiB", addScaled(simdKernel), addScaled(scalarKernel), SCALED_TARGET),
    compare(
      "kernel: dst ^= src, 64 KiB",
      () => xorInto(target, source),
      () => scalarKernel.addScaled(target, source, 1),
      null,
    ),
    compare(
      "kernel: degree-2 evaluation, 3 sources to 1 output",
      combine(simdKernel, [7]),
      combine(scalarKernel, [7]),
      null,
    ),
    compare(
      "kernel: 3-of-6 deal, 3 sources to 4 outputs",
      combine(simdKernel, [4, 5, 6, 7]),
      combine(scalarKernel, [4, 5, 6, 7]),
      null,
    ),
  ];
}

type Buffers = [Uint8Array, Uint8Array, Uint8Array, Uint8Array];

function randomBuffer(): Uint8Array {
  return new Uint8Array(randomBytes(BUFFER_BYTES));
}

function compare(name: string, ours: () => void, theirs: () => void, target: number | null): Row {
  const rates = { ours: [] as number[], theirs: [] as number[] };
  rate(ours); // compiles both
  rate(theirs);
  for (let round = 0; round < ROUNDS; round++) {
    rates.ours.push(rate(ours));
    rates.theirs.push(rate(theirs));
  }
  const [value, against] = [median(rates.ours), median(rates.theirs)];
  const ratio = value / against;
  return {
    ...{ name, unit: "GB/s", value, against, ratio },
    target: target === null ? null : `>= ${target}x`,
    met: target === null ? null : ratio >= target,
  };
}

/** GB/s of BUFFER_BYTES per call, over about ROUND_MS. */
function rate(action: () => void): number {
  const start = process.hrtime.bigint();
  let calls = 0;
  let elapsedNs = 0;
  while (elapsedNs < ROUND_MS * 1e6) {
    for (let repeat = 0; repeat < 16; repeat++) action();
    calls += 16;
    elapsedNs = Number(process.hrtime.bigint() - start);
  }
  return (calls * BUFFER_BYTES) / elapsedNs;
}
