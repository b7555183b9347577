/**
 * What the dealer signs about a deal: who holds which point, how long the shares are, and a digest of each. Everybody who
 * takes part in the deal holds the same bytes.
 *
 *   signed manifest ::= CBOR { body, signature }      body ::= CBOR manifest
 */
import * as v from "valibot";
import { DIGEST_BYTES, digestOf } from "../crypto/digest.ts";
import { publicKeyOfPeer } from "../crypto/peer-name.ts";
import type { Signer } from "../crypto/signing.ts";
import { MAX_LOT_ITEMS, statementSignatureShape, verifyStatement } from "../crypto/statement-signature.ts";
import { dealerNameOf, type Identity } from "../identity/identity.ts";
import { DEAL_ID_BYTES, MAX_PROVIDERS, MAX_ROUND_BYTES, MIN_THRESHOLD } from "../rounds/constants.ts";
import { type CborValue, decodeCanonical, encodeCanonical } from "../wire/codec.ts";
import { IntercloudError } from "../wire/errors.ts";
import { boundedBytes, fixedBytes, integer, parseShape, text, timeMs } from "../wire/shape.ts";
import type { PeerName } from "../wire/transport.ts";
import { MAX_DEAL_LIFETIME_MS, MAX_MANIFEST_BYTES } from "./constants.ts";
import { isCorrected, userPoint } from "./points.ts";

export const MANIFEST_DOMAIN = "intercloud/manifest/v1";
const MAX_PEER_NAME_LENGTH = 64;

const entryShape = v.strictObject({
  point: integer(1, MAX_PROVIDERS + 1),
  /** Empty for the user, whose name the providers need not know. */
  peer: v.pipe(v.string(), v.maxLength(MAX_PEER_NAME_LENGTH)),
  digest: fixedBytes(DIGEST_BYTES),
  corrected: v.boolean(),
});
const manifestShape = v.strictObject({
  version: v.literal(1),
  dealId: fixedBytes(DEAL_ID_BYTES),
  dealer: text(MAX_PEER_NAME_LENGTH),
  threshold: integer(MIN_THRESHOLD, MAX_PROVIDERS),
  lengthBytes: integer(1, MAX_ROUND_BYTES),
  pads: v.literal("derived"),
  createdAtMs: timeMs,
  expiresAtMs: timeMs,
  /** Of a lot (lot/deal-lot.ts): so many deals in one, whose own manifests stand beside it. Left out in all others. */
  items: v.optional(integer(1, MAX_LOT_ITEMS)),
  shares: v.pipe(v.array(entryShape), v.minLength(MIN_THRESHOLD + 1), v.maxLength(MAX_PROVIDERS + 1)),
});
const signedShape = v.strictObject({
  body: boundedBytes(MAX_MANIFEST_BYTES),
  signature: statementSignatureShape,
});

export type Manifest = Readonly<v.InferOutput<typeof manifestShape>>;
export type ManifestEntry = Manifest["shares"][number];

/** @throws IntercloudError BAD_MANIFEST when the manifest breaks its own rules, so that nothing wrong is ever signed. */
export function signManifest(manifest: Manifest, dealer: Signer): Uint8Array {
  checkRules(manifest);
  const body = encodeManifest(manifest);
  return encodeCanonical({ body, signature: dealer.sign(MANIFEST_DOMAIN, body) });
}

/** What is signed. */
export function encodeManifest(manifest: Manifest): Uint8Array {
  return encodeCanonical(manifest as CborValue);
}

/** Names these very signed bytes in tokens, chains and descriptors. */
export function manifestDigest(signed: Uint8Array): Uint8Array {
  return digestOf("intercloud/manifest-digest/v1", signed);
}

/**
 * Checks everything that the bytes alone can tell: shape, rules and the signature of the dealer named inside. Whether that
 * dealer is one of ours, and whether the deal has expired, is for the caller to decide.
 * @throws IntercloudError BAD_MANIFEST, BAD_MESSAGE, MALFORMED, NON_CANONICAL, BAD_PEER_NAME.
 */
export function checkManifest(signed: Uint8Array): Manifest {
  if (signed.length > MAX_MANIFEST_BYTES) throw badManifest("it is too long");
  const { body, signature } = parseShape(signedShape, decodeCanonical(signed), "signed manifest");
  const manifest = parseShape(manifestShape, decodeCanonical(body), "manifest");
  checkRules(manifest);
  if (!verifyStatement(publicKeyOfPeer(manifest.dealer), MANIFEST_DOMAIN, body, signature)) {
    throw badManifest("it is not signed by the dealer that it names");
  }
  return manifest;
}

/** n: the user's share is the last one. */
export function providerCount(manifest: Manifest): number {
  return manifest.shares.length - 1;
}

/** The providers in point order. */
export function providersOf(manifest: Manifest): PeerName[] {
  return manifest.shares.slice(0, -1).map((entry) => entry.peer);
}

/** The entry of a provider, undefined when it takes no part. */
export function entryOfPeer(manifest: Manifest, peer: PeerName): ManifestEntry | undefined {
  return peer === "" ? undefined : manifest.shares.find((entry) => entry.peer === peer);
}

export function userEntry(manifest: Manifest): ManifestEntry {
  return manifest.shares[manifest.shares.length - 1] as ManifestEntry;
}

function checkRules(manifest: Manifest): void {
  const { shares, threshold, createdAtMs, expiresAtMs } = manifest;
  const providers = providerCount(manifest);
  if (threshold > providers) throw badManifest("its threshold is larger than its number of providers");
  for (const [index, { point, peer, corrected }] of shares.entries()) {
    if (point !== index + 1) throw badManifest("its points are not 1..n+1 in order");
    if (corrected !== isCorrected(point, threshold, providers)) throw badManifest("its corrections are misplaced");
    if (point === userPoint(providers)) {
      if (peer !== "") throw badManifest("its last share is not the user's");
    } else {
      publicKeyOfPeer(peer);
    }
  }
  if (new Set(shares.map((entry) => entry.peer)).size !== shares.length) throw badManifest("a peer has two shares");
  if (expiresAtMs <= createdAtMs || expiresAtMs - createdAtMs > MAX_DEAL_LIFETIME_MS) {
    throw badManifest("its time window is empty or too long");
  }
}

function badManifest(why: string): IntercloudError {
  return new IntercloudError("BAD_MANIFEST", "integrity", `this manifest cannot be right: ${why}; ask for a new deal`);
}

/** Whether the identity dealt this for itself. */
export function isSelfDealt({ dealer }: Manifest, identity: Identity): boolean {
  return dealer === dealerNameOf(identity);
}
