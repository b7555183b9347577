import { describe, expect, it } from "vitest";
import { peerNameOf } from "../../../protocols/crypto/peer-name.ts";
import { newSigner, type Signer } from "../../../protocols/crypto/signing.ts";
import { MAX_DEAL_LIFETIME_MS, MAX_MANIFEST_BYTES } from "../../../protocols/dealing/constants.ts";
import {
  checkManifest,
  encodeManifest,
  entryOfPeer,
  type Manifest,
  manifestDigest,
  providerCount,
  providersOf,
  signManifest,
  userEntry,
} from "../../../protocols/dealing/manifest.ts";
import { isCorrected } from "../../../protocols/dealing/points.ts";
import { MAX_ROUND_BYTES } from "../../../protocols/rounds/constants.ts";
import { encodeCanonical } from "../../../protocols/wire/codec.ts";
import { seededEntropy } from "./seeded.ts";

const entropy = seededEntropy("manifest");
const dealer = newSigner(entropy);
const names = Array.from({ length: 254 }, () => peerNameOf(newSigner(entropy).publicKey));

function manifestOf(threshold: number, providers: number): Manifest {
  return {
    version: 1,
    dealId: entropy(16),
    dealer: peerNameOf(dealer.publicKey),
    threshold,
    lengthBytes: 1000,
    pads: "derived",
    createdAtMs: 1_700_000_000_000,
    expiresAtMs: 1_700_000_100_000,
    shares: Array.from({ length: providers + 1 }, (_, index) => ({
      point: index + 1,
      peer: index < providers ? (names[index] as string) : "",
      digest: entropy(32),
      corrected: isCorrected(index + 1, threshold, providers),
    })),
  };
}

/** Signs whatever it is given, as a dealer that breaks the rules would. */
function signAnything(value: unknown, signer: Signer = dealer): Uint8Array {
  const body = encodeManifest(value as Manifest);
  return encodeCanonical({ body, signature: signer.sign("intercloud/manifest/v1", body) });
}

describe("a manifest", () => {
  it.each([
    [2, 2],
    [3, 5],
    [7, 7],
    [2, 254],
    [254, 254],
  ])("of %i of %i survives the way through its bytes", (threshold, providers) => {
    const manifest = manifestOf(threshold, providers);
    const signed = signManifest(manifest, dealer);
    expect(signed.length).toBeLessThanOrEqual(MAX_MANIFEST_BYTES);
    expect(checkManifest(signed)).toEqual(manifest);
    expect(providerCount(manifest)).toBe(providers);
    expect(providersOf(manifest)).toEqual(names.slice(0, providers));
    expect(entryOfPeer(manifest, names[1] as string)?.point).toBe(2);
    expect(entryOfPeer(manifest, "")).toBeUndefined();
    expect(userEntry(manifest).point).toBe(providers + 1);
  });

  it("is refused when any bit of it was changed", () => {
    const signed = signManifest(manifestOf(2, 3), dealer);
    for (let at = 0; at < signed.length; at++) {
      const changed = signed.slice();
      changed[at] = (changed[at] as number) ^ (1 << (at % 8));
      expect(() => checkManifest(changed), `byte ${at}`).toThrow();
      expect(manifestDigest(changed)).not.toEqual(manifestDigest(signed));
    }
  });

  const good = manifestOf(3, 5);
  const share = (index: number, change: object) =>
    good.shares.map((entry, place) => (place === index ? { ...entry, ...change } : entry));
  it.each<[why: string, change: object, code: string]>([
    ["another version", { version: 2 }, "BAD_MESSAGE"],
    ["an unknown field", { extra: 1 }, "BAD_MESSAGE"],
    ["a missing field", { pads: undefined }, "BAD_MESSAGE"],
    ["a threshold of one", { threshold: 1 }, "BAD_MESSAGE"],
    ["a threshold above n", { threshold: 6 }, "BAD_MANIFEST"],
    ["a threshold that does not fit its corrections", { threshold: 4 }, "BAD_MANIFEST"],
    ["no length", { lengthBytes: 0 }, "BAD_MESSAGE"],
    ["too great a length", { lengthBytes: MAX_ROUND_BYTES + 1 }, "BAD_MESSAGE"],
    ["a fractional length", { lengthBytes: 1.5 }, "BAD_MESSAGE"],
    ["a short deal id", { dealId: new Uint8Array(15) }, "BAD_MESSAGE"],
    ["an end before its beginning", { expiresAtMs: good.createdAtMs }, "BAD_MANIFEST"],
    ["too long a life", { expiresAtMs: good.createdAtMs + MAX_DEAL_LIFETIME_MS + 1 }, "BAD_MANIFEST"],
    ["a share missing in the middle", { shares: good.shares.filter((_, index) => index !== 2) }, "BAD_MANIFEST"],
    ["no share of the user's", { shares: good.shares.slice(0, -1) }, "BAD_MANIFEST"],
    ["two shares only", { shares: good.shares.slice(0, 2) }, "BAD_MESSAGE"],
    ["a point twice", { shares: share(1, { point: 1 }) }, "BAD_MANIFEST"],
    ["a peer twice", { shares: share(1, { peer: names[0] }) }, "BAD_MANIFEST"],
    ["a peer that is none", { shares: share(1, { peer: "12D3Koo" }) }, "BAD_PEER_NAME"],
    ["a provider without a name", { shares: share(1, { peer: "" }) }, "BAD_PEER_NAME"],
    ["a name for the user", { shares: share(5, { peer: names[9] }) }, "BAD_MANIFEST"],
    ["a correction at a free point", { shares: share(0, { corrected: true }) }, "BAD_MANIFEST"],
    ["no correction at a corrected point", { shares: share(2, { corrected: false }) }, "BAD_MANIFEST"],
    ["a correction for the user", { shares: share(5, { corrected: true }) }, "BAD_MANIFEST"],
    ["a short digest", { shares: share(0, { digest: new Uint8Array(31) }) }, "BAD_MESSAGE"],
    ["another dealer's name", { dealer: names[0] }, "BAD_MANIFEST"],
  ])("with %s is refused", (_, change, code) => {
    const wrong = Object.fromEntries(Object.entries({ ...good, ...change }).filter(([, value]) => value !== undefined));
    expect(() => checkManifest(signAnything(wrong))).toThrow(expect.objectContaining({ code }));
  });

  it("is refused without the dealer's signature", () => {
    const stranger = newSigner(entropy);
    expect(() => checkManifest(signAnything(good, stranger))).toThrow(
      expect.objectContaining({ code: "BAD_MANIFEST" }),
    );
  });

  it("is refused when it is too long, before anything is decoded", () => {
    expect(() => checkManifest(new Uint8Array(MAX_MANIFEST_BYTES + 1))).toThrow(
      expect.objectContaining({ code: "BAD_MANIFEST" }),
    );
  });

  it("is never signed when it breaks the rules", () => {
    expect(() => signManifest({ ...good, threshold: 4 }, dealer)).toThrow(
      expect.objectContaining({ code: "BAD_MANIFEST" }),
    );
  });
});
