import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  CLOCK_SKEW_MS,
  MAX_REQUEST_BYTES,
  MAX_REQUEST_LIFETIME_MS,
  PURPOSES,
} from "../../../protocols/identity/constants.ts";
import { checkKeptRequest, checkRequest } from "../../../protocols/identity/request.ts";
import { openSession } from "../../../protocols/identity/tag.ts";
import { type CborValue, encodeCanonical } from "../../../protocols/wire/codec.ts";
import { IntercloudError } from "../../../protocols/wire/errors.ts";
import { flipBit } from "../../support/vectors.ts";
import {
  entropy,
  fieldsOf,
  HOUR_MS,
  NOW_MS,
  newPerson,
  reordered,
  requestOf,
  requestWith,
  tagWith,
} from "./session.ts";

const alice = newPerson();
const mallory = newPerson();
const LIFETIME_MS = 60_000;
const request = requestOf(alice.session, "retrieve", { lifetimeMs: LIFETIME_MS });

const code = (name: string, status = "refused") => expect.objectContaining({ code: name, status });
const malformed = expect.objectContaining({ code: "BAD_MESSAGE" });
const check = (bytes: Uint8Array, nowMs = NOW_MS) => checkRequest(bytes, "retrieve", nowMs);

describe("a request", () => {
  it("says who asks for what", () => {
    const checked = check(request);
    expect(checked).toEqual({
      identity: alice.identity,
      content: { file: "a" },
      nonce: expect.any(Uint8Array),
      issuedAtMs: NOW_MS,
      expiresAtMs: NOW_MS + LIFETIME_MS,
    });
    expect(checked.nonce.length).toBe(16);
    expect(check(requestOf(alice.session, "retrieve")).nonce).not.toEqual(checked.nonce);
  });

  it("may carry any content, null as well", () => {
    expect(check(requestOf(alice.session, "retrieve", { content: null })).content).toBeNull();
    expect(check(requestOf(alice.session, "retrieve", { content: [1, "b", { c: [] }] })).content).toEqual([
      1,
      "b",
      { c: [] },
    ]);
  });

  it("holds until its last millisecond and not after it", () => {
    check(request, NOW_MS + LIFETIME_MS);
    expect(() => check(request, NOW_MS + LIFETIME_MS + 1)).toThrow(code("REQUEST_EXPIRED", "expired"));
  });

  it("may be as much ahead of our clock as two honest clocks are apart", () => {
    // the tag is older than the request, so it is the request's own window that is tested
    const session = newPerson(PURPOSES, NOW_MS - HOUR_MS / 2).session;
    const early = requestOf(session, "retrieve");
    check(early, NOW_MS - CLOCK_SKEW_MS);
    expect(() => check(early, NOW_MS - CLOCK_SKEW_MS - 1)).toThrow(code("REQUEST_EXPIRED", "expired"));
  });

  it("may not live longer than nonces are remembered", () => {
    check(requestOf(alice.session, "retrieve", { lifetimeMs: MAX_REQUEST_LIFETIME_MS }));
    const long = requestOf(alice.session, "retrieve", { lifetimeMs: MAX_REQUEST_LIFETIME_MS + 1 });
    expect(() => check(long)).toThrow(code("REQUEST_EXPIRED", "expired"));
  });

  it("is not valid before it was issued plus the skew, even if it never was valid", () => {
    const backwards = requestWith(request, { expiresAtMs: NOW_MS - 1 }, alice.session.signer);
    expect(() => check(backwards)).toThrow(code("REQUEST_EXPIRED", "expired"));
  });

  it("does not outlive its tag", () => {
    const session = newPerson(PURPOSES, NOW_MS - HOUR_MS).session;
    const last = requestOf(session, "retrieve", { nowMs: NOW_MS });
    check(last, NOW_MS);
    expect(() => check(last, NOW_MS + 1)).toThrow(code("TAG_EXPIRED", "expired"));
  });

  it("is for one purpose", () => {
    for (const purpose of PURPOSES) {
      if (purpose === "retrieve") continue;
      expect(() => checkRequest(request, purpose, NOW_MS)).toThrow(code("WRONG_PURPOSE"));
    }
  });

  it("needs a tag that allows its purpose", () => {
    const reader = newPerson(["read"]).session;
    expect(() => check(requestOf(reader, "retrieve"))).toThrow(code("TAG_PURPOSE"));
    expect(() => checkRequest(requestOf(reader, "retrieve"), "read", NOW_MS)).toThrow(code("WRONG_PURPOSE"));
  });

  it("signed by another key than its tag's is refused", () => {
    const signers = [
      mallory.session.signer,
      alice.identityKey,
      openSession({
        ...{ identity: alice.identity, identityKey: alice.identityKey, purposes: PURPOSES },
        ...{ nowMs: NOW_MS, lifetimeMs: HOUR_MS, entropy },
      }).signer,
    ];
    for (const signer of signers) {
      expect(() => check(requestWith(request, {}, signer))).toThrow(code("BAD_SIGNATURE"));
    }
  });

  it("under somebody else's tag is refused", () => {
    const { body, signature } = fieldsOf(request) as { body: Uint8Array; signature: Uint8Array };
    expect(() => check(encodeCanonical({ tag: mallory.session.tag, body, signature }))).toThrow(code("BAD_SIGNATURE"));
    const forged = tagWith(alice.session.tag, { sessionKey: mallory.session.signer.publicKey }, mallory.identityKey);
    expect(() => check(requestOf({ ...mallory.session, tag: forged }, "retrieve"))).toThrow(code("BAD_TAG"));
  });

  it.each<[string, Record<string, CborValue | undefined>]>([
    ["an unknown field", { more: 1 }],
    ["an unknown purpose", { purpose: "everything" }],
    ["a short nonce", { nonce: new Uint8Array(15) }],
    ["a long nonce", { nonce: new Uint8Array(17) }],
    ["a time as text", { issuedAtMs: "now" }],
    ["a negative time", { issuedAtMs: -1 }],
    ["a time beyond all times", { expiresAtMs: 2 ** 51 }],
    ...["purpose", "issuedAtMs", "expiresAtMs", "nonce", "content"].map(
      (field): [string, Record<string, undefined>] => [`no ${field}`, { [field]: undefined }],
    ),
  ])("with %s is malformed", (_, changes) => {
    expect(() => check(requestWith(request, changes, alice.session.signer))).toThrow(malformed);
  });

  it("around it nothing is added, left out or too large", () => {
    const { tag, body, signature } = fieldsOf(request) as { tag: Uint8Array; body: Uint8Array; signature: Uint8Array };
    expect(() => check(encodeCanonical({ tag, body, signature, more: 1 }))).toThrow(malformed);
    expect(() => check(encodeCanonical({ body, signature }))).toThrow(malformed);
    expect(() => check(encodeCanonical({ tag, body, signature: new Uint8Array(63) }))).toThrow(malformed);
    const large = requestOf(alice.session, "retrieve", { content: new Uint8Array(MAX_REQUEST_BYTES) });
    expect(() => check(large)).toThrow(malformed);
  });

  it("has one form: another order of its fields is refused, inside and outside", () => {
    const nonCanonical = expect.objectContaining({ code: "NON_CANONICAL" });
    expect(() => check(reordered(request))).toThrow(nonCanonical);
    const { tag, body } = fieldsOf(request) as { tag: Uint8Array; body: Uint8Array };
    const other = reordered(body);
    const signature = alice.session.signer.sign("intercloud/request/v1", other);
    expect(() => check(encodeCanonical({ tag, body: other, signature }))).toThrow(nonCanonical);
  });

  it("a flipped bit in any byte is noticed", () => {
    for (let bit = 0; bit < request.length * 8; bit += 5) {
      expect(() => check(flipBit(request, bit))).toThrow(expect.objectContaining({ name: "IntercloudError" }));
    }
  });

  it("garbage is refused with an error of ours, never with another one", () => {
    const mutated = fc
      .tuple(fc.nat(request.length), fc.nat(request.length), fc.uint8Array({ maxLength: 12 }))
      .map(([from, to, bytes]) => Buffer.concat([request.subarray(0, from), bytes, request.subarray(to)]));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 400 }), mutated), (bytes) => {
        fc.pre(Buffer.compare(bytes, request) !== 0);
        for (const attempt of [() => check(bytes), () => checkKeptRequest(bytes, "retrieve")]) {
          expect(attempt).toThrow(IntercloudError);
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe("a kept request", () => {
  it("is checked as at the moment when it was issued", () => {
    expect(() => check(request, NOW_MS + 10 * HOUR_MS)).toThrow(IntercloudError);
    expect(checkKeptRequest(request, "retrieve")).toEqual(check(request));
  });

  it("that its tag did not cover then is refused", () => {
    const late = requestOf(alice.session, "retrieve", { nowMs: NOW_MS + HOUR_MS + 1 });
    expect(() => checkKeptRequest(late, "retrieve")).toThrow(code("TAG_EXPIRED", "expired"));
    const early = requestOf(alice.session, "retrieve", { nowMs: NOW_MS - CLOCK_SKEW_MS - 1 });
    expect(() => checkKeptRequest(early, "retrieve")).toThrow(code("TAG_EXPIRED", "expired"));
  });

  it("is held to everything else as well", () => {
    expect(() => checkKeptRequest(request, "deposit")).toThrow(code("WRONG_PURPOSE"));
    expect(() => checkKeptRequest(requestWith(request, {}, mallory.session.signer), "retrieve")).toThrow(
      code("BAD_SIGNATURE"),
    );
    const long = requestOf(alice.session, "retrieve", { lifetimeMs: MAX_REQUEST_LIFETIME_MS + 1 });
    expect(() => checkKeptRequest(long, "retrieve")).toThrow(code("REQUEST_EXPIRED", "expired"));
    const backwards = requestWith(request, { expiresAtMs: NOW_MS - 1 }, alice.session.signer);
    expect(() => checkKeptRequest(backwards, "retrieve")).toThrow(code("REQUEST_EXPIRED", "expired"));
    expect(() => checkKeptRequest(requestWith(request, { more: 1 }, alice.session.signer), "retrieve")).toThrow(
      malformed,
    );
  });
});
