import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { RoundDescriptor, Route } from "../../../protocols/rounds/index.ts";
import { bytesOf, collect, sourceOf } from "../../support/bytes.ts";
import { toHex } from "../../support/vectors.ts";
import { dealByHand, descriptorOf, type HandDeal, peerOf, seedOf, throughProviders, userLayer } from "./dealt.ts";

const members = (points: readonly number[]) => points.map((point) => ({ point, peer: peerOf(point) }));

function xor(a: Uint8Array, b: Uint8Array): Uint8Array {
  return a.map((byte, i) => byte ^ (b[i] as number));
}

/** Deposit: the user's transform, then all providers. */
function deposit(deal: HandDeal, route: Route, message: Uint8Array, chunkBytes: number): Promise<Uint8Array> {
  const n = deal.shares.length - 1;
  const descriptor = descriptorOf({
    ...{ kind: "deposit", route, userPoint: n + 1, lengthBytes: message.length },
    members: members(Array.from({ length: n }, (_, i) => i + 1)),
  });
  const masked = userLayer(deal, descriptor)(sourceOf(message.slice(), chunkBytes));
  return collect(throughProviders(deal, descriptor, masked));
}

/** Retrieval of a range: these providers, then the user's transform. */
function retrieve(
  deal: HandDeal,
  ciphertext: Uint8Array,
  fields: Partial<RoundDescriptor> & { readonly points: readonly number[] },
  chunkBytes = 1_000,
): Promise<Uint8Array> {
  const { points, ...rest } = fields;
  const offsetBytes = fields.offsetBytes ?? 0;
  const lengthBytes = fields.lengthBytes ?? ciphertext.length - offsetBytes;
  const descriptor = descriptorOf({ ...rest, members: members(points), offsetBytes, lengthBytes });
  const range = ciphertext.slice(offsetBytes, offsetBytes + lengthBytes);
  return collect(userLayer(deal, descriptor)(throughProviders(deal, descriptor, sourceOf(range, chunkBytes))));
}

const RUNS = { numRuns: 40 };

/** n, t, a length, a way to cut, and who answers, in which order. */
const cases = fc
  .record({ n: fc.integer({ min: 2, max: 9 }), t: fc.integer({ min: 2, max: 9 }), name: fc.string({ maxLength: 5 }) })
  .map(({ n, t, name }) => ({ n, t: Math.min(n, t), name }))
  .chain((base) =>
    fc.record({
      base: fc.constant(base),
      lengthBytes: fc.integer({ min: 1, max: 300 }),
      chunkBytes: fc.integer({ min: 1, max: 400 }),
      route: fc.constantFrom<Route>("chain", "fanout"),
      order: fc.shuffledSubarray(
        Array.from({ length: base.n }, (_, i) => i + 1),
        { minLength: base.n, maxLength: base.n },
      ),
      cut: fc.nat(299),
    }),
  );

describe("a whole round", () => {
  it("a deposit is the message XOR f(0), in both routes and for any n and t", async () => {
    await fc.assert(
      fc.asyncProperty(cases, async ({ base: { n, t, name }, lengthBytes, chunkBytes, route }) => {
        const deal = dealByHand(name, t, n, lengthBytes);
        const message = bytesOf(lengthBytes, 1);
        const ciphertext = await deposit(deal, route, message, chunkBytes);
        expect(toHex(ciphertext)).toBe(toHex(xor(message, deal.secret)));
      }),
      RUNS,
    );
  });

  it("Protocol 3: any t providers in any order give the message back", async () => {
    await fc.assert(
      fc.asyncProperty(cases, async ({ base: { n, t, name }, lengthBytes, chunkBytes, route, order }) => {
        const deal = dealByHand(name, t, n, lengthBytes);
        const message = bytesOf(lengthBytes, 2);
        const ciphertext = xor(message, deal.secret);
        const got = await retrieve(deal, ciphertext, { route, points: order.slice(0, t) }, chunkBytes);
        expect(toHex(got)).toBe(toHex(message));
      }),
      RUNS,
    );
  });

  it("Protocol 2: any t-1 providers and the user's own share give the message back", async () => {
    await fc.assert(
      fc.asyncProperty(cases, async ({ base: { n, t, name }, lengthBytes, chunkBytes, route, order }) => {
        const deal = dealByHand(name, t, n, lengthBytes);
        const message = bytesOf(lengthBytes, 3);
        const ciphertext = xor(message, deal.secret);
        const fields = { route, points: order.slice(0, t - 1), userPoint: n + 1 };
        expect(toHex(await retrieve(deal, ciphertext, fields, chunkBytes))).toBe(toHex(message));
      }),
      RUNS,
    );
  });

  it("one provider too few gives something else", async () => {
    const deal = dealByHand("too few", 3, 5, 64);
    const ciphertext = xor(bytesOf(64, 4), deal.secret);
    const got = await retrieve(deal, ciphertext, { points: [1, 4] });
    expect(toHex(got)).not.toBe(toHex(bytesOf(64, 4)));
  });

  it("more providers than t do no harm", async () => {
    const deal = dealByHand("more", 3, 5, 64);
    const ciphertext = xor(bytesOf(64, 4), deal.secret);
    expect(await retrieve(deal, ciphertext, { points: [5, 2, 1, 4, 3] })).toEqual(bytesOf(64, 4));
  });

  it("any range of it is that range of the message", async () => {
    await fc.assert(
      fc.asyncProperty(cases, fc.integer({ min: 1, max: 300 }), async (all, wanted) => {
        const { base, lengthBytes, chunkBytes, route, order, cut } = all;
        const deal = dealByHand(base.name, base.t, base.n, lengthBytes);
        const message = bytesOf(lengthBytes, 5);
        const offsetBytes = cut % lengthBytes;
        const rangeBytes = Math.min(wanted, lengthBytes - offsetBytes);
        const fields = { route, points: order.slice(0, base.t), offsetBytes, lengthBytes: rangeBytes };
        const got = await retrieve(deal, xor(message, deal.secret), fields, chunkBytes);
        expect(toHex(got)).toBe(toHex(message.subarray(offsetBytes, offsetBytes + rangeBytes)));
      }),
      RUNS,
    );
  });

  it("the two routes give the same bytes, and so does any cut", async () => {
    const lengthBytes = 300_000;
    const deal = dealByHand("routes", 3, 5, lengthBytes);
    const message = bytesOf(lengthBytes, 6);
    const expected = toHex(xor(message, deal.secret));
    for (const route of ["chain", "fanout"] as const) {
      for (const chunkBytes of [lengthBytes, 65_536, 4_099]) {
        expect(toHex(await deposit(deal, route, message, chunkBytes))).toBe(expected);
      }
    }
  });
});

describe("what leaves a provider", () => {
  const deal = dealByHand("masks", 2, 3, 4_096);
  const base = { points: [1, 3] as const, lengthBytes: 4_096 };
  const out = (fields: Partial<RoundDescriptor>) => {
    const descriptor = descriptorOf({ members: members(base.points), lengthBytes: base.lengthBytes, ...fields });
    return collect(throughProviders(deal, descriptor, sourceOf(new Uint8Array(4_096), 4_096)));
  };

  /** Bits in which two pieces of 4 KiB differ; 16,384 of 32,768 on average, with a standard deviation of 91. */
  const distance = (a: Uint8Array, b: Uint8Array) =>
    xor(a, b).reduce((bits, byte) => bits + byte.toString(2).replaceAll("0", "").length, 0);

  it("is under masks: the sum of layers does not show", async () => {
    expect(Math.abs(distance(await out({}), deal.secret) - 16_384)).toBeLessThan(800);
  });

  it.each<[string, Partial<RoundDescriptor>]>([
    ["another nonce", { nonce: seedOf("another nonce").slice(0, 16) }],
    ["another expiry", { expiresAtMs: 1_700_000_000_001 }],
    ["another token", { tokenId: seedOf("another token") }],
    ["another kind", { kind: "deposit" }],
    ["another route", { route: "fanout" }],
    ["another order of the members", { members: members([3, 1]) }],
  ])("with %s it is unrelated, although the layers are the same", async (_, fields) => {
    expect(Math.abs(distance(await out({}), await out(fields)) - 16_384)).toBeLessThan(800);
  });

  it("is the same again for the same descriptor, so that asking twice teaches nothing", async () => {
    expect(await out({})).toEqual(await out({}));
  });
});
