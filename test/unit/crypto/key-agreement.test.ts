import { createHmac, randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { agreementKeyFromSeed, deriveKey, newAgreementKey } from "../../../protocols/crypto/key-agreement.ts";
import { fromHex, loadVectors, toHex } from "../../support/vectors.ts";

const { scalarMultiplication, iterated, agreement } = loadVectors<{
  scalarMultiplication: { scalar: string; u: string; result: string }[];
  iterated: { times: number; result: string }[];
  agreement: { aliceSecret: string; alicePublic: string; bobSecret: string; bobPublic: string; shared: string };
}>("x25519/rfc7748");
const smallOrder = loadVectors<{ publicKeys: string[] }>("x25519/small-order").publicKeys;
const hkdf = loadVectors<{ vectors: { name: string; ikm: string; salt: string; info: string; okm: string }[] }>(
  "hkdf/rfc5869",
).vectors;

const badKey = expect.objectContaining({ code: "BAD_KEY", status: "bad-request" });

describe("X25519, RFC 7748", () => {
  it.each(scalarMultiplication)("section 5.2: $scalar * $u", ({ scalar, u, result }) => {
    expect(toHex(agreementKeyFromSeed(fromHex(scalar)).agree(fromHex(u)))).toBe(result);
  });

  it.each(iterated)("section 5.2: iterated $times times", ({ times, result }) => {
    let [k, u] = [fromHex(`09${"00".repeat(31)}`), fromHex(`09${"00".repeat(31)}`)];
    for (let i = 0; i < times; i++) [k, u] = [agreementKeyFromSeed(k).agree(u), k];
    expect(toHex(k)).toBe(result);
  });

  it("section 6.1: Alice and Bob", () => {
    const alice = agreementKeyFromSeed(fromHex(agreement.aliceSecret));
    const bob = agreementKeyFromSeed(fromHex(agreement.bobSecret));
    expect(toHex(alice.publicKey)).toBe(agreement.alicePublic);
    expect(toHex(bob.publicKey)).toBe(agreement.bobPublic);
    expect(toHex(alice.agree(bob.publicKey))).toBe(agreement.shared);
    expect(toHex(bob.agree(alice.publicKey))).toBe(agreement.shared);
  });

  it.each(smallOrder)("the point of small order %s is refused", (publicKey) => {
    const key = newAgreementKey((lengthBytes) => new Uint8Array(randomBytes(lengthBytes)));
    expect(() => key.agree(fromHex(publicKey))).toThrow(badKey);
  });

  it.each([0, 31, 33, 64])("keys of %i bytes are refused, public and secret", (lengthBytes) => {
    const key = agreementKeyFromSeed(fromHex(agreement.aliceSecret));
    const other = Buffer.alloc(lengthBytes, Buffer.from(agreement.bobPublic, "hex"));
    expect(() => key.agree(other)).toThrow(badKey);
    expect(() => agreementKeyFromSeed(new Uint8Array(lengthBytes).fill(1))).toThrow(badKey);
  });

  it("the secret belongs to the caller, who may wipe it", () => {
    const key = agreementKeyFromSeed(fromHex(agreement.aliceSecret));
    key.agree(fromHex(agreement.bobPublic)).fill(0);
    expect(toHex(key.agree(fromHex(agreement.bobPublic)))).toBe(agreement.shared);
  });
});

/** HKDF as RFC 5869 section 2 writes it. */
function hkdfByTheBook(secret: Uint8Array, salt: Uint8Array, info: Uint8Array, lengthBytes: number): Uint8Array {
  const prk = createHmac("sha256", salt).update(secret).digest();
  let [block, out] = [Buffer.alloc(0), Buffer.alloc(0)];
  for (let i = 1; out.length < lengthBytes; i++) {
    block = createHmac("sha256", prk).update(block).update(info).update(Buffer.of(i)).digest();
    out = Buffer.concat([out, block]);
  }
  return new Uint8Array(out.subarray(0, lengthBytes));
}

describe("HKDF, RFC 5869", () => {
  it.each(hkdf)("$name: by the book", ({ ikm, salt, info, okm }) => {
    expect(toHex(hkdfByTheBook(fromHex(ikm), fromHex(salt), fromHex(info), okm.length / 2))).toBe(okm);
  });

  // Our info is text, and that of A.1 and A.2 is none.
  it.each(hkdf.filter(({ info }) => info === ""))("$name", ({ ikm, salt, okm }) => {
    expect(toHex(deriveKey(fromHex(ikm), fromHex(salt), "", okm.length / 2))).toBe(okm);
  });

  it("is what the book says for any secret, salt and info", () => {
    const bytes = fc.uint8Array({ maxLength: 100 });
    fc.assert(
      fc.property(
        bytes,
        bytes,
        fc.string({ maxLength: 60, unit: "grapheme" }),
        fc.integer({ min: 1, max: 200 }),
        (...all) => {
          const [secret, salt, info, lengthBytes] = all;
          const expected = hkdfByTheBook(secret, salt, Buffer.from(info, "utf8"), lengthBytes);
          expect(toHex(deriveKey(secret, salt, info, lengthBytes))).toBe(toHex(expected));
        },
      ),
    );
  });

  it("gives 32 bytes unless told otherwise", () => {
    expect(deriveKey(new Uint8Array(32), new Uint8Array(), "x").length).toBe(32);
  });
});
