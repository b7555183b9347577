/** What a program imports: `import { openClient, openHome } from "intercloud"`. */

export type { GrantsChanged } from "../protocols/custody/client/index.ts";
export type { Grant, GrantPurpose, GrantTerms } from "../protocols/custody/grants.ts";
export type { Identity } from "../protocols/identity/identity.ts";
export type { Token } from "../protocols/tokens/token.ts";
export { IntercloudError } from "../protocols/wire/errors.ts";
export type { DepositedOne } from "./batch.ts";
export { type ClientParts, createClient } from "./client.ts";
export * from "./client-api.ts";
export type { ClientStock, StockLine } from "./client-stock.ts";
export type { DepositSettings } from "./deposit-plan.ts";
export type { Decrypted, Encrypted } from "./envelopes.ts";
export * from "./home.ts";
export { type OpenClientOptions, openClient } from "./open-client.ts";
export { type ProofReport, reportProof } from "./proof-report.ts";
export { type ReceiptsReport, reportReceipts } from "./receipts-report.ts";
export { memoryShares, type ShareStore } from "./shares.ts";
export { type DepositSource, fileSource, type OneShotSource } from "./sources.ts";
