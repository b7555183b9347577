export { EVENT_ID_BYTES } from "./constants.ts";
export { checkedEvent, entryHash, eventKeyOf, logKeyOf, makeEntry, openEntry, readEntry, startHash } from "./entry.ts";
export { type AuditEvent, auditChange, decodeEvent } from "./event.ts";
export { type AuditHead, readSignedHead, signHead } from "./head.ts";
export { createChainCheck, type LogReport, verifyLog } from "./verify.ts";
