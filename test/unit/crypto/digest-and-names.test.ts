import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bodyDigest, DIGEST_BLOCK_BYTES, digestTap } from "../../../protocols/crypto/block-digest.ts";
import { digestOf, equalBytes } from "../../../protocols/crypto/digest.ts";
import { peerIdentity, peerNameOf, publicKeyOfPeer } from "../../../protocols/crypto/peer-name.ts";
import { keyOfIdentity } from "../../../protocols/identity/identity.ts";
import { bytesOf, collect, sourceOf } from "../../support/bytes.ts";
import { fromHex, loadVectors, toHex } from "../../support/vectors.ts";

const names = loadVectors<{ vectors: { name: string; publicKey: string; peer: string; identity: string }[] }>(
  "ed25519/domain-separated",
).vectors;

describe("digests", () => {
  it("are SHA-256 over domain, zero byte and parts", () => {
    const expected = createHash("sha256").update("a/b\0").update("onetwo").digest("hex");
    expect(toHex(digestOf("a/b", Buffer.from("one"), Buffer.from("two")))).toBe(expected);
    expect(toHex(digestOf("a/", Buffer.from("bonetwo")))).not.toBe(expected);
    expect(digestOf("a").length).toBe(32);
  });

  it("a tap passes on what it hashes, however it is cut", async () => {
    for (const [lengthBytes, chunkBytes] of [
      [10_000, 7],
      [10_000, 20_000],
      [DIGEST_BLOCK_BYTES, 4096],
      [2 * DIGEST_BLOCK_BYTES + 3, 999_999],
    ] as const) {
      const bytes = bytesOf(lengthBytes, 1);
      const tap = digestTap();
      expect(Buffer.compare(await collect(tap.through(sourceOf(bytes.slice(), chunkBytes))), bytes)).toBe(0);
      expect(toHex(tap.digest())).toBe(toHex(bodyDigest(bytes)));
    }
  });

  it("of a body are SHA-256 over the SHA-256 of each block of 1 MiB", () => {
    const bytes = bytesOf(DIGEST_BLOCK_BYTES + 1, 2);
    const blocks = [bytes.subarray(0, DIGEST_BLOCK_BYTES), bytes.subarray(DIGEST_BLOCK_BYTES)];
    const hash = createHash("sha256").update("intercloud/blocks/v1\0");
    for (const block of blocks) hash.update(createHash("sha256").update(block).digest());
    expect(toHex(bodyDigest(bytes))).toBe(hash.digest("hex"));
    const empty = createHash("sha256").update("intercloud/blocks/v1\0").digest("hex");
    expect(toHex(bodyDigest(new Uint8Array()))).toBe(empty);
  });

  it("bytes are equal when all of them are", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 8 }), fc.uint8Array({ maxLength: 8 }), (a, b) => {
        expect(equalBytes(a, b)).toBe(toHex(a) === toHex(b));
        expect(equalBytes(a, a.slice())).toBe(true);
      }),
    );
  });
});

describe("peer names", () => {
  it.each(names)("$peer", ({ publicKey, peer, identity }) => {
    expect(peerNameOf(fromHex(publicKey))).toBe(peer);
    expect(toHex(publicKeyOfPeer(peer))).toBe(publicKey);
    expect(peerIdentity(peer)).toBe(identity);
    expect(toHex(keyOfIdentity(identity))).toBe(publicKey);
  });

  const [{ peer }] = names as [(typeof names)[number]];
  it.each([
    ["nothing", ""],
    ["a character that base58 lacks", peer.replace(/.$/, "0")],
    ["one character less", peer.slice(0, -1)],
    ["one character more", `${peer}1`],
    ["a leading 1, which is a zero byte", `1${peer}`],
    ["a space", ` ${peer}`],
    ["the name of an RSA peer", "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"],
    ["a secp256k1 peer", "16Uiu2HAm9hbvxGQJXJkkkWTJVQXUWmYxGWFbS5DPy3FGTCVT8Rbv"],
  ])("%s is none", (_, text) => {
    expect(() => publicKeyOfPeer(text)).toThrow(expect.objectContaining({ code: "BAD_PEER_NAME" }));
  });

  it("only one text names a key", () => {
    fc.assert(
      fc.property(
        fc.nat(peer.length - 1),
        fc.constantFrom(..."123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"),
        (at, char) => {
          const text = peer.slice(0, at) + char + peer.slice(at + 1);
          fc.pre(text !== peer);
          let key: Uint8Array | undefined;
          try {
            key = publicKeyOfPeer(text);
          } catch {
            return;
          }
          expect(toHex(key)).not.toBe(names[0]?.publicKey);
          expect(peerNameOf(key)).toBe(text);
        },
      ),
    );
  });
});
