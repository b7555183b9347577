import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { newSigner, signerFromSeed, verifySignature } from "../../../protocols/crypto/signing.ts";
import { isSmallOrder } from "../../../protocols/crypto/small-order.ts";
import { flipBit, fromHex, loadVectors, toHex } from "../../support/vectors.ts";

const rfc = loadVectors<{
  vectors: { name: string; secretKey: string; publicKey: string; message: string; signature: string }[];
}>("ed25519/rfc8032-7.1").vectors;
const golden = loadVectors<{
  vectors: {
    name: string;
    seed: string;
    publicKey: string;
    domain: string;
    message: string;
    signature: string;
  }[];
}>("ed25519/domain-separated").vectors;
const smallOrder = loadVectors<{ publicKeys: string[] }>("ed25519/small-order").publicKeys;

describe("RFC 8032", () => {
  it.each(rfc)("$name: the public key of the secret one", ({ secretKey, publicKey }) => {
    expect(toHex(signerFromSeed(fromHex(secretKey)).publicKey)).toBe(publicKey);
  });

  it.each(rfc)("$name: a signature over the bare message is none of ours", ({ publicKey, message, signature }) => {
    expect(verifySignature(fromHex(publicKey), "", fromHex(message), fromHex(signature))).toBe(false);
  });
});

describe("signatures over domain, zero byte and message", () => {
  it.each(golden)("$name: the golden bytes", ({ seed, publicKey, domain, message, signature }) => {
    const signer = signerFromSeed(fromHex(seed));
    expect(toHex(signer.publicKey)).toBe(publicKey);
    expect(toHex(signer.sign(domain, fromHex(message)))).toBe(signature);
    expect(verifySignature(fromHex(publicKey), domain, fromHex(message), fromHex(signature))).toBe(true);
  });

  const [, , sample] = golden as [unknown, unknown, (typeof golden)[number]];
  const [publicKey, message, signature] = [sample.publicKey, sample.message, sample.signature].map(fromHex) as [
    Uint8Array,
    Uint8Array,
    Uint8Array,
  ];

  it("any flipped bit of the signature, the key or the message is noticed", () => {
    for (let bit = 0; bit < 512; bit++) {
      expect(verifySignature(publicKey, sample.domain, message, flipBit(signature, bit))).toBe(false);
    }
    for (let bit = 0; bit < 256; bit++) {
      expect(verifySignature(flipBit(publicKey, bit), sample.domain, message, signature)).toBe(false);
    }
    for (let bit = 0; bit < message.length * 8; bit++) {
      expect(verifySignature(publicKey, sample.domain, flipBit(message, bit), signature)).toBe(false);
    }
  });

  it("is for one domain only, and the border between domain and message is fixed", () => {
    expect(verifySignature(publicKey, "intercloud/link/v1", message, signature)).toBe(false);
    const shifted = Buffer.concat([Buffer.from("v1\0"), message]);
    expect(verifySignature(publicKey, "intercloud/keeping/", shifted, signature)).toBe(false);
  });

  it.each([0, 31, 33, 63, 65, 128])("a signature or key of %i bytes is refused", (lengthBytes) => {
    expect(verifySignature(publicKey, sample.domain, message, new Uint8Array(lengthBytes))).toBe(false);
    expect(verifySignature(new Uint8Array(lengthBytes), sample.domain, message, signature)).toBe(false);
  });

  it("s + L instead of s (RFC 8032 section 5.1.7) is refused: a signature has one form", () => {
    const order = 2n ** 252n + 27742317777372353535851937790883648493n;
    const s = BigInt(`0x${toHex(signature.slice(32).reverse())}`) + order;
    const high = Buffer.from(s.toString(16).padStart(64, "0"), "hex").reverse();
    expect(verifySignature(publicKey, sample.domain, message, Buffer.concat([signature.subarray(0, 32), high]))).toBe(
      false,
    );
  });

  it("never throws, whatever the key and the signature are", () => {
    const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
    fc.assert(
      fc.property(bytes(32), bytes(64), fc.uint8Array(), (key, random, text) => {
        expect(verifySignature(key, "domain", text, random)).toBe(false);
      }),
      { numRuns: 200 },
    );
  });
});

describe("public keys of small order, with which one signature would fit many messages", () => {
  // R = B and s = 1: right for each message for which h * A vanishes; with the neutral element that is every message.
  const anybodys = fromHex(`58${"66".repeat(31)}01${"00".repeat(31)}`);

  it.each(smallOrder)("%s is refused", (publicKey) => {
    for (let message = 0; message < 64; message++) {
      expect(verifySignature(fromHex(publicKey), "domain", Uint8Array.of(message), anybodys)).toBe(false);
    }
  });
});

describe("recognising small order", () => {
  it("all 14 encodings and no key that somebody has", () => {
    expect(smallOrder.filter((publicKey) => !isSmallOrder(fromHex(publicKey)))).toEqual([]);
    expect([...rfc, ...golden].filter(({ publicKey }) => isSmallOrder(fromHex(publicKey)))).toEqual([]);
  });
});

describe("seeds", () => {
  it.each([0, 31, 33, 64])("a seed of %i bytes is refused", (lengthBytes) => {
    expect(() => signerFromSeed(new Uint8Array(lengthBytes))).toThrow(expect.objectContaining({ code: "BAD_KEY" }));
  });

  it("a new signer draws 32 bytes and leaves them to their owner", () => {
    const drawn: Uint8Array[] = [];
    const signer = newSigner((lengthBytes) => {
      const bytes = new Uint8Array(randomBytes(lengthBytes));
      drawn.push(bytes);
      return bytes;
    });
    expect(drawn.map((bytes) => bytes.length)).toEqual([32]);
    expect(signerFromSeed(drawn[0] as Uint8Array).publicKey).toEqual(signer.publicKey);
  });
});
