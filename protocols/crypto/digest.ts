/** SHA-256 with a domain in front, so that a digest made for one purpose is never mistaken for another. */
import { createHash, timingSafeEqual } from "node:crypto";

export const DIGEST_BYTES = 32;

/** SHA-256(domain || 0x00 || part_1 || part_2 ...). Parts must have fixed lengths or be the last one. */
export function digestOf(domain: string, ...parts: readonly Uint8Array[]): Uint8Array {
  const hash = createHash("sha256").update(domain, "utf8").update(SEPARATOR);
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest());
}

/** Equal in constant time for equal lengths. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

const SEPARATOR = new Uint8Array(1);
