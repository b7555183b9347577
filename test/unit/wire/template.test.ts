import { randomBytes, randomInt } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { encodeCanonical } from "../../../protocols/wire/codec.ts";
import { filled, template } from "../../../protocols/wire/template.ts";

const PROPERTY = { seed: randomInt(2 ** 31), numRuns: 100 };

test("what is filled in is what would have been encoded", () => {
  const make = (values: readonly Uint8Array[]) => ({
    version: 1,
    one: values[0]!,
    list: [values[1]!, "x", values[2]!],
  });
  const lengths = fc.tuple(...[0, 1, 2].map(() => fc.integer({ min: 2, max: 700 })));
  fc.assert(
    fc.property(lengths, (sizes) => {
      const made = template(sizes, make);
      for (let round = 0; round < 2; round += 1) {
        const values = sizes.map((size) => new Uint8Array(randomBytes(size)));
        const expected = encodeCanonical(make(values));
        expect(Buffer.compare(made.fill(...values), expected)).toBe(0);
        expect(Buffer.compare(filled("test", values, make), expected)).toBe(0);
        expect(made.lengthBytes).toBe(expected.length);
      }
    }),
    PROPERTY,
  );
});

test("a value that is not in the message, or is in it twice, is a fault of ours", () => {
  expect(() => template([32, 32], ([one]) => [one!])).toThrow(/hole/);
  expect(() => template([32], ([one]) => [one!, one!])).toThrow(/hole/);
});
