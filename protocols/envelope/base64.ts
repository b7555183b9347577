/** Base64 as age headers have it: without padding, and in its one canonical form. */

export function encodeBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64").replace(/=+$/, "");
}

/** Undefined for anything else than what `encodeBase64` makes. */
export function decodeBase64(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(text, "base64");
  return encodeBase64(bytes) === text ? new Uint8Array(bytes) : undefined;
}
