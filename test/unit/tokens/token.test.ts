import { bech32, bech32m } from "@scure/base";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MAX_MESSAGE_BYTES, MAX_TOKEN_BYTES } from "../../../protocols/tokens/constants.ts";
import { decodeToken, encodeToken, type Token, tokenIdOf } from "../../../protocols/tokens/token.ts";
import { formatTokenText, parseTokenText } from "../../../protocols/tokens/token-text.ts";
import { type CborValue, encodeCanonical } from "../../../protocols/wire/codec.ts";
import { fromHex, loadVectors, toHex } from "../../support/vectors.ts";

type TokenFields = Omit<Token, "digest" | "dealId" | "manifestDigest"> & {
  readonly [name in "digest" | "dealId" | "manifestDigest"]: string;
};
const golden = loadVectors<{ vectors: { token: TokenFields; bytes: string; id: string; text: string }[] }>(
  "token/golden",
).vectors;
const bip350 = loadVectors<{ valid: string[]; invalid: { text: string; why: string }[] }>("bech32m/bip350");

const [sample] = golden as [(typeof golden)[number]];
const token = tokenOf(sample.token);
const badToken = expect.objectContaining({ code: "BAD_TOKEN", status: "bad-request" });

function tokenOf(fields: TokenFields): Token {
  const { digest, dealId, manifestDigest } = fields;
  return { ...fields, digest: fromHex(digest), dealId: fromHex(dealId), manifestDigest: fromHex(manifestDigest) };
}

describe("a token", () => {
  it.each(golden)("has the golden bytes, id and text: $text", ({ token: fields, bytes, id, text }) => {
    expect(toHex(encodeToken(tokenOf(fields)))).toBe(bytes);
    expect(decodeToken(fromHex(bytes))).toEqual(tokenOf(fields));
    expect(toHex(tokenIdOf(fromHex(bytes)))).toBe(id);
    expect(formatTokenText({ tokenId: fromHex(id), home: fields.home })).toBe(text);
    expect(parseTokenText(text)).toEqual({ tokenId: fromHex(id), home: fields.home });
  });

  const changed = (changes: Record<string, CborValue | undefined>) => {
    const entries = Object.entries({ ...token, ...changes }).filter(([, value]) => value !== undefined);
    return encodeCanonical(Object.fromEntries(entries) as CborValue);
  };

  it.each<[string, Record<string, CborValue | undefined>]>([
    ["an unknown field", { more: 1 }],
    ["another version", { version: 2 }],
    ["a short digest", { digest: new Uint8Array(31) }],
    ["a digest as text", { digest: "d".repeat(32) }],
    ["no owner", { owner: "" }],
    ["an endless owner", { owner: "o".repeat(257) }],
    ["an endless home", { home: "h".repeat(65) }],
    ["a negative time", { createdAtMs: -1 }],
    ["a long deal id", { dealId: new Uint8Array(17) }],
    ["one provider", { providers: 1 }],
    ["255 providers", { providers: 255 }],
    ["a threshold of 1, with which any provider reads alone", { threshold: 1 }],
    ["a threshold of 255", { threshold: 255 }],
    ["Protocol 4", { protocol: 4 }],
    ["an unknown route", { route: "ring" }],
    ["no bytes", { lengthBytes: 0 }],
    ["too many bytes", { lengthBytes: MAX_MESSAGE_BYTES + 1 }],
    ["no copies", { copies: 0 }],
    ["an unknown form", { policy: { form: "half" } }],
    ["an unknown field of the policy", { policy: { form: "whole", more: 1 } }],
    ...Object.keys(token).map((field): [string, Record<string, undefined>] => [`no ${field}`, { [field]: undefined }]),
  ])("with %s is malformed", (_, changes) => {
    expect(() => decodeToken(changed(changes))).toThrow(expect.objectContaining({ code: "BAD_MESSAGE" }));
  });

  it("is of a whole message or of an envelope key", () => {
    for (const form of ["whole", "envelope", "detached"])
      expect(decodeToken(changed({ policy: { form } })).policy.form).toBe(form);
  });

  it("has another id for every change of a field", () => {
    const changes: Record<string, CborValue>[] = [
      ...[{}, { digest: new Uint8Array(32) }, { owner: "key:other" }, { home: "other" }, { createdAtMs: 1 }],
      ...[{ dealId: new Uint8Array(16) }, { manifestDigest: new Uint8Array(32) }, { providers: 4 }, { threshold: 3 }],
      ...[{ protocol: 2 }, { route: "fanout" }, { lengthBytes: 1 }, { copies: 3 }],
    ];
    expect(new Set(changes.map((change) => toHex(tokenIdOf(changed(change))))).size).toBe(changes.length);
  });

  it("fits into what we accept, however long its names are", () => {
    const longest = { ...token, owner: "o".repeat(256), home: "h".repeat(64), lengthBytes: MAX_MESSAGE_BYTES };
    expect(encodeToken(longest).length).toBeLessThanOrEqual(MAX_TOKEN_BYTES);
    expect(decodeToken(encodeToken(longest))).toEqual(longest);
  });
});

describe("a token's text", () => {
  const { text } = sample;
  const parsed = parseTokenText(text);

  it("any other character in any place is noticed", () => {
    const others = "abcdefghijklmnopqrstuvwxyz0123456789ABQZ !-_.";
    for (let at = 0; at < text.length; at++) {
      for (const other of others) {
        if (other === text[at] || (other === " " && at === text.length - 1)) continue;
        expect(() => parseTokenText(text.slice(0, at) + other + text.slice(at + 1))).toThrow(badToken);
      }
    }
  });

  it("a missing, doubled or added character is noticed", () => {
    for (let at = 0; at < text.length; at++) {
      expect(() => parseTokenText(text.slice(0, at) + text.slice(at + 1))).toThrow(badToken);
      expect(() => parseTokenText(text.slice(0, at) + text[at] + text.slice(at))).toThrow(badToken);
    }
    for (const more of ["q", "p", "1", "qqqqqqqq"]) expect(() => parseTokenText(text + more)).toThrow(badToken);
  });

  it("two neighbours exchanged are noticed", () => {
    for (let at = 0; at < text.length - 1; at++) {
      const [a, b] = [text[at] as string, text[at + 1] as string];
      if (a === b) continue;
      expect(() => parseTokenText(text.slice(0, at) + b + a + text.slice(at + 2))).toThrow(badToken);
    }
  });

  it("three wrong characters are noticed", () => {
    const place = fc.integer({ min: 4, max: text.length - 1 });
    const char = fc.constantFrom(..."qpzry9x8gf2tvdw0s3jn54khce6mua7l");
    fc.assert(
      fc.property(fc.array(fc.tuple(place, char), { minLength: 1, maxLength: 3 }), (changes) => {
        const chars = [...text];
        for (const [at, other] of changes) chars[at] = other;
        fc.pre(chars.join("") !== text);
        expect(() => parseTokenText(chars.join(""))).toThrow(badToken);
      }),
      { numRuns: 2_000 },
    );
  });

  it("may have space around it, and be all in capitals", () => {
    for (const same of [` ${text}\n`, `\t${text}\r\n`, text.toUpperCase()])
      expect(parseTokenText(same)).toEqual(parsed);
    expect(() => parseTokenText(text.replace("ict1", "ICT1"))).toThrow(badToken);
    expect(() => parseTokenText(`${text.slice(0, 30)} ${text.slice(30)}`)).toThrow(badToken);
  });

  const payload = bech32m.fromWords(bech32m.decode(text as `ict1${string}`, false).words);
  const encode = (bytes: Uint8Array, prefix = "ict") => bech32m.encode(prefix, bech32m.toWords(bytes), false);

  it.each([
    ["nothing", ""],
    ["the prefix alone", "ict1"],
    ["garbage", "hello, world"],
    ["the older checksum, of BIP 173", bech32.encode("ict", bech32.toWords(payload), false)],
    ["another prefix", encode(payload, "icx")],
    ["another format", encode(Uint8Array.of(2, ...payload.subarray(1)))],
    ["a byte less", encode(payload.subarray(0, -1))],
    ["a byte more", encode(Uint8Array.of(...payload, 0))],
    ["no payload", encode(new Uint8Array())],
    ["an endless payload", encode(new Uint8Array(10_000))],
  ])("%s is none", (_, wrong) => {
    expect(encode(payload)).toBe(text);
    expect(() => parseTokenText(wrong)).toThrow(badToken);
  });

  it("has one form: its 65 bytes are exactly 104 words, and none may follow", () => {
    const { words } = bech32m.decode(text as `ict1${string}`, false);
    expect(words.length * 5).toBe(payload.length * 8);
    expect(() => parseTokenText(bech32m.encode("ict", [...words, 0], false))).toThrow(badToken);
  });

  it("cannot be made for a home without an Ed25519 key", () => {
    expect(() => formatTokenText({ tokenId: parsed.tokenId, home: "provider-1" })).toThrow(
      expect.objectContaining({ code: "BAD_PEER_NAME" }),
    );
  });

  it("of anything is the same again when it is read", () => {
    const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 });
    fc.assert(
      fc.property(bytes32, fc.constantFrom(...golden.map((each) => each.token.home)), (tokenId, home) => {
        expect(parseTokenText(formatTokenText({ tokenId, home }))).toEqual({ tokenId, home });
      }),
    );
  });
});

describe("BIP 350", () => {
  it.each(bip350.valid)("%s is bech32m, and no token", (text) => {
    const { prefix, words } = bech32m.decode(text as `${string}1${string}`);
    expect(bech32m.encode(prefix, words)).toBe(text.toLowerCase());
    expect(() => parseTokenText(text)).toThrow(badToken);
  });

  it.each(bip350.invalid)("$why: $text", ({ text }) => {
    expect(bech32m.decodeUnsafe(text)).toBeUndefined();
    expect(() => parseTokenText(text)).toThrow(badToken);
  });
});
