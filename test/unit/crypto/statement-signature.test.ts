import { randomBytes, randomInt } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { leafHash, merkleTree, rootOfPath, treeOfNodes } from "../../../protocols/crypto/merkle.ts";
import { newSigner } from "../../../protocols/crypto/signing.ts";
import { signatureInLot, signLot, verifyStatement } from "../../../protocols/crypto/statement-signature.ts";
import { flipBit, fromHex, loadVectors, toHex } from "../../support/vectors.ts";

interface Signed {
  readonly statement: string;
  readonly signature: string;
}
const golden = loadVectors<{
  domain: string;
  publicKey: string;
  leaves: string[];
  roots: string[];
  right: (Signed & { size: number; index: number })[];
  wrong: (Signed & { why: string })[];
}>("merkle/golden");
const publicKey = fromHex(golden.publicKey);
const verifies = ({ statement, signature }: Signed) =>
  verifyStatement(publicKey, golden.domain, fromHex(statement), fromHex(signature));

const seed = randomInt(2 ** 31);
const PROPERTY = { seed, numRuns: 60 };
const DOMAIN = "intercloud/test/v1";
const signer = newSigner((lengthBytes) => new Uint8Array(randomBytes(lengthBytes)));
const treeOf = (statements: readonly Uint8Array[]) => merkleTree(Buffer.concat(statements.map(leafHash)));
const statementsOf = fc.array(fc.uint8Array({ maxLength: 200 }), { minLength: 1, maxLength: 40 });

describe("trees", () => {
  it.each(golden.roots.map((root, i) => ({ size: i + 1, root })))(
    "the golden root of $size leaves",
    ({ size, root }) => {
      const tree = treeOf(golden.leaves.slice(0, size).map(fromHex));
      expect(toHex(tree.root)).toBe(root);
      expect(toHex(treeOfNodes(tree.nodes, size).root)).toBe(root);
    },
  );

  test("a path has the length that its place has, and leads to the root from nowhere else", () => {
    fc.assert(
      fc.property(statementsOf, fc.nat(), fc.nat(), (statements, one, other) => {
        const tree = treeOf(statements);
        const index = one % tree.size;
        const leaf = leafHash(statements[index]!);
        const path = tree.path(index);
        expect(toHex(rootOfPath(leaf, index, tree.size, path)!)).toBe(toHex(tree.root));
        if (path.length > 0) expect(rootOfPath(leaf, index, tree.size, path.subarray(32))).toBeUndefined();
        expect(rootOfPath(leaf, index, tree.size, Buffer.concat([path, leaf]))).toBeUndefined();
        const elsewhere = other % tree.size;
        if (Buffer.compare(leafHash(statements[elsewhere]!), leaf) === 0) return;
        const found = rootOfPath(leaf, elsewhere, tree.size, path);
        expect(found === undefined || Buffer.compare(found, tree.root) !== 0).toBe(true);
      }),
      PROPERTY,
    );
  });

  test("a statement of any length has a leaf of its own", () => {
    const long = new Uint8Array(20_000);
    expect(toHex(leafHash(long))).not.toBe(toHex(leafHash(long.subarray(1))));
    expect(toHex(leafHash(new Uint8Array()))).toBe(golden.roots[0]);
  });
});

describe("signatures of a statement", () => {
  it.each(golden.right)("the golden one of $index of $size", (signed) => {
    expect(verifies(signed)).toBe(true);
    expect(verifies(signed)).toBe(true); // and again from memory
  });

  it.each(golden.wrong)("wrong: $why", (signed) => {
    expect(verifies(signed)).toBe(false);
  });

  test("every statement of a lot checks alone, and no bit of it, of its signature or of its domain can be changed", () => {
    fc.assert(
      fc.property(statementsOf, fc.nat(), fc.nat(), (statements, at, bit) => {
        const tree = treeOf(statements);
        const index = at % tree.size;
        const statement = statements[index]!;
        const signature = signatureInLot(signLot(signer, DOMAIN, tree), tree, index);
        const check = (bytes: Uint8Array, signed: Uint8Array, domain = DOMAIN) =>
          verifyStatement(signer.publicKey, domain, bytes, signed);
        expect(check(statement, signature)).toBe(true);
        expect(check(statement, flipBit(new Uint8Array(signature), bit % (8 * signature.length)))).toBe(false);
        if (statement.length > 0)
          expect(check(flipBit(statement, bit % (8 * statement.length)), signature)).toBe(false);
        expect(check(statement, signature, `${DOMAIN}x`)).toBe(false);
      }),
      PROPERTY,
    );
  });
});
