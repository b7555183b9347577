/**
 * The signature of a statement, on its own or as one of a lot. Whoever signs many statements at once signs the root of a Merkle tree
 * over them; each of them then has that signature with its place in the tree, and checks without the others.
 *
 *   signature ::= <Ed25519 over the statement: 64>
 *              |  <Ed25519 over size and root: 64> <index: u32> <size: u32> <path: 32 for each node>
 *
 * The two are signed under different domains, so neither passes for the other. Index and size fix the length of the path, so there is one
 * way to write each. Of all its statements' signatures only the first one costs a check of Ed25519: `verifySignature` remembers.
 */
import * as v from "valibot";
import { DIGEST_BYTES } from "./digest.ts";
import { leafHash, type MerkleTree, rootOfPath } from "./merkle.ts";
import { SIGNATURE_BYTES, type Signer, verifySignature } from "./signing.ts";

/** Statements that one signature stands for. */
export const MAX_LOT_ITEMS = 4096;

const PLACE_BYTES = 8;
const MAX_PATH_BYTES = DIGEST_BYTES * Math.log2(MAX_LOT_ITEMS);

/** Its length only; the rest is for `verifyStatement`. */
export const statementSignatureShape = v.pipe(
  v.custom<Uint8Array>((value) => value instanceof Uint8Array),
  v.check(({ length }) => {
    const pathBytes = length - SIGNATURE_BYTES - PLACE_BYTES;
    const isOfLot = pathBytes >= 0 && pathBytes <= MAX_PATH_BYTES && pathBytes % DIGEST_BYTES === 0;
    return length === SIGNATURE_BYTES || isOfLot;
  }, "not a signature"),
);

/** Signs all statements of a tree at once. */
export function signLot(signer: Signer, domain: string, tree: MerkleTree): Uint8Array {
  return signer.sign(lotDomain(domain), rootStatement(tree.size, tree.root));
}

/** What `signLot` made, as the signature of one of the statements. */
export function signatureInLot(signature: Uint8Array, tree: MerkleTree, index: number): Uint8Array {
  const head = Buffer.alloc(SIGNATURE_BYTES + PLACE_BYTES);
  head.set(signature);
  head.writeUInt32BE(index, SIGNATURE_BYTES);
  head.writeUInt32BE(tree.size, SIGNATURE_BYTES + 4);
  return tree.path(index, head);
}

/** False for a wrong signature of either form; see `verifySignature`. */
export function verifyStatement(
  publicKey: Uint8Array,
  domain: string,
  statement: Uint8Array,
  signature: Uint8Array,
): boolean {
  if (signature.length <= SIGNATURE_BYTES) return verifySignature(publicKey, domain, statement, signature);
  if (signature.length < SIGNATURE_BYTES + PLACE_BYTES) return false;
  const place = new DataView(signature.buffer, signature.byteOffset + SIGNATURE_BYTES, PLACE_BYTES);
  const index = place.getUint32(0);
  const size = place.getUint32(4);
  if (size > MAX_LOT_ITEMS) return false;
  const path = signature.subarray(SIGNATURE_BYTES + PLACE_BYTES);
  const root = rootOfPath(leafHash(statement), index, size, path);
  const signed = signature.subarray(0, SIGNATURE_BYTES);
  return root !== undefined && verifySignature(publicKey, lotDomain(domain), rootStatement(size, root), signed);
}

function lotDomain(domain: string): string {
  return `intercloud/lot/v1 ${domain}`;
}

function rootStatement(size: number, root: Uint8Array): Uint8Array {
  const bytes = Buffer.alloc(4 + DIGEST_BYTES);
  bytes.writeUInt32BE(size, 0);
  bytes.set(root, 4);
  return bytes;
}
