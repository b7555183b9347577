import fc from "fast-check";
import { expect, test } from "vitest";
import { readsThatCover } from "../../../protocols/custody/client/check-generation.ts";
import type { Placement } from "../../../protocols/custody/placement.ts";

const placement = (providers: number, copies: number): Placement => {
  const roster = Array.from({ length: providers }, (_, i) => `peer ${i + 1}`);
  // The reads depend on who is there and who keeps the ciphertext only.
  return { generation: 1, manifest: {} as Placement["manifest"], roster, copies, kept: undefined };
};

const shapes = fc
  .integer({ min: 2, max: 12 })
  .chain((n) =>
    fc.record({ n: fc.constant(n), copies: fc.integer({ min: 1, max: n }), count: fc.integer({ min: 1, max: n }) }),
  );

test("every read has as many different members as it needs, one of whom keeps the ciphertext", () => {
  fc.assert(
    fc.property(shapes, ({ n, copies, count }) => {
      for (const members of readsThatCover(placement(n, copies), count)) {
        expect(new Set(members.map(({ point }) => point)).size).toBe(count);
        expect(members[0]!.holdsCiphertext).toBe(true);
        expect(members.every(({ peer, point }) => peer === `peer ${point}`)).toBe(true);
      }
    }),
  );
});

test("every provider has a part in a read, and there are not many more of them than that takes", () => {
  fc.assert(
    fc.property(shapes, ({ n, copies, count }) => {
      fc.pre(count > 1);
      const reads = readsThatCover(placement(n, copies), count);
      expect(new Set(reads.flat().map(({ point }) => point)).size).toBe(n);
      expect(reads.length).toBeLessThanOrEqual(Math.ceil((n - 1) / (count - 1)) + 1);
    }),
  );
});

test("when one provider is enough, each that keeps the ciphertext is read from once, and no other", () => {
  const reads = readsThatCover(placement(4, 2), 1);
  expect(reads.map((members) => members.map(({ point }) => point))).toEqual([[1], [2]]);
});
