/** What a user can do with its deposits. */
export { abandonDeposit } from "./abandon.ts";
export * from "./change.ts";
export * from "./deposit.ts";
export * from "./deposit-lot.ts";
export { type Destruction, destroy } from "./destroy.ts";
export { type FoundProof, findProof } from "./find-proof.ts";
export type { DealerChoice } from "./fresh-deal.ts";
export { type GrantOptions, type GrantsChanged, grant, repairGrants, revoke } from "./grants.ts";
export * from "./list.ts";
export { type EnvelopeReader, KeeperFailure, readEnvelope } from "./read-envelope.ts";
export * from "./repair.ts";
export * from "./retrieve.ts";
export { askStanding, type Standing } from "./standing.ts";
export { dropStock, fillStock, fittingDeals, type StockTerms } from "./stock.ts";
export type { CustodyUser, Directory } from "./user.ts";
