/**
 * The steps of a lot over all of its deposits: what is signed at each, as one tree for each signer. Owner and providers make the same trees
 * from the same few columns of digests, so nothing but these and one signature for each signer has to travel.
 */
import { DIGEST_BYTES } from "../../crypto/digest.ts";
import { leafHash, type MerkleTree, merkleTree } from "../../crypto/merkle.ts";
import { signatureInLot } from "../../crypto/statement-signature.ts";
import type { RequestTerms } from "../../identity/request.ts";
import { byTurns } from "../../wire/by-turns.ts";
import { type CborValue, encodeCanonical } from "../../wire/codec.ts";
import { filled } from "../../wire/template.ts";
import { chainDigest, digestOfChain, type Proof } from "../proof.ts";
import { columnAt, type LotStatements } from "./lot-statements.ts";

export interface OfferedLot {
  readonly statements: LotStatements;
  readonly tokenIds: readonly Uint8Array[];
  readonly roundHashes: readonly Uint8Array[];
  readonly manifestDigests: readonly Uint8Array[];
  readonly requests: MerkleTree;
}

export async function offerAll(statements: LotStatements): Promise<OfferedLot> {
  const tokenIds: Uint8Array[] = [];
  const roundHashes: Uint8Array[] = [];
  const manifestDigests: Uint8Array[] = [];
  const requests = await treeOf(statements.items, (index) => {
    const { tokenId, roundHash, manifestDigest, request } = statements.offer(index);
    tokenIds.push(tokenId);
    roundHashes.push(roundHash);
    manifestDigests.push(manifestDigest);
    return request;
  });
  return { statements, tokenIds, roundHashes, manifestDigests, requests };
}

export interface LinkedLot extends OfferedLot {
  readonly linkTimeMs: number;
  /** For each deposit in turn what each provider gave. */
  readonly digestsOut: Uint8Array;
  /** Of each deposit, in roster order. */
  readonly linkBodies: readonly (readonly Uint8Array[])[];
  /** One for each provider. */
  readonly links: readonly MerkleTree[];
  /** Digests of the last links. */
  readonly last: readonly Uint8Array[];
}

export async function linkAll(offered: OfferedLot, digestsOut: Uint8Array, linkTimeMs: number): Promise<LinkedLot> {
  const { statements, tokenIds, manifestDigests } = offered;
  const { roster, items } = statements;
  const leaves = roster.map(() => new Uint8Array(items * DIGEST_BYTES));
  const linkBodies: (readonly Uint8Array[])[] = [];
  const last: Uint8Array[] = [];
  await byTurns(items, (index) => {
    const offer = { tokenId: tokenIds[index]!, manifestDigest: manifestDigests[index]! };
    const made = statements.links(
      offer,
      (position) => columnAt(digestsOut, index * roster.length + position),
      linkTimeMs,
    );
    for (const [position, body] of made.bodies.entries()) leaves[position]!.set(leafHash(body), index * DIGEST_BYTES);
    linkBodies.push(made.bodies);
    last.push(made.last);
  });
  return { ...offered, linkTimeMs, digestsOut, linkBodies, links: leaves.map(merkleTree), last };
}

export interface KeptLot extends LinkedLot {
  readonly keepingTimeMs: number;
  readonly digestsFromOwner: Uint8Array;
  readonly digestsKept: Uint8Array;
  readonly keepingBodies: readonly Uint8Array[];
  readonly keepings: MerkleTree;
}

/** @param digestsReceived what home says that it got of each provider; in a good chain what they say that they gave */
export async function keepAll(
  linked: LinkedLot,
  said: Pick<KeptLot, "digestsFromOwner" | "digestsKept" | "keepingTimeMs">,
  digestsReceived: Uint8Array = linked.digestsOut,
): Promise<KeptLot> {
  const { statements, tokenIds, last } = linked;
  const { roster, items } = statements;
  const keepingBodies: Uint8Array[] = [];
  const keepings = await treeOf(items, (index) => {
    const body = statements.keeping(
      {
        tokenId: tokenIds[index]!,
        digestFromOwner: columnAt(said.digestsFromOwner, index),
        digestReceived: (position) => columnAt(digestsReceived, index * roster.length + position),
        digestKept: columnAt(said.digestsKept, index),
        previous: last[index]!,
      },
      said.keepingTimeMs,
    );
    keepingBodies.push(body);
    return body;
  });
  return { ...linked, ...said, keepingBodies, keepings };
}

export interface ClosedLot extends KeptLot {
  /** Of each provider, in roster order, and of home. */
  readonly linkSignatures: readonly Uint8Array[];
  readonly keepingSignature: Uint8Array;
  readonly closingTerms: RequestTerms;
  readonly closings: MerkleTree;
}

export async function closeAll(
  kept: KeptLot,
  signed: Pick<ClosedLot, "linkSignatures" | "keepingSignature" | "closingTerms">,
): Promise<ClosedLot> {
  const { statements, tokenIds, digestsFromOwner } = kept;
  const closings = await treeOf(statements.items, (index) =>
    statements.closing(
      {
        tokenId: tokenIds[index]!,
        digestFromOwner: columnAt(digestsFromOwner, index),
        chainDigest: chainDigestOf(kept, signed, index),
      },
      signed.closingTerms,
    ),
  );
  return { ...kept, ...signed, closings };
}

/** What all signatures of a sealed lot are, beside the statements. */
export interface LotSignatures extends Pick<ClosedLot, "linkSignatures" | "keepingSignature" | "closingTerms"> {
  readonly tag: Uint8Array;
  readonly requestSignature: Uint8Array;
  readonly closingTag: Uint8Array;
  readonly closingSignature: Uint8Array;
}

export interface LotTrees extends Pick<ClosedLot, "requests" | "links" | "keepings" | "closings"> {}

/** The columns that everything follows from. */
export interface LotColumns extends Pick<ClosedLot, "digestsOut" | "digestsFromOwner" | "digestsKept"> {
  readonly linkTimeMs: number;
  readonly keepingTimeMs: number;
}

/** The proof of one deposit of a sealed lot, like that of any other. */
export function proofInLot(
  statements: LotStatements,
  columns: LotColumns,
  trees: LotTrees,
  signatures: LotSignatures,
  index: number,
): Proof {
  const { roster } = statements;
  const offer = statements.offer(index);
  const digestAt = (position: number) => columnAt(columns.digestsOut, index * roster.length + position);
  const { bodies, last } = statements.links(offer, digestAt, columns.linkTimeMs);
  const links = bodies.map((body, i) =>
    signedStatement(body, signatureInLot(signatures.linkSignatures[i]!, trees.links[i]!, index)),
  );
  const digestFromOwner = columnAt(columns.digestsFromOwner, index);
  const digestKept = columnAt(columns.digestsKept, index);
  const { tokenId } = offer;
  const keepingBody = statements.keeping(
    { tokenId, digestFromOwner, digestReceived: digestAt, digestKept, previous: last },
    columns.keepingTimeMs,
  );
  const keeping = signedStatement(keepingBody, signatureInLot(signatures.keepingSignature, trees.keepings, index));
  const closing = statements.closing(
    { tokenId, digestFromOwner, chainDigest: chainDigest(links, keeping) },
    signatures.closingTerms,
  );
  return {
    request: signedRequestBytes(signatures.tag, offer.request, signatures.requestSignature, trees.requests, index),
    manifest: statements.lot.signedManifest(index),
    ...{ links, keeping, change: null },
    closing: signedRequestBytes(signatures.closingTag, closing, signatures.closingSignature, trees.closings, index),
  };
}

export function signedRequestBytes(
  tag: Uint8Array,
  body: Uint8Array,
  signature: Uint8Array,
  tree: MerkleTree,
  index: number,
): Uint8Array {
  return encodeCanonical({ tag, body, signature: signatureInLot(signature, tree, index) });
}

/** What a link or home's statement looks like when it is signed. */
export function signedStatement(body: Uint8Array, signature: Uint8Array): Uint8Array {
  return filled("statement", [body, signature], ([one, other]) => ({ body: one!, signature: other! }));
}

/** `chainDigest` of what `signedStatement` makes of them, without making it. */
function chainDigestOf(
  { linkBodies, links, keepingBodies, keepings }: KeptLot,
  { linkSignatures, keepingSignature }: Pick<ClosedLot, "linkSignatures" | "keepingSignature">,
  index: number,
): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const [i, body] of linkBodies[index]!.entries()) {
    parts.push(body, signatureInLot(linkSignatures[i]!, links[i]!, index));
  }
  parts.push(keepingBodies[index]!, signatureInLot(keepingSignature, keepings, index));
  return digestOfChain(filled("chain", parts, chainOf));
}

function chainOf(parts: readonly Uint8Array[]): CborValue {
  const signed: Uint8Array[] = [];
  for (let i = 0; i < parts.length; i += 2) {
    signed.push(encodeCanonical({ body: parts[i]!, signature: parts[i + 1]! }));
  }
  return signed;
}

async function treeOf(items: number, statementAt: (index: number) => Uint8Array): Promise<MerkleTree> {
  const leaves = new Uint8Array(items * DIGEST_BYTES);
  await byTurns(items, (index) => leaves.set(leafHash(statementAt(index)), index * DIGEST_BYTES));
  return merkleTree(leaves);
}
