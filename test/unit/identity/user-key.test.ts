/** The X25519 key that follows from an identity key. */
import { expect, it } from "vitest";
import { signerFromSeed } from "../../../protocols/crypto/signing.ts";
import { userKeyOf } from "../../../protocols/identity/user-key.ts";
import { bytesOf } from "../../support/bytes.ts";
import { loadVectors, toHex } from "../../support/vectors.ts";

const { vectors } = loadVectors<{ vectors: readonly { seed: string; userKey: string }[] }>("user-key/golden");

it.each(vectors)("is always the same for one identity: $seed", ({ seed, userKey }) => {
  const key = userKeyOf(signerFromSeed(Buffer.from(seed, "hex")));
  expect(toHex(key.publicKey)).toBe(userKey);
});

it("agrees on the same secret as the other side, and is another one for another identity", () => {
  const [one, other] = [1, 2].map((seed) => userKeyOf(signerFromSeed(bytesOf(32, seed))));
  expect(toHex(one!.publicKey)).not.toBe(toHex(other!.publicKey));
  expect(toHex(one!.agree(other!.publicKey))).toBe(toHex(other!.agree(one!.publicKey)));
});
