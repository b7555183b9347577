import { expect, test } from "vitest";
import { MAX_EVENT_BYTES } from "../../../protocols/audit/constants.ts";
import { type AuditEvent, decodeEvent } from "../../../protocols/audit/index.ts";
import { MAX_ROUND_BYTES } from "../../../protocols/rounds/constants.ts";
import { type CborValue, encodeCanonical } from "../../../protocols/wire/codec.ts";
import { encoded } from "./log.ts";

const dealId = new Uint8Array(16).fill(1);
const tokenId = new Uint8Array(32).fill(2);
const peer = "x".repeat(64);
// Every letter takes four bytes: the longest that an identity can be.
const identity = "\u{1f511}".repeat(128);
const asked = { tokenId, identity, purpose: "retrieve", from: peer, roundDigest: new Uint8Array(32) };
const most = Number.MAX_SAFE_INTEGER;

const EVENTS: readonly AuditEvent[] = [
  { kind: "started", version: "1.2.3", peer },
  { kind: "stopped" },
  { kind: "dealt", dealId, dealer: peer, point: 254, lengthBytes: MAX_ROUND_BYTES, expiresAtMs: 2 ** 50 },
  { kind: "bound", tokenId, dealId, identity, from: peer },
  { kind: "linked", tokenId },
  { kind: "kept", tokenId },
  { kind: "copied", tokenId },
  { kind: "kept-envelope", tokenId, lengthBytes: most },
  { kind: "sealed", tokenId, identity },
  { kind: "lot", step: "sealed", dealId, identity, root: tokenId, items: 4096 },
  { kind: "burnt", dealId, tokenId, why: "failed" },
  { kind: "burnt", dealId, tokenId: null, why: "expired" },
  { kind: "served", ...asked, offsetBytes: MAX_ROUND_BYTES, lengthBytes: MAX_ROUND_BYTES },
  { kind: "served-envelope", tokenId, identity, from: peer, offsetBytes: most, lengthBytes: most },
  { kind: "gave-envelope", tokenId, to: peer },
  { kind: "repaired", tokenId, share: true, ciphertext: true, envelope: true },
  { kind: "refused", ...asked, code: "NOT_THE_OWNER", unlogged: most },
];

test.each(EVENTS)("$kind comes back as it was, and is never too long for the log", (event) => {
  expect(decodeEvent(encoded(event))).toEqual(event);
  expect(encoded(event).length).toBeLessThan(MAX_EVENT_BYTES / 2);
});

test.each<[string, CborValue]>([
  ["a kind that this release does not know", { kind: "celebrated" }],
  ["a field too many", { kind: "stopped", seed: new Uint8Array(32) }],
  ["a field too few", { kind: "linked" }],
  ["a token id of another length", { kind: "linked", tokenId: new Uint8Array(31) }],
  ["no map", 7],
])("%s is no event", (_, value) => {
  expect(() => decodeEvent(encodeCanonical(value))).toThrow(expect.objectContaining({ code: "BAD_MESSAGE" }));
});
