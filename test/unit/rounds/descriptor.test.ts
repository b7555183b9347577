import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { blockDigestsBytes, DIGEST_BLOCK_BYTES, digestOfBlocks } from "../../../protocols/crypto/block-digest.ts";
import { agreementKeyFromSeed } from "../../../protocols/crypto/key-agreement.ts";
import { aesKeystream } from "../../../protocols/crypto/keystream.ts";
import {
  coefficientOf,
  decodeDescriptor,
  descriptorHash,
  encodeDescriptor,
  MAX_DESCRIPTOR_BYTES,
  MAX_PROVIDERS,
  MAX_ROUND_BYTES,
  maskKey,
  type RoundDescriptor,
  roundPoints,
  shareBlockDigests,
  shareDigest,
  userShareDigest,
} from "../../../protocols/rounds/index.ts";
import { type CborValue, encodeCanonical } from "../../../protocols/wire/codec.ts";
import { sourceOf } from "../../support/bytes.ts";
import { fromHex, loadVectors, toHex } from "../../support/vectors.ts";
import { descriptorOf, keyOf, peerOf, seedOf } from "./dealt.ts";

const members = [1, 2, 5].map((point) => ({ point, peer: peerOf(point) }));
const descriptor = descriptorOf({ lengthBytes: 1_000, members, userPoint: 6 });

/** The bytes of a descriptor with changed fields; undefined removes one. */
function changed(changes: Record<string, CborValue | undefined>): Uint8Array {
  const entries = Object.entries({ ...descriptor, ...changes }).filter(([, value]) => value !== undefined);
  return encodeCanonical(Object.fromEntries(entries) as CborValue);
}

describe("a descriptor", () => {
  it("comes back as it was", () => {
    expect(decodeDescriptor(encodeDescriptor(descriptor))).toEqual(descriptor);
    const extreme = descriptorOf({
      ...{ lengthBytes: MAX_ROUND_BYTES, offsetBytes: MAX_ROUND_BYTES, userPoint: null },
      members: Array.from({ length: MAX_PROVIDERS }, (_, i) => ({ point: i + 1, peer: `${"p".repeat(60)}${i}` })),
    });
    const bytes = encodeDescriptor(extreme);
    expect(decodeDescriptor(bytes)).toEqual(extreme);
    expect(bytes.length).toBeLessThanOrEqual(MAX_DESCRIPTOR_BYTES);
  });

  it.each<[string, Record<string, CborValue>]>([
    ["a peer twice", { members: [...members, { point: 7, peer: peerOf(2) }] }],
    ["a point twice", { members: [...members, { point: 2, peer: peerOf(9) }] }],
    ["a member twice", { members: [members[0], members[0]] as CborValue }],
    ["the user at a provider's point", { userPoint: 5 }],
  ])("with %s is refused", (_, changes) => {
    expect(() => decodeDescriptor(changed(changes))).toThrow(expect.objectContaining({ code: "BAD_ROUND" }));
  });

  it.each<[string, Record<string, CborValue | undefined>]>([
    ["an unknown field", { more: 1 }],
    ["another version", { version: 2 }],
    ["an unknown kind", { kind: "repair" }],
    ["an unknown route", { route: "ring" }],
    ["no members", { members: [] }],
    ["too many members", { members: Array.from({ length: 255 }, (_, i) => ({ point: (i % 254) + 1, peer: `${i}` })) }],
    ["a member at 0, where the message is", { members: [{ point: 0, peer: "a" }] }],
    ["a member at 255", { members: [{ point: 255, peer: "a" }] }],
    ["a member at a fraction", { members: [{ point: 1.5, peer: "a" }] }],
    ["a member without a peer", { members: [{ point: 1, peer: "" }] }],
    ["a member with an endless name", { members: [{ point: 1, peer: "a".repeat(65) }] }],
    ["an unknown field of a member", { members: [{ point: 1, peer: "a", weight: 2 }] }],
    ["the user at 0", { userPoint: 0 }],
    ["the user at 2, where two providers are", { userPoint: 2 }],
    ["the user at 256", { userPoint: 256 }],
    ["a short deal id", { dealId: new Uint8Array(15) }],
    ["a short token id", { tokenId: new Uint8Array(31) }],
    ["a short key", { userKey: new Uint8Array(31) }],
    ["a long nonce", { nonce: new Uint8Array(17) }],
    ["a negative offset", { offsetBytes: -1 }],
    ["an offset beyond all messages", { offsetBytes: MAX_ROUND_BYTES + 1 }],
    ["no bytes", { lengthBytes: 0 }],
    ["more bytes than a round has", { lengthBytes: MAX_ROUND_BYTES + 1 }],
    ["a fraction of a byte", { lengthBytes: 1.5 }],
    ["a negative time", { expiresAtMs: -1 }],
    ...Object.keys(descriptor).map((field): [string, Record<string, undefined>] => [
      `no ${field}`,
      { [field]: undefined },
    ]),
  ])("with %s is malformed", (_, changes) => {
    expect(() => decodeDescriptor(changed(changes))).toThrow(expect.objectContaining({ code: "BAD_MESSAGE" }));
  });

  it("that is not canonical is refused", () => {
    const bytes = encodeDescriptor(descriptor);
    // the version 1 in two bytes instead of one
    const at = Buffer.from(bytes).indexOf(Buffer.concat([Buffer.from("version"), Buffer.of(1)])) + "version".length;
    const long = Buffer.concat([bytes.subarray(0, at), Buffer.of(0x18, 1), bytes.subarray(at + 1)]);
    expect(() => decodeDescriptor(long)).toThrow(expect.objectContaining({ status: "bad-request" }));
    expect(() => decodeDescriptor(Buffer.concat([bytes, Buffer.of(0)]))).toThrow(
      expect.objectContaining({ code: "MALFORMED" }),
    );
  });

  it("has another hash for every change", () => {
    const changes: Partial<RoundDescriptor>[] = [
      {},
      { kind: "deposit" },
      { route: "fanout" },
      { dealId: new Uint8Array(16) },
      { tokenId: new Uint8Array(32) },
      { members: members.slice(1) },
      { members: [...members].reverse() },
      { members: members.map(({ point, peer }) => ({ point, peer: `${peer}x` })) },
      { userPoint: null },
      { userPoint: 7 },
      { userKey: new Uint8Array(32) },
      { nonce: new Uint8Array(16) },
      { offsetBytes: 1 },
      { lengthBytes: 1_001 },
      { expiresAtMs: 1 },
    ];
    const hashes = changes.map((change) => toHex(descriptorHash(encodeDescriptor({ ...descriptor, ...change }))));
    expect(new Set(hashes).size).toBe(changes.length);
  });
});

describe("coefficients", () => {
  it("are for the points of the round, the user's among them", () => {
    expect(roundPoints(descriptor)).toEqual([1, 2, 5, 6]);
    expect(roundPoints({ ...descriptor, userPoint: null })).toEqual([1, 2, 5]);
    // f = 1 everywhere: the coefficients of any set add up to 1
    expect(roundPoints(descriptor).reduce((total, point) => total ^ coefficientOf(descriptor, point), 0)).toBe(1);
  });

  it.each([0, 3, 7, 255])("point %i has no part in it", (point) => {
    expect(() => coefficientOf(descriptor, point)).toThrow(
      expect.objectContaining({ code: "BAD_ROUND", status: "refused" }),
    );
  });
});

describe("mask keys", () => {
  const golden = loadVectors<{
    providerSeed: string;
    userSeed: string;
    point: number;
    peer: string;
    descriptorHash: string;
    maskKey: string;
  }>("hkdf/mask-key");
  const provider = agreementKeyFromSeed(fromHex(golden.providerSeed));
  const user = agreementKeyFromSeed(fromHex(golden.userSeed));
  const hash = fromHex(golden.descriptorHash);

  it("the golden one, from either side", () => {
    expect(toHex(maskKey(provider, user.publicKey, golden, hash))).toBe(golden.maskKey);
    expect(toHex(maskKey(user, provider.publicKey, golden, hash))).toBe(golden.maskKey);
  });

  it("are others for another provider, point, key or descriptor", () => {
    const { point, peer } = golden;
    const keys = [
      maskKey(provider, user.publicKey, { point: 8, peer }, hash),
      maskKey(provider, user.publicKey, { point, peer: peerOf(7) }, hash),
      maskKey(provider, keyOf("another user").publicKey, golden, hash),
      maskKey(keyOf("another provider"), user.publicKey, golden, hash),
      maskKey(provider, user.publicKey, golden, seedOf("another descriptor")),
    ].map(toHex);
    expect(new Set([...keys, golden.maskKey]).size).toBe(6);
  });

  it("are not made with a key of small order, whose secret everybody knows", () => {
    const { publicKeys } = loadVectors<{ publicKeys: string[] }>("x25519/small-order");
    for (const publicKey of publicKeys) {
      expect(() => maskKey(provider, fromHex(publicKey), golden, hash)).toThrow(
        expect.objectContaining({ code: "BAD_KEY" }),
      );
    }
  });
});

describe("share digests", () => {
  const id = seedOf("deal").slice(0, 16);
  it("bind deal, point and content; the user's are of another kind", () => {
    const digests = [
      shareDigest(id, 1, seedOf("a")),
      shareDigest(id, 2, seedOf("a")),
      shareDigest(id, 1, seedOf("b")),
      shareDigest(seedOf("other").slice(0, 16), 1, seedOf("a")),
      shareDigest(id, 255, seedOf("a")),
      userShareDigest(id, 1, seedOf("a")),
      userShareDigest(id, 1, seedOf("b")),
    ].map(toHex);
    expect(new Set(digests).size).toBe(digests.length);
    expect(toHex(shareDigest(id, 1, seedOf("a")))).toBe(digests[0]);
  });

  it("are of the bytes, whatever seed and correction they are kept as", async () => {
    const lengthBytes = 2 * DIGEST_BLOCK_BYTES + 5;
    const bytes = aesKeystream(seedOf("bytes"), 0).xor(new Uint8Array(lengthBytes));
    const correction = aesKeystream(seedOf("seed"), 0).xor(bytes);
    const asSeed = { point: 1, seed: seedOf("bytes"), correction: undefined };
    const rebuilt = { point: 1, seed: seedOf("seed"), correction: () => sourceOf(new Uint8Array(correction), 70_001) };
    const digests = await Promise.all(
      [asSeed, rebuilt].map((share) => shareBlockDigests(share, lengthBytes, aesKeystream)),
    );
    const blocks = [0, 1, 2].map((k) => bytes.subarray(k * DIGEST_BLOCK_BYTES, (k + 1) * DIGEST_BLOCK_BYTES));
    const expected = Buffer.concat(blocks.map((block) => createHash("sha256").update(block).digest()));
    for (const each of digests) expect(Buffer.compare(each, expected)).toBe(0);
    expect(blockDigestsBytes(lengthBytes)).toBe(expected.length);
    const root = createHash("sha256").update("intercloud/blocks/v1\0").update(expected).digest();
    expect(toHex(digestOfBlocks(expected))).toBe(root.toString("hex"));
  });
});
