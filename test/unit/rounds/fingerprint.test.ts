/** Linear fingerprints: what is checked by them is right only if the bodies are. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { lagrangeCoefficients, scalarKernel, simdKernel } from "../../../protocols/field/index.ts";
import { createFingerprinter, fingerprintBytes, fingerprintOf } from "../../../protocols/rounds/fingerprint.ts";
import { bytesOf } from "../../support/bytes.ts";

/** One for each size of blocks, and lengths that end in the middle of one. */
const LENGTHS = [1, 15, 16, 17, 300, 4_096, 4_097, 65_536, 70_001, 1_048_576, 1_048_577];
const challenge = bytesOf(32, 1);
const sum = (...bodies: readonly Uint8Array[]) => {
  const total = new Uint8Array(bodies[0]!.length);
  for (const body of bodies) scalarKernel.addScaled(total, body, 1);
  return total;
};
const scaled = (body: Uint8Array, coefficient: number) => {
  const product = new Uint8Array(body.length);
  scalarKernel.addScaled(product, body, coefficient);
  return product;
};

describe.each(LENGTHS)("of a body of %i bytes", (lengthBytes) => {
  const [a, b] = [bytesOf(lengthBytes, 2), bytesOf(lengthBytes, 3)];
  const of = (bytes: Uint8Array, by = challenge) => fingerprintOf(bytes, by, simdKernel);

  test("is linear over the field, as the sum of layers is", () => {
    expect(of(a)).toHaveLength(fingerprintBytes(lengthBytes));
    expect(of(sum(a, b))).toEqual(sum(of(a), of(b)));
    expect(of(scaled(a, 0x53))).toEqual(scaled(of(a), 0x53));
    expect(of(new Uint8Array(lengthBytes))).toEqual(new Uint8Array(fingerprintBytes(lengthBytes)));
  });

  test("is another one when a bit is, wherever it is, or the challenge", () => {
    for (const at of [0, lengthBytes >> 1, lengthBytes - 1]) {
      const changed = a.slice();
      changed[at]! ^= 0x80;
      expect(of(changed)).not.toEqual(of(a));
    }
    expect(of(a, bytesOf(32, 9))).not.toEqual(of(a));
  });

  test("is the same by the other kernel, and however the body is cut", () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: lengthBytes }), { maxLength: 5 }), (cuts) => {
        const fingerprinter = createFingerprinter(challenge, lengthBytes, simdKernel);
        const ends = [0, ...cuts.sort((x, y) => x - y), lengthBytes];
        for (const [i, end] of ends.slice(1).entries()) fingerprinter.add(a.subarray(ends[i], end));
        expect(fingerprinter.fingerprint()).toEqual(of(a));
      }),
      { numRuns: 10 },
    );
    expect(fingerprintOf(a, challenge, scalarKernel)).toEqual(of(a));
  });
});

test("shares of one polynomial have fingerprints on one polynomial, and a share of another one has not", () => {
  const [secret, slope] = [bytesOf(5_000, 4), bytesOf(5_000, 5)];
  const share = (point: number) => sum(secret, scaled(slope, point));
  const points = [1, 2, 3];
  const at = (prints: readonly Uint8Array[]) => {
    const [first, second] = lagrangeCoefficients([1, 2], 3);
    return sum(scaled(prints[0]!, first!), scaled(prints[1]!, second!));
  };
  const prints = points.map((point) => fingerprintOf(share(point), challenge, simdKernel));
  expect(at(prints)).toEqual(prints[2]);
  const wrong = share(3);
  wrong[4_999]! ^= 1;
  expect(at(prints)).not.toEqual(fingerprintOf(wrong, challenge, simdKernel));
});

test("a wrong byte that cancels under one challenge does not under another: no difference is good for all of them", () => {
  // Two blocks that differ by multiples of each other cancel in a fold once in 256 times; in all eight folds never here.
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 32, maxLength: 600 }),
      fc.uint8Array({ minLength: 32, maxLength: 32 }),
      (body, by) => {
        fc.pre(body.some((byte) => byte !== 0));
        expect(fingerprintOf(body, by, simdKernel).some((byte) => byte !== 0)).toBe(true);
      },
    ),
  );
});
