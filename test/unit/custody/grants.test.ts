import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  allows,
  compareGrants,
  type Grant,
  type GrantList,
  grantListOf,
  isExpired,
  readKeptGrants,
  requireGrantable,
} from "../../../protocols/custody/grants.ts";
import { CLOCK_SKEW_MS } from "../../../protocols/identity/constants.ts";
import { checkRequest } from "../../../protocols/identity/request.ts";
import { encodeCanonical } from "../../../protocols/wire/codec.ts";
import { flipBit, fromHex, loadVectors } from "../../support/vectors.ts";

const golden = loadVectors<{
  owner: string;
  people: string[];
  tokenId: string;
  signedAtMs: number;
  lists: string[];
  wrong: { why: string; request: string }[];
}>("grants/golden");
const { signedAtMs } = golden;
const requests = golden.lists.map(fromHex);

describe("a signed list of grants", () => {
  it("of the second implementation is read, and kept as it came", () => {
    const read = requests.map(readKeptGrants);
    expect(read.map(({ list }) => [list.version, list.madeAtMs - signedAtMs, list.grants.length])).toEqual([
      ...[
        [1, -9, 1],
        [1, -8, 1],
        [2, -99, 0],
      ],
      [24, 0, 3],
    ]);
    for (const [i, { owner, request, list }] of read.entries()) {
      expect(owner).toBe(golden.owner);
      expect(request).toBe(requests[i]);
      expect(Buffer.from(list.tokenId).toString("hex")).toBe(golden.tokenId);
    }
    expect(read[3]?.list.grants.map(({ identity }) => identity)).toEqual(golden.people);
  });

  it.each(golden.wrong)("with $why is refused", ({ request }) => {
    expect(() => readKeptGrants(fromHex(request))).toThrow(
      expect.objectContaining({ status: expect.stringMatching(/^(bad-request|refused)$/) }),
    );
  });

  it("with any bit flipped is refused", () => {
    const [request = new Uint8Array()] = requests;
    fc.assert(
      fc.property(fc.nat(request.length * 8 - 1), (bit) => {
        expect(() => readKeptGrants(flipBit(request, bit))).toThrow();
      }),
    );
  });

  it("is taken for two minutes after it was signed, and read for ever", () => {
    const [request = new Uint8Array()] = requests;
    const at = (nowMs: number) => grantListOf(request, checkRequest(request, "grant", nowMs));
    expect(at(signedAtMs + 120_000).list.version).toBe(1);
    for (const nowMs of [signedAtMs + 120_001, signedAtMs + 7_200_000, signedAtMs - CLOCK_SKEW_MS - 1]) {
      expect(() => at(nowMs)).toThrow(expect.objectContaining({ status: "expired" }));
    }
    expect(readKeptGrants(request).list.version).toBe(1);
  });
});

const grant = fc.record<Grant>({
  identity: fc.constantFrom(...golden.people),
  purposes: fc.constantFrom(["show"], ["retrieve"], ["retrieve", "show"]),
  expiresAtMs: fc.option(fc.nat(3)),
});
/** Few different ones, so that equal versions and equal times meet. */
const list = fc.record<GrantList>({
  tokenId: fc.constant(fromHex(golden.tokenId)),
  version: fc.integer({ min: 1, max: 3 }),
  madeAtMs: fc.nat(2),
  grants: fc.array(grant, { maxLength: 2 }),
});

describe("which list is newer", () => {
  it("is told by the version, then by when it was made", () => {
    const lists = requests.map((request) => readKeptGrants(request).list);
    for (const [i, a] of lists.entries()) {
      for (const [j, b] of lists.entries()) expect(Math.sign(compareGrants(a, b))).toBe(Math.sign(i - j));
    }
  });

  it("is a total order: every two lists are in one order, everywhere, and only equal ones are the same", () => {
    fc.assert(
      fc.property(list, list, list, (a, b, c) => {
        expect(Math.sign(compareGrants(a, b))).toBe(-Math.sign(compareGrants(b, a)) || 0);
        const same = Buffer.compare(encodeCanonical(a), encodeCanonical(b)) === 0;
        expect(compareGrants(a, b) === 0).toBe(same);
        if (compareGrants(a, b) > 0 && compareGrants(b, c) > 0) expect(compareGrants(a, c)).toBeGreaterThan(0);
      }),
    );
  });
});

describe("what a grant allows", () => {
  it("retrieve brings show with it, and show nothing else", () => {
    expect(allows({ purposes: ["retrieve"] }, "show")).toBe(true);
    expect(allows({ purposes: ["show"] }, "show")).toBe(true);
    expect(allows({ purposes: ["show"] }, "retrieve")).toBe(false);
  });

  it("ends with its last millisecond, or never", () => {
    expect([99, 100, 101].map((nowMs) => isExpired({ expiresAtMs: 100 }, nowMs))).toEqual([false, false, true]);
    expect(isExpired({ expiresAtMs: null }, Number.MAX_SAFE_INTEGER)).toBe(false);
  });

  it("is for Protocol 3 only", () => {
    requireGrantable({ protocol: 3 });
    for (const protocol of [1, 2]) {
      expect(() => requireGrantable({ protocol })).toThrow(
        expect.objectContaining({ code: "NOT_GRANTABLE", status: "refused" }),
      );
    }
  });
});
