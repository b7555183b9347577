/** Token, chain, verification and tracing (KMaaS section 3, DESIGN section 5). */
export * from "./chain.ts";
export * from "./constants.ts";
export * from "./link.ts";
export * from "./message.ts";
export * from "./token.ts";
export * from "./token-text.ts";
