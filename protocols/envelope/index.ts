/** Envelopes: age files whose key is a deposit (DESIGN section 5, "Whole or envelope"). */
export type { UnlockedAgeFile } from "./age-file.ts";
export { ENVELOPE_KEY_BYTES } from "./constants.ts";
export * from "./envelope.ts";
export { messageBytesIn } from "./length.ts";
export { openChunks, SEALED_CHUNK_BYTES } from "./payload.ts";
export * from "./sealed-message.ts";
