import { createCipheriv } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { aesKeystream } from "../../../protocols/crypto/keystream.ts";
import { bytesOf } from "../../support/bytes.ts";
import { fromHex, loadVectors, toHex } from "../../support/vectors.ts";

const nist = loadVectors<{ key: string; counter: string; plaintext: string; ciphertext: string }>(
  "aes-ctr/sp800-38a-f.5.5",
);
const keySbox = loadVectors<{ vectors: { key: string; block0: string }[] }>("aes-ctr/aesavs-keysbox-256").vectors;

/** Counter mode as SP 800-38A section 6.5 writes it, from single blocks and a counter of 128 bits. */
function counterMode(key: Uint8Array, firstCounter: bigint, plaintext: Uint8Array): Uint8Array {
  const out = plaintext.slice();
  for (let start = 0; start < out.length; start += 16) {
    const counter = (firstCounter + BigInt(start / 16)).toString(16).padStart(32, "0");
    const cipher = createCipheriv("aes-256-ecb", key, null).setAutoPadding(false);
    const block = cipher.update(Buffer.from(counter, "hex"));
    for (let i = start; i < Math.min(start + 16, out.length); i++)
      out[i] = (out[i] as number) ^ (block[i - start] as number);
  }
  return out;
}

const KEY = fromHex(nist.key);

describe("AES-256 in counter mode", () => {
  it("SP 800-38A F.5.5, by the book", () => {
    const out = counterMode(KEY, BigInt(`0x${nist.counter}`), fromHex(nist.plaintext));
    expect(toHex(out)).toBe(nist.ciphertext);
  });

  it.each(keySbox)("AESAVS KeySbox $key: block 0 of the stream", ({ key, block0 }) => {
    expect(toHex(aesKeystream(fromHex(key), 0).xor(new Uint8Array(16)))).toBe(block0);
  });

  it("the plaintext of F.5.5 with the counter from zero", () => {
    const plaintext = fromHex(nist.plaintext);
    expect(toHex(aesKeystream(KEY, 0).xor(plaintext))).toBe(toHex(counterMode(KEY, 0n, plaintext)));
  });

  it("every offset and length across three blocks", () => {
    const whole = counterMode(KEY, 0n, new Uint8Array(64));
    for (let offset = 0; offset <= 48; offset++) {
      for (const length of [1, 2, 15, 16]) {
        const piece = aesKeystream(KEY, offset).xor(new Uint8Array(length));
        expect(toHex(piece)).toBe(toHex(whole.subarray(offset, offset + length)));
      }
    }
  });

  it.each([2 ** 20, 2 ** 32 - 7, 2 ** 36 - 1, 2 ** 36, 2 ** 36 + 5, 2 ** 44 - 3, 2 ** 44])(
    "from offset %i: the counter carries over 32 bits",
    (offset) => {
      const skip = offset % 16;
      const expected = counterMode(KEY, BigInt((offset - skip) / 16), new Uint8Array(48)).subarray(skip);
      expect(toHex(aesKeystream(KEY, offset).xor(new Uint8Array(expected.length)))).toBe(toHex(expected));
    },
  );

  it("any cut of the stream gives the same bytes", () => {
    const whole = aesKeystream(KEY, 0).xor(new Uint8Array(5_000));
    fc.assert(
      fc.property(fc.nat(4_000), fc.array(fc.nat(100), { maxLength: 10 }), (offset, cuts) => {
        const reader = aesKeystream(KEY, offset);
        const pieces = cuts.map((length) => reader.xor(new Uint8Array(length)));
        const got = Buffer.concat(pieces);
        expect(toHex(got)).toBe(toHex(whole.subarray(offset, offset + got.length)));
      }),
    );
  });

  it("leaves its input as it was, and twice is the input again", () => {
    const input = bytesOf(1_000, 1);
    const kept = input.slice();
    const masked = aesKeystream(KEY, 3).xor(input);
    expect(input).toEqual(kept);
    expect(masked).not.toEqual(kept);
    expect(new Uint8Array(aesKeystream(KEY, 3).xor(masked))).toEqual(kept);
  });

  it.each([0, 16, 31, 33])("a key of %i bytes is refused", (lengthBytes) => {
    expect(() => aesKeystream(new Uint8Array(lengthBytes), 0)).toThrow();
  });
});
