import { beforeEach, describe, expect, it } from "vitest";
import { MAX_REQUEST_LIFETIME_MS } from "../../../protocols/identity/constants.ts";
import { createReplayGuard, type ReplayGuard } from "../../../protocols/identity/replay-guard.ts";
import { type CheckedRequest, checkRequest } from "../../../protocols/identity/request.ts";
import { NOW_MS, newPerson, requestOf } from "./session.ts";

const MAX_NONCES = 100;
const replayed = expect.objectContaining({ code: "REPLAYED", status: "replayed" });

/** A request with the nonce `number`. */
function numbered(number: number, expiresAtMs = NOW_MS + 1_000, issuedAtMs = NOW_MS): CheckedRequest {
  const nonce = Buffer.alloc(16);
  nonce.writeUInt32BE(number);
  return { identity: "key:somebody", content: null, nonce, issuedAtMs, expiresAtMs };
}

let guard: ReplayGuard;
beforeEach(() => {
  guard = createReplayGuard(NOW_MS - 1_000, MAX_NONCES);
});

describe("the replay guard", () => {
  it("admits a request once", () => {
    const { session } = newPerson();
    const request = checkRequest(requestOf(session, "read"), "read", NOW_MS);
    guard.admit(request, NOW_MS);
    expect(() => guard.admit(request, NOW_MS)).toThrow(replayed);
    guard.admit(checkRequest(requestOf(session, "read"), "read", NOW_MS), NOW_MS);
  });

  it("remembers a nonce as long as the request could be valid", () => {
    const last = numbered(1, NOW_MS + MAX_REQUEST_LIFETIME_MS);
    guard.admit(last, NOW_MS);
    expect(() => guard.admit(last, NOW_MS + MAX_REQUEST_LIFETIME_MS)).toThrow(replayed);
  });

  it("takes nonces apart that differ in one bit", () => {
    const roomy = createReplayGuard(NOW_MS);
    for (let bit = 0; bit < 128; bit++) {
      const nonce = new Uint8Array(16);
      nonce[bit >> 3] = 1 << (bit & 7);
      roomy.admit({ ...numbered(0), nonce }, NOW_MS);
    }
  });

  it("refuses what was issued before it started: another process may have seen it", () => {
    guard.admit(numbered(1, NOW_MS, NOW_MS - 1_000), NOW_MS);
    expect(() => guard.admit(numbered(2, NOW_MS, NOW_MS - 1_001), NOW_MS)).toThrow(replayed);
  });

  it("with its memory full forgets what has expired, and nothing else", () => {
    for (let i = 0; i < MAX_NONCES - 1; i++) guard.admit(numbered(i, NOW_MS + 2_000), NOW_MS);
    guard.admit(numbered(MAX_NONCES - 1, NOW_MS + 5_000), NOW_MS);
    const busy = expect.objectContaining({ code: "BUSY", status: "busy", details: { retryAfterMs: 1_000 } });
    expect(() => guard.admit(numbered(MAX_NONCES), NOW_MS + 2_000)).toThrow(busy);
    expect(() => guard.admit(numbered(5), NOW_MS + 2_000)).toThrow(replayed);
    // a full memory is looked through once a second, not for each request
    expect(() => guard.admit(numbered(MAX_NONCES), NOW_MS + 2_001)).toThrow(busy);
    guard.admit(numbered(MAX_NONCES), NOW_MS + 3_001);
    expect(() => guard.admit(numbered(MAX_NONCES - 1), NOW_MS + 3_001)).toThrow(replayed);
  });
});
