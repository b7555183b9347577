/** Randomness that a test can repeat: AES-256-CTR over a number. For tests only. */
import { createHash } from "node:crypto";
import type { Entropy } from "../../../protocols/crypto/entropy.ts";
import { aesKeystream } from "../../../protocols/crypto/keystream.ts";

export function seededEntropy(seed: number | string): Entropy {
  const stream = aesKeystream(createHash("sha256").update(String(seed)).digest(), 0);
  return (lengthBytes) => new Uint8Array(stream.xor(new Uint8Array(lengthBytes)));
}
