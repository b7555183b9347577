import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { Entropy } from "../../../protocols/crypto/entropy.ts";
import { agreementKeyFromSeed, newAgreementKey } from "../../../protocols/crypto/key-agreement.ts";
import { openSealed, sealTo } from "../../../protocols/crypto/sealed-box.ts";
import { bytesOf } from "../../support/bytes.ts";
import { flipBit, fromHex, loadVectors, toHex } from "../../support/vectors.ts";

const golden = loadVectors<{
  recipientSeed: string;
  ephemeralSeed: string;
  recipient: string;
  vectors: { context: string; plaintext: string; box: string }[];
}>("x25519/sealed-box");
const smallOrder = loadVectors<{ publicKeys: string[] }>("x25519/small-order").publicKeys;

const entropy: Entropy = (lengthBytes) => new Uint8Array(randomBytes(lengthBytes));
const recipient = agreementKeyFromSeed(fromHex(golden.recipientSeed));
const broken = expect.objectContaining({ code: "SEAL_BROKEN", status: "integrity" });

describe("sealed boxes", () => {
  it.each(golden.vectors)('the golden box for "$context"', ({ context, plaintext, box }) => {
    expect(toHex(recipient.publicKey)).toBe(golden.recipient);
    const sealed = sealTo(recipient.publicKey, context, fromHex(plaintext), () => fromHex(golden.ephemeralSeed));
    expect(toHex(sealed)).toBe(box);
    expect(toHex(openSealed(recipient, context, fromHex(box)))).toBe(plaintext);
  });

  it("opens for its recipient and context only", () => {
    const box = sealTo(recipient.publicKey, "share 1", bytesOf(32, 1), entropy);
    expect(() => openSealed(newAgreementKey(entropy), "share 1", box)).toThrow(broken);
    for (const context of ["share 2", "share 1 ", "", "share"]) {
      expect(() => openSealed(recipient, context, box)).toThrow(broken);
    }
    expect(new Uint8Array(openSealed(recipient, "share 1", box))).toEqual(bytesOf(32, 1));
  });

  it("any flipped bit is noticed, also the bit of the ephemeral key that X25519 ignores", () => {
    const box = sealTo(recipient.publicKey, "c", bytesOf(5, 1), entropy);
    for (let bit = 0; bit < box.length * 8; bit++) {
      expect(() => openSealed(recipient, "c", flipBit(box, bit))).toThrow(broken);
    }
  });

  it("any other length is noticed", () => {
    const box = sealTo(recipient.publicKey, "c", bytesOf(5, 1), entropy);
    for (let length = 0; length < box.length; length++) {
      expect(() => openSealed(recipient, "c", box.subarray(0, length))).toThrow(broken);
    }
    expect(() => openSealed(recipient, "c", Buffer.concat([box, Buffer.of(0)]))).toThrow(broken);
  });

  it("an ephemeral key of small order is refused, and so is a recipient's", () => {
    const box = sealTo(recipient.publicKey, "c", bytesOf(5, 1), entropy);
    for (const point of smallOrder) {
      expect(() => openSealed(recipient, "c", Buffer.concat([fromHex(point), box.subarray(32)]))).toThrow(broken);
      expect(() => sealTo(fromHex(point), "c", bytesOf(5, 1), entropy)).toThrow(
        expect.objectContaining({ code: "BAD_KEY" }),
      );
    }
  });

  it("two boxes of the same bytes have nothing in common", () => {
    const [a, b] = [1, 2].map(() => sealTo(recipient.publicKey, "c", bytesOf(64, 1), entropy)) as [
      Uint8Array,
      Uint8Array,
    ];
    expect(a.length).toBe(32 + 64 + 16);
    expect(toHex(a.subarray(0, 32))).not.toBe(toHex(b.subarray(0, 32)));
    expect(toHex(a.subarray(32))).not.toBe(toHex(b.subarray(32)));
  });

  it("the error does not carry what was sealed", () => {
    const box = flipBit(sealTo(recipient.publicKey, "c", Buffer.from("a secret text"), entropy), 300);
    try {
      openSealed(recipient, "c", box);
      expect.unreachable();
    } catch (error) {
      expect(String((error as Error).stack)).not.toContain("secret text");
      expect((error as { details: unknown }).details).toEqual({});
    }
  });
});
