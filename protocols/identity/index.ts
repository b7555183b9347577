/** Who is asking: identities, tags and signed requests (CryptoCloud, DESIGN section 7). */
export * from "./constants.ts";
export * from "./identity.ts";
export * from "./replay-guard.ts";
export * from "./request.ts";
export * from "./tag.ts";
