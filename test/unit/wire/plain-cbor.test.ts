import { randomInt } from "node:crypto";
import { decode, encode, rfc8949EncodeOptions } from "cborg";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type CborValue, decodeCanonical, encodeCanonical } from "../../../protocols/wire/codec.ts";
import { decodePlain, encodePlain } from "../../../protocols/wire/plain-cbor.ts";

const PROPERTY = { seed: randomInt(2 ** 31), numRuns: 2_000 };

const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((value) => new Uint8Array(value));
const ascii = (maxLength: number) => fc.string({ unit: "binary-ascii", maxLength });
/** The numbers on both sides of each length of a head. */
const edges = [0, 23, 24, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER - 1];
const whole = fc.oneof(fc.constantFrom(...edges, ...edges.map((edge) => -1 - edge)), fc.integer(), fc.maxSafeInteger());

const { plain } = fc.letrec<{ plain: CborValue }>((tie) => ({
  plain: fc.oneof(
    { depthSize: "small" },
    ...[fc.constant(null), fc.boolean(), whole, ascii(300), bytes(300)],
    fc.array(tie("plain"), { maxLength: 30 }),
    fc.dictionary(ascii(30), tie("plain"), { maxKeys: 30, noNullPrototype: true }),
  ),
}));
const any = fc.oneof(
  plain,
  fc.constantFrom<CborValue>(Number.MAX_SAFE_INTEGER, 0.5, -0.25, 1e300, "ä", "\ud800", "\ufffd", { ö: 1 }),
  fc.dictionary(fc.string({ unit: "binary", maxLength: 30 }), fc.oneof(plain, fc.double(), fc.string()), {
    noNullPrototype: true,
  }) as fc.Arbitrary<CborValue>,
);

const strict = { strict: true, allowIndefinite: false, allowUndefined: false, allowInfinity: false, allowNaN: false };
const byCborg = { ...strict, allowBigInt: false, rejectDuplicateMapKeys: true };
const encodedByCborg = (value: CborValue) => encode(value, rfc8949EncodeOptions);

/** What cborg and a comparison say of these bytes; undefined when they are not in their one form. */
function judged(encoded: Uint8Array): CborValue | undefined {
  try {
    const value = decode(encoded, byCborg) as CborValue;
    return Buffer.compare(encodedByCborg(value), encoded) === 0 ? value : undefined;
  } catch {
    return undefined;
  }
}

describe("what is read and written without cborg", () => {
  test("is what cborg writes, and is read back", () => {
    fc.assert(
      fc.property(plain, (value) => {
        const encoded = encodedByCborg(value);
        const written = encodePlain(value);
        if (written !== undefined) expect(Buffer.compare(written, encoded)).toBe(0);
        const read = decodePlain(encoded);
        if (read !== undefined) expect(read).toEqual(decode(encoded, byCborg));
      }),
      PROPERTY,
    );
  });

  test("is nearly everything", () => {
    const message = { id: 7, protocol: "/p/1", body: { list: [-1, null, true, "x"], bytes: new Uint8Array(5_000) } };
    expect(encodePlain(message)).toEqual(new Uint8Array(encodedByCborg(message)));
    expect(decodePlain(encodedByCborg(message))).toEqual(message);
  });

  test("of bytes that were changed, only those are taken that are in their one form", () => {
    const changed = fc.tuple(any, fc.nat(), fc.integer({ min: 0, max: 255 }), fc.constantFrom("set", "cut", "add"));
    fc.assert(
      fc.property(changed, ([value, place, byte, how]) => {
        const encoded = encodedByCborg(value);
        const at = place % encoded.length;
        const wrong =
          how === "cut"
            ? encoded.slice(0, at)
            : how === "add"
              ? new Uint8Array(Buffer.concat([encoded.subarray(0, at), Uint8Array.of(byte), encoded.subarray(at)]))
              : encoded.map((each, i) => (i === at ? byte : each));
        const read = decodePlain(wrong);
        if (read !== undefined) expect(read).toEqual(judged(wrong));
      }),
      { ...PROPERTY, numRuns: 20_000 },
    );
  });

  test("random bytes that begin like a map or a list", () => {
    const random = fc.tuple(fc.constantFrom(0x81, 0x82, 0xa1, 0xa2, 0xa3), bytes(24));
    fc.assert(
      fc.property(random, ([first, rest]) => {
        const encoded = Uint8Array.of(first, ...rest);
        const read = decodePlain(encoded);
        if (read !== undefined) expect(read).toEqual(judged(encoded));
      }),
      { ...PROPERTY, numRuns: 20_000 },
    );
  });

  test("all values are taken by the codec, whoever does the work", () => {
    fc.assert(
      fc.property(any, (value) => {
        const encoded = encodeCanonical(value);
        expect(Buffer.compare(encoded, encodedByCborg(value))).toBe(0);
        if (judged(encoded) !== undefined) expect(decodeCanonical(encoded)).toEqual(judged(encoded));
      }),
      PROPERTY,
    );
  });

  test.each([
    ["a longer head than needed", "1817"],
    ["a longer head of a length", "590001aa"],
    ["a number that is no safe integer", "1b0020000000000000"],
    ["keys in another order", "a2616201616102"],
    ["a longer key first", "a262626201616102"],
    ["a key twice", "a2616101616102"],
    ["a key that is no text", "a10101"],
    ["what JavaScript does not keep as a field", "a1695f5f70726f746f5f5fa0"],
    ["a float", "f93c00"],
    ["a tag", "c000"],
    ["undefined", "f7"],
    ["an indefinite length", "9f01ff"],
    ["text that is no UTF-8", "61ff"],
    ["something behind the value", "0000"],
    ["nothing", ""],
    ["a list that is cut off", "8201"],
    ["lists in lists", `${"81".repeat(20)}00`],
  ])("%s is left to cborg", (_, hex) => {
    expect(decodePlain(Buffer.from(hex, "hex"))).toBeUndefined();
  });

  test("a list of more items than there are bytes costs nothing", () => {
    expect(() => decodeCanonical(Buffer.from("9affffffff00", "hex"))).toThrow(/not a CBOR message/);
  });

  test("the memory of what was read and written is its own", () => {
    const encoded = Buffer.from(encodedByCborg({ secret: new Uint8Array(32).fill(7) }));
    const read = decodePlain(encoded) as { secret: Uint8Array };
    encoded.fill(0);
    expect(read.secret).toEqual(new Uint8Array(32).fill(7));
    const first = encodePlain("first")!;
    encodePlain("other");
    expect(decodePlain(first)).toBe("first");
    expect(first.buffer.byteLength).toBe(first.length);
  });
});
