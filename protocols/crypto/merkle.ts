/**
 * Merkle trees over a list of statements (RFC 6962, section 2.1): one signature over the root stands for all of them, and each can be
 * shown with the path from its leaf to the root, without the others.
 *
 *   leaf ::= SHA-256(00 statement)      node ::= SHA-256(01 left right)
 *
 * Of an odd level the last node goes up as it is, which is the tree of the RFC. Leaves and nodes begin differently, so that a node never
 * passes for a statement.
 */
import { DIGEST_BYTES, sha256 } from "./digest.ts";

export interface MerkleTree {
  readonly size: number;
  readonly root: Uint8Array;
  /** The nodes beside the way from a leaf up to the root, one after another, behind `head`. */
  path(index: number, head?: Uint8Array): Uint8Array;
  /** All nodes, to be kept: `treeOfNodes` makes the same tree of them. */
  readonly nodes: Uint8Array;
}

export function leafHash(statement: Uint8Array): Uint8Array {
  const lengthBytes = 1 + statement.length;
  const bytes = lengthBytes <= leafInput.length ? leafInput : Buffer.alloc(lengthBytes);
  bytes.set(statement, 1);
  return sha256(bytes.subarray(0, lengthBytes));
}

/** @param leaves `leafHash` of each statement, one after another; at least one */
export function merkleTree(leaves: Uint8Array): MerkleTree {
  const size = leaves.length / DIGEST_BYTES;
  const nodes = Buffer.alloc(nodeCount(size) * DIGEST_BYTES);
  nodes.set(leaves);
  let start = 0;
  for (let count = size; count > 1; count = Math.ceil(count / 2)) {
    let at = start + count * DIGEST_BYTES;
    for (let left = 0; left < count; left += 2) {
      const from = start + left * DIGEST_BYTES;
      if (left + 1 === count) nodes.copy(nodes, at, from, from + DIGEST_BYTES);
      else nodes.set(nodeHash(nodes.subarray(from, from + 2 * DIGEST_BYTES)), at);
      at += DIGEST_BYTES;
    }
    start += count * DIGEST_BYTES;
  }
  return treeOfNodes(nodes, size);
}

/** @param nodes of a tree that was made here before */
export function treeOfNodes(nodes: Uint8Array, size: number): MerkleTree {
  return {
    ...{ size, nodes },
    root: nodes.subarray(nodes.length - DIGEST_BYTES),
    path(index, head = EMPTY) {
      const bytes = Buffer.allocUnsafe(head.length + pathBytes(index, size));
      bytes.set(head);
      let filled = head.length;
      let start = 0;
      let at = index;
      for (let count = size; count > 1; count = Math.ceil(count / 2)) {
        const beside = at ^ 1;
        const from = start + beside * DIGEST_BYTES;
        if (beside < count) {
          bytes.set(nodes.subarray(from, from + DIGEST_BYTES), filled);
          filled += DIGEST_BYTES;
        }
        start += count * DIGEST_BYTES;
        at >>= 1;
      }
      return bytes;
    },
  };
}

/** The root that a leaf and its path lead to; undefined when the path has another length than that place in that tree has. */
export function rootOfPath(leaf: Uint8Array, index: number, size: number, path: Uint8Array): Uint8Array | undefined {
  if (index >= size) return undefined;
  let node = leaf;
  let at = index;
  let used = 0;
  const pair = Buffer.alloc(2 * DIGEST_BYTES);
  for (let count = size; count > 1; count = Math.ceil(count / 2)) {
    if ((at ^ 1) < count) {
      const beside = path.subarray(used, used + DIGEST_BYTES);
      if (beside.length < DIGEST_BYTES) return undefined;
      used += DIGEST_BYTES;
      pair.set(node, at % 2 === 0 ? 0 : DIGEST_BYTES);
      pair.set(beside, at % 2 === 0 ? DIGEST_BYTES : 0);
      node = nodeHash(pair);
    }
    at >>= 1;
  }
  return used === path.length ? node : undefined;
}

function pathBytes(index: number, size: number): number {
  let nodes = 0;
  let at = index;
  for (let count = size; count > 1; count = Math.ceil(count / 2)) {
    if ((at ^ 1) < count) nodes += 1;
    at >>= 1;
  }
  return nodes * DIGEST_BYTES;
}

function nodeCount(size: number): number {
  let nodes = size;
  for (let count = size; count > 1; ) {
    count = Math.ceil(count / 2);
    nodes += count;
  }
  return nodes;
}

const EMPTY = new Uint8Array();

/** Room for the statements of a deposit; what is longer gets its own. The first byte stays 00. */
const leafInput = Buffer.alloc(8 * 1024);
const nodeInput = Buffer.alloc(1 + 2 * DIGEST_BYTES, 1);

function nodeHash(pair: Uint8Array): Uint8Array {
  nodeInput.set(pair, 1);
  return sha256(nodeInput);
}
