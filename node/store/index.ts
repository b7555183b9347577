/** The node's store: small records that cannot shrink unnoticed, and large bodies as files beside them. */
export { type AuditOptions, openStoredLog, type StoredLog } from "./audit-log.ts";
export { type OpenStore, openStore, type StoreOptions } from "./open.ts";
