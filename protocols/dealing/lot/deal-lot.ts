/**
 * A lot: many short deals that are made together. It is drawn as one deal whose parts are deals of their own: each has its own seeds, made
 * from the lot's; its own id; and its own manifest, which needs none of the others. The dealer signs all of these manifests at once
 * (statement-signature.ts), and one more for the lot as a whole, which is what providers keep until the lot is used.
 */
import * as v from "valibot";
import { DIGEST_BYTES, digestOf } from "../../crypto/digest.ts";
import { leafHash, type MerkleTree, merkleTree, treeOfNodes } from "../../crypto/merkle.ts";
import { createRecent, type Recent } from "../../crypto/recent.ts";
import { SIGNATURE_BYTES } from "../../crypto/signing.ts";
import { MAX_LOT_ITEMS, signatureInLot } from "../../crypto/statement-signature.ts";
import { DEAL_ID_BYTES } from "../../rounds/constants.ts";
import type { Change, Store } from "../../storage/index.ts";
import { decodeCanonical, encodeCanonical } from "../../wire/codec.ts";
import { IntercloudError } from "../../wire/errors.ts";
import { boundedBytes, fixedBytes, parseShape } from "../../wire/shape.ts";
import { filled, type Template, template } from "../../wire/template.ts";
import { MAX_LOT_BYTES, MAX_LOT_ITEM_BYTES, MAX_LOT_SHARES, MAX_MANIFEST_BYTES } from "../constants.ts";
import { checkManifest, type Manifest } from "../manifest.ts";

const LENGTH_BYTES = 4;

/** What of a lot is public: everything but the seeds and corrections. */
export interface DealLot {
  /** Of the lot as a whole, signed. */
  readonly manifestBytes: Uint8Array;
  readonly manifest: Manifest;
  /** Of each deal, of what will be layered. */
  readonly lengths: readonly number[];
  /** Where each begins in bytes that are one after another. */
  readonly offsets: readonly number[];
  /** The share digests of each deal in turn, in point order, the user's last. */
  readonly digests: Uint8Array;
  /** The dealer's, over the tree of the manifests. */
  readonly signature: Uint8Array;
  readonly tree: MerkleTree;
  /** The manifest of one deal, as if it had been signed alone. */
  signedManifest(index: number): Uint8Array;
}

/** Everybody who knows the lot knows the ids of its deals. */
export function dealIdInLot(lotId: Uint8Array, index: number): Uint8Array {
  return digestOf("intercloud/lot-deal/v1", lotId, uint32(index)).subarray(0, DEAL_ID_BYTES);
}

/** From a seed of the lot: no seed of a deal tells anything about that of another. */
export function seedInLot(lotSeed: Uint8Array, index: number): Uint8Array {
  return digestOf("intercloud/lot-seed/v1", lotSeed, uint32(index));
}

/** What the manifest of a lot says about all shares at a point. */
export function lotShareDigest(digests: Uint8Array, points: number, point: number): Uint8Array {
  const all = Array.from({ length: digests.length / DIGEST_BYTES / points }, (_, index) =>
    digestInLot(digests, points, index, point),
  );
  return digestOf("intercloud/lot-share/v1", ...all);
}

/** @param points how many shares a deal has, the user's among them */
export function digestInLot(digests: Uint8Array, points: number, index: number, point: number): Uint8Array {
  const start = (index * points + point - 1) * DIGEST_BYTES;
  return digests.subarray(start, start + DIGEST_BYTES);
}

export type LotParts = Pick<DealLot, "manifestBytes" | "lengths" | "digests" | "signature">;

/**
 * Whoever gets a lot checks it so; the signatures on all of its manifests are right then.
 * @throws IntercloudError BAD_LOT, and what `checkManifest` throws.
 */
export function checkDealLot(parts: LotParts): DealLot {
  const lot = readDealLot(parts, undefined);
  const { manifest, lengths, digests } = lot;
  const points = manifest.shares.length;
  requireLotSize(lengths, points - 1);
  if (manifest.items !== lengths.length) throw badLot("it has another number of deals than its manifest says");
  if (manifest.lengthBytes !== sum(lengths)) throw badLot("its deals have other lengths than its manifest says");
  if (digests.length !== lengths.length * points * DIGEST_BYTES) throw badLot("it has not one digest for each share");
  const isSigned = manifest.shares.every(
    ({ point, digest }) => Buffer.compare(lotShareDigest(digests, points, point), digest) === 0,
  );
  if (!isSigned) throw badLot("its shares are others than its manifest says");
  // One signature stands for all.
  checkManifest(lot.signedManifest(0));
  return lot;
}

/** @throws IntercloudError LOT_TOO_LARGE. */
export function requireLotSize(lengths: readonly number[], providers: number): void {
  const fits = lengths.every((each) => each >= 1 && each <= MAX_LOT_ITEM_BYTES) && lengths.length > 0;
  if (
    fits &&
    lengths.length <= MAX_LOT_ITEMS &&
    lengths.length * providers <= MAX_LOT_SHARES &&
    sum(lengths) <= MAX_LOT_BYTES
  )
    return;
  const most = Math.min(MAX_LOT_ITEMS, Math.floor(MAX_LOT_SHARES / providers));
  const message = `a batch takes ${most} messages among ${providers} providers, of ${MAX_LOT_ITEM_BYTES} bytes each and ${MAX_LOT_BYTES} in all; make several`;
  throw new IntercloudError("LOT_TOO_LARGE", "bad-request", message);
}

function readDealLot(parts: LotParts, nodes: Uint8Array | undefined): DealLot {
  const manifest = checkManifest(parts.manifestBytes);
  const bodyOf = manifestBodies(manifest, parts.lengths, parts.digests);
  const { lengths, signature } = parts;
  const tree = nodes === undefined ? manifestTree(lengths.length, bodyOf) : treeOfNodes(nodes, lengths.length);
  return {
    ...parts,
    ...{ manifest, tree, offsets: offsetsOf(lengths) },
    signedManifest: (index) =>
      filled("manifest", [bodyOf(index), signatureInLot(signature, tree, index)], ([body, signed]) => ({
        ...{ body: body!, signature: signed! },
      })),
  };
}

/** The tree that a dealer signs. */
export function manifestTree(items: number, bodyOf: (index: number) => Uint8Array): MerkleTree {
  const leaves = new Uint8Array(items * DIGEST_BYTES);
  for (let index = 0; index < items; index += 1) leaves.set(leafHash(bodyOf(index)), index * DIGEST_BYTES);
  return merkleTree(leaves);
}

/** @param manifest of the lot as a whole @returns what the dealer signs about each deal */
export function manifestBodies(
  manifest: Manifest,
  lengths: readonly number[],
  digests: Uint8Array,
): (index: number) => Uint8Array {
  const { items, dealId: lotId, ...common } = manifest;
  const points = manifest.shares.length;
  const holes = [DEAL_ID_BYTES, ...manifest.shares.map(() => DIGEST_BYTES)];
  const templates = new Map<number, Template>();
  const templateFor = (lengthBytes: number) => {
    const found = templates.get(lengthBytes);
    if (found !== undefined) return found;
    const made = template(holes, ([dealId, ...each]) => {
      const shares = common.shares.map((entry, i) => ({ ...entry, digest: each[i]! }));
      return { ...common, dealId: dealId!, lengthBytes, shares };
    });
    templates.set(lengthBytes, made);
    return made;
  };
  return (index) => {
    const own = common.shares.map(({ point }) => digestInLot(digests, points, index, point));
    return templateFor(lengths[index]!).fill(dealIdInLot(lotId, index), ...own);
  };
}

export function offsetsOf(lengths: readonly number[]): number[] {
  let at = 0;
  return lengths.map((lengthBytes) => {
    at += lengthBytes;
    return at - lengthBytes;
  });
}

export function sum(lengths: readonly number[]): number {
  return lengths.reduce((total, each) => total + each, 0);
}

/** Four bytes each. */
export function encodeLengths(lengths: readonly number[]): Uint8Array {
  const bytes = Buffer.alloc(lengths.length * LENGTH_BYTES);
  for (const [i, each] of lengths.entries()) bytes.writeUInt32BE(each, i * LENGTH_BYTES);
  return bytes;
}

export function decodeLengths(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.length / LENGTH_BYTES }, (_, i) => view.getUint32(i * LENGTH_BYTES));
}

const MAX_DIGESTS_BYTES = DIGEST_BYTES * 2 * MAX_LOT_SHARES;

/** As it is kept, and as it travels behind the manifest. */
const recordShape = v.strictObject({
  manifest: boundedBytes(MAX_MANIFEST_BYTES),
  signature: fixedBytes(SIGNATURE_BYTES),
  lengths: boundedBytes(LENGTH_BYTES * MAX_LOT_SHARES),
  digests: boundedBytes(MAX_DIGESTS_BYTES),
  /** Of the tree of the manifests, so that none of them is hashed to show another. */
  nodes: boundedBytes(MAX_DIGESTS_BYTES),
});

export function dealLotKey(lotId: Uint8Array): string {
  return `deal-lot/${Buffer.from(lotId).toString("hex")}`;
}

export function dealLotChange({ manifest, manifestBytes, signature, lengths, digests, tree }: DealLot): Change {
  const record = { manifest: manifestBytes, signature, lengths: encodeLengths(lengths), digests, nodes: tree.nodes };
  return { kind: "put", key: dealLotKey(manifest.dealId), value: encodeCanonical(record) };
}

export function noDealLotChange(lotId: Uint8Array): Change {
  return { kind: "delete", key: dealLotKey(lotId) };
}

/** A lot takes a megabyte or a few in memory, and its deposits are often read one after another. */
const MAX_LOTS_IN_MEMORY = 8;
const loadedBy = new WeakMap<Store, Recent<DealLot>>();

/** @throws IntercloudError NO_SUCH_DEAL. */
export async function loadDealLot(store: Store, lotId: Uint8Array): Promise<DealLot> {
  const key = dealLotKey(lotId);
  const loaded = loadedBy.get(store) ?? createRecent<DealLot>(MAX_LOTS_IN_MEMORY);
  loadedBy.set(store, loaded);
  const known = loaded.get(key);
  if (known !== undefined) return known;
  const value = await store.get(key);
  if (value === undefined) {
    throw new IntercloudError("NO_SUCH_DEAL", "not-found", "we hold no share of this lot; ask for a new one");
  }
  const record = parseShape(recordShape, decodeCanonical(value), "lot of deals");
  const parts = { ...record, manifestBytes: record.manifest, lengths: decodeLengths(record.lengths) };
  const lot = readDealLot(parts, record.nodes);
  loaded.set(key, lot);
  return lot;
}

/** The lot as a whole, to be signed. @param digests as in `DealLot` */
export function lotManifest(
  common: Omit<Manifest, "items" | "lengthBytes" | "shares"> & {
    readonly shares: readonly Omit<Manifest["shares"][number], "digest">[];
  },
  lengths: readonly number[],
  digests: Uint8Array,
): Manifest {
  const points = common.shares.length;
  const shares = common.shares.map((entry) => ({ ...entry, digest: lotShareDigest(digests, points, entry.point) }));
  return { ...common, items: lengths.length, lengthBytes: sum(lengths), shares };
}

function badLot(why: string): IntercloudError {
  return new IntercloudError("BAD_LOT", "integrity", `this lot of deals cannot be right: ${why}; ask for a new one`);
}

function uint32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
