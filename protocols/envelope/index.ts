/** Envelopes: age files whose key is a deposit (DESIGN section 5, "Whole or envelope"). */
export { ENVELOPE_KEY_BYTES } from "./constants.ts";
export * from "./envelope.ts";
export * from "./sealed-message.ts";
