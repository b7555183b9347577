import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { reportReceipts } from "../../../client/receipts-report.ts";
import { signerFromSeed } from "../../../protocols/crypto/signing.ts";
import {
  encodeDestroyed,
  encodeReceipts,
  isUnrecoverable,
  looksLikeReceipts,
  neededToDestroy,
  readDestroyed,
  readReceipts,
} from "../../../protocols/custody/destroyed.ts";
import { readReceipt, signReceipt } from "../../../protocols/custody/receipt.ts";
import type { Token } from "../../../protocols/tokens/token.ts";
import { type CborValue, decodeCanonical, encodeCanonical } from "../../../protocols/wire/codec.ts";
import { flipBit, fromHex, loadVectors, toHex } from "../../support/vectors.ts";

const golden = loadVectors<{
  token: string;
  manifest: string;
  tokenId: string;
  seeds: string[];
  roster: string[];
  requests: string[];
  receipts: string[];
  file: string;
  destroyed: string;
  wrong: { why: string; request: string; receipt: string }[];
}>("receipt/golden");

const token = fromHex(golden.token);
const manifest = fromHex(golden.manifest);
const file = fromHex(golden.file);
const [first = new Uint8Array(), second = new Uint8Array()] = golden.requests.map(fromHex);
const [fromHome = new Uint8Array(), fromThird = new Uint8Array()] = golden.receipts.map(fromHex);
const [home = "", , third = ""] = golden.roster;

const destroyedBy = (request: Uint8Array, receipt: Uint8Array) =>
  encodeDestroyed({ token, manifest, change: null, request, receipt });
const fileOf = (requests: Uint8Array[], receipts: Uint8Array[]) =>
  encodeCanonical({ token, manifest, change: null, requests, receipts });

describe("a receipt", () => {
  it("is signed byte for byte as the second implementation signs it", () => {
    for (const [i, bytes] of [fromHome, fromThird].entries()) {
      const { receipt, signatureValid } = readReceipt(bytes);
      expect(signatureValid).toBe(true);
      const signer = signerFromSeed(fromHex(golden.seeds[2 * i] ?? ""));
      expect(toHex(signReceipt(receipt, signer))).toBe(golden.receipts[i]);
    }
  });

  it.each(golden.wrong)("$why: does not hold", ({ request, receipt }) => {
    expect(() => readDestroyed(destroyedBy(fromHex(request), fromHex(receipt)))).toThrow(
      expect.objectContaining({ code: "DESTROYED_BROKEN", status: "integrity" }),
    );
    const [line] = readReceipts(fileOf([fromHex(request)], [fromHex(receipt)])).receipts;
    expect(line?.problem).toEqual(expect.any(String));
  });

  it("does not survive the flip of any bit of what one provider answers with", () => {
    const bytes = fromHex(golden.destroyed);
    expect(readDestroyed(bytes)).toMatchObject({ roster: golden.roster, receipt: { peer: home } });
    fc.assert(
      fc.property(fc.nat(bytes.length * 8 - 1), (bit) => {
        expect(() => readDestroyed(flipBit(bytes, bit))).toThrow();
      }),
    );
  });
});

describe("a file of receipts", () => {
  it("holds each request of the owner once, and reads back as it was written", () => {
    const collected = [destroyedBy(first, fromHome), destroyedBy(second, fromThird)].map(readDestroyed);
    expect(toHex(encodeReceipts(collected))).toBe(golden.file);
    expect(() => encodeReceipts([])).toThrow(expect.objectContaining({ code: "NO_RECEIPTS" }));
    expect(readReceipts(file).receipts.map(({ receipt, problem }) => [receipt?.peer, problem])).toEqual([
      [home, undefined],
      [third, undefined],
    ]);
  });

  it("is reported with what it proves: 2 of 3 is enough when 2 are needed to read", () => {
    expect(reportReceipts(file, undefined)).toMatchObject({
      ...{ valid: true, tokenId: golden.tokenId, destroyed: 2, needed: 2, unrecoverable: true, federation: null },
      receipts: [
        { provider: null, peer: home, share: true, ciphertext: true, valid: true },
        { provider: null, peer: third, share: true, ciphertext: false, valid: true },
      ],
      missing: [golden.roster[1]],
    });
    const one = reportReceipts(fileOf([first], [fromHome]), undefined);
    expect(one).toMatchObject({ valid: true, destroyed: 1, needed: 2, unrecoverable: false });
  });

  it("counts a provider once, however often its receipt is there", () => {
    const report = reportReceipts(fileOf([first], [fromHome, fromHome]), undefined);
    expect(report).toMatchObject({ valid: false, destroyed: 1, unrecoverable: false });
    expect(report.receipts[1]?.problem).toContain("twice");
  });

  it("names who is a stranger to the federation", () => {
    const members = { providers: [home, third], dealers: [], nameOf: (peer: string) => `name of ${peer}` };
    expect(reportReceipts(file, members)).toMatchObject({
      valid: false,
      receipts: [{ provider: `name of ${home}` }, { provider: `name of ${third}` }],
      federation: { valid: false, strangers: [golden.roster[1]] },
    });
  });

  it("of two deposits at once is refused", () => {
    const other = encodeCanonical({ ...(decodeCanonical(token) as { [key: string]: CborValue }), lengthBytes: 7 });
    // Another token on the same manifest: each receipt is of another deposit.
    const lines = readReceipts(
      encodeCanonical({ token: other, manifest, change: null, requests: [first], receipts: [fromHome] }),
    );
    expect(lines.receipts.map(({ problem }) => problem)).toEqual(["it is of another deposit"]);
    const elsewhere = encodeCanonical({
      ...(decodeCanonical(token) as { [key: string]: CborValue }),
      manifestDigest: new Uint8Array(32),
    });
    expect(() =>
      readReceipts(
        encodeCanonical({ token: elsewhere, manifest, change: null, requests: [first], receipts: [fromHome] }),
      ),
    ).toThrow(expect.objectContaining({ code: "RECEIPTS_BROKEN" }));
  });

  it("is told from a proof and from anything else, and junk is an error of ours", () => {
    expect(looksLikeReceipts(file)).toBe(true);
    for (const bytes of [new Uint8Array(), encodeCanonical({}), encodeCanonical({ receipts: [] }), flipBit(file, 3)]) {
      expect(looksLikeReceipts(bytes)).toBe(false);
      expect(() => readReceipts(bytes)).toThrow(expect.objectContaining({ code: "RECEIPTS_BROKEN" }));
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(() => readReceipts(bytes)).toThrow(expect.objectContaining({ code: "RECEIPTS_BROKEN" }));
      }),
    );
  });
});

it("n-t+1 make a message unrecoverable", () => {
  const site = { roster: ["1", "2", "3", "4", "5"], copies: 2, token: { protocol: 3 } as Token };
  const needed = (threshold: number) => neededToDestroy({ ...site, threshold });
  expect([2, 3, 4, 5].map(needed)).toEqual([4, 3, 2, 1]);
  expect(isUnrecoverable({ ...site, threshold: 4 }, ["5"])).toBe(false);
  expect(isUnrecoverable({ ...site, threshold: 4 }, ["5", "3", "3"])).toBe(true);
});

it("in Protocol 1 all that keep the ciphertext make it unrecoverable, and nobody else", () => {
  const token = { protocol: 1 } as Token;
  const site = { roster: ["1", "2", "3", "4", "5"], copies: 2, threshold: 3, token };
  expect(neededToDestroy(site)).toBe(2);
  expect(isUnrecoverable(site, ["2", "3", "4", "5"])).toBe(false);
  expect(isUnrecoverable(site, ["2", "1"])).toBe(true);
});
