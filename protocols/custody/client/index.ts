/** What a user can do with its deposits. */
export * from "./change.ts";
export * from "./deposit.ts";
export { type FoundProof, findProof } from "./find-proof.ts";
export * from "./list.ts";
export * from "./repair.ts";
export * from "./retrieve.ts";
export type { CustodyUser, Directory } from "./user.ts";
