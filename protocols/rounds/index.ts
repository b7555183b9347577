/** The one primitive of DESIGN section 4: add up `layer XOR mask` over the members of a round; the masks cancel. */
export * from "./constants.ts";
export * from "./descriptor.ts";
export * from "./fingerprint.ts";
export * from "./interpolate.ts";
export * from "./layer.ts";
export * from "./masks.ts";
export * from "./provider-round.ts";
export * from "./share.ts";
export * from "./sum.ts";
export * from "./zeros.ts";
