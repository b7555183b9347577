/**
 * What a provider keeps of a sealed lot: what is common to its deposits, once, and columns of what is not. A deposit's own record says
 * where in the lot it is; the ordinary record is made of both when somebody asks for it, and takes the place of the small one as soon as
 * something about the deposit changes.
 */
import * as v from "valibot";
import { treeOfNodes } from "../../../crypto/merkle.ts";
import { createRecent, type Recent } from "../../../crypto/recent.ts";
import { SIGNATURE_BYTES } from "../../../crypto/signing.ts";
import { MAX_LOT_ITEMS } from "../../../crypto/statement-signature.ts";
import { MAX_LOT_SHARES } from "../../../dealing/constants.ts";
import { loadDealLot } from "../../../dealing/lot/deal-lot.ts";
import { MAX_TAG_BYTES } from "../../../identity/constants.ts";
import { DEAL_ID_BYTES, MAX_PROVIDERS } from "../../../rounds/constants.ts";
import type { Change, Store } from "../../../storage/index.ts";
import { decodeCanonical, encodeCanonical } from "../../../wire/codec.ts";
import { IntercloudError } from "../../../wire/errors.ts";
import { boundedBytes, fixedBytes, integer, parseShape, text, timeMs } from "../../../wire/shape.ts";
import { type ClosedLot, type LotColumns, type LotSignatures, type LotTrees, proofInLot } from "../../lot/lot-chain.ts";
import { closingTermsShape } from "../../lot/lot-messages.ts";
import { type LotStatements, lotPlanShape, lotStatements } from "../../lot/lot-statements.ts";
import type { Proof } from "../../proof.ts";

/** A digest, or two nodes of a tree, for each share. */
const column = boundedBytes(2 * 32 * MAX_LOT_SHARES);
const tag = boundedBytes(2 * MAX_TAG_BYTES);
const signature = fixedBytes(SIGNATURE_BYTES);

const recordShape = v.strictObject({
  version: v.literal(1),
  plan: lotPlanShape,
  owner: text(256),
  /** Of the messages. */
  digests: column,
  columns: v.strictObject({
    ...{ linkTimeMs: timeMs, keepingTimeMs: timeMs },
    ...{ digestsOut: column, digestsFromOwner: column, digestsKept: column },
  }),
  signatures: v.strictObject({
    ...{ tag, requestSignature: signature, closingTag: tag, closingSignature: signature },
    ...{ linkSignatures: v.pipe(v.array(signature), v.maxLength(MAX_PROVIDERS)), keepingSignature: signature },
    closingTerms: closingTermsShape,
  }),
  /** So that no other deposit has to be hashed to show one. */
  trees: v.strictObject({
    ...{ requests: column, keepings: column, closings: column },
    links: v.pipe(v.array(column), v.maxLength(MAX_PROVIDERS)),
  }),
});

/** The record of one deposit. */
export const lotItemShape = v.strictObject({
  lot: fixedBytes(DEAL_ID_BYTES),
  index: integer(0, MAX_LOT_ITEMS - 1),
  /** Ours. */
  point: integer(1, MAX_PROVIDERS),
  holdsCiphertext: v.boolean(),
  storedBytes: integer(0, Number.MAX_SAFE_INTEGER),
});
export type LotItem = Readonly<v.InferOutput<typeof lotItemShape>>;

const RECORD_PREFIX = "lot/";
/** Small, so that all lots can be named without reading them. */
const INDEX_PREFIX = "lot-index/";

export interface StoredLot {
  readonly statements: LotStatements;
  readonly columns: LotColumns;
  readonly signatures: LotSignatures;
  proof(index: number): Proof;
}

export function lotChanges(closed: ClosedLot, digests: Uint8Array, signatures: LotSignatures): Change[] {
  const { plan, owner, lot } = closed.statements;
  const { linkTimeMs, keepingTimeMs, digestsOut, digestsFromOwner, digestsKept } = closed;
  const { requests, links, keepings, closings } = closed;
  const record = encodeCanonical({
    ...{ version: 1, plan, owner, digests },
    columns: { linkTimeMs, keepingTimeMs, digestsOut, digestsFromOwner, digestsKept },
    signatures: { ...signatures, linkSignatures: [...signatures.linkSignatures] },
    trees: {
      ...{ requests: requests.nodes, keepings: keepings.nodes, closings: closings.nodes },
      links: links.map(({ nodes }) => nodes),
    },
  });
  const { dealId } = lot.manifest;
  return [
    { kind: "put", key: RECORD_PREFIX + hexOf(dealId), value: record },
    { kind: "put", key: INDEX_PREFIX + hexOf(dealId), value: encodeCanonical(null) },
  ];
}

export function noLotChanges(lotId: Uint8Array): Change[] {
  const prefixes = [RECORD_PREFIX, INDEX_PREFIX];
  return prefixes.map((prefix) => ({ kind: "delete", key: prefix + hexOf(lotId) }));
}

export async function* storedLots(store: Store): AsyncIterable<Uint8Array> {
  for await (const [key] of store.entries(INDEX_PREFIX)) {
    yield new Uint8Array(Buffer.from(key.slice(INDEX_PREFIX.length), "hex"));
  }
}

/** A lot takes a megabyte or a few in memory, and its deposits are often read one after another. */
const MAX_LOTS_IN_MEMORY = 8;
const loadedBy = new WeakMap<Store, Recent<StoredLot>>();

/** Undefined when there is none. */
export async function findLot(store: Store, lotId: Uint8Array): Promise<StoredLot | undefined> {
  const key = RECORD_PREFIX + hexOf(lotId);
  const loaded = loadedBy.get(store) ?? createRecent<StoredLot>(MAX_LOTS_IN_MEMORY);
  loadedBy.set(store, loaded);
  // What was removed since is not there any more, whatever we remember.
  if ((await store.get(INDEX_PREFIX + hexOf(lotId))) === undefined) return undefined;
  const known = loaded.get(key);
  if (known !== undefined) return known;
  const value = await store.get(key);
  if (value === undefined) return undefined;
  const lot = await readLot(store, lotId, value);
  loaded.set(key, lot);
  return lot;
}

async function readLot(store: Store, lotId: Uint8Array, value: Uint8Array): Promise<StoredLot> {
  const record = parseShape(recordShape, decodeCanonical(value), "record of a lot");
  const { plan, owner, digests, signatures } = record;
  const columns: LotColumns = record.columns;
  const statements = lotStatements(await loadDealLot(store, lotId), plan, owner, digests);
  const treeOf = (nodes: Uint8Array) => treeOfNodes(nodes, statements.items);
  const { requests, links, keepings, closings } = record.trees;
  const trees: LotTrees = {
    ...{ requests: treeOf(requests), keepings: treeOf(keepings), closings: treeOf(closings) },
    links: links.map(treeOf),
  };
  return {
    statements,
    columns,
    signatures,
    proof: (index) => proofInLot(statements, columns, trees, signatures, index),
  };
}

/** What was signed about one deposit. @throws IntercloudError STORE_DAMAGED when its lot is gone. */
export async function loadLotProof(store: Store, { lot: lotId, index }: LotItem): Promise<Proof> {
  const lot = await findLot(store, lotId);
  if (lot !== undefined) return lot.proof(index);
  throw new IntercloudError("STORE_DAMAGED", "damaged", "the lot that this deposit came in is not in the store");
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
