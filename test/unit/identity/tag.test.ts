import { describe, expect, it } from "vitest";
import { newSigner } from "../../../protocols/crypto/signing.ts";
import { CLOCK_SKEW_MS, MAX_TAG_BYTES, PURPOSES } from "../../../protocols/identity/constants.ts";
import { identityOfKey, keyOfIdentity } from "../../../protocols/identity/identity.ts";
import { checkTag, openSession } from "../../../protocols/identity/tag.ts";
import type { CborValue } from "../../../protocols/wire/codec.ts";
import { encodeCanonical } from "../../../protocols/wire/codec.ts";
import { flipBit, fromHex } from "../../support/vectors.ts";
import { entropy, fieldsOf, HOUR_MS, NOW_MS, newPerson, reordered, tagWith } from "./session.ts";

const alice = newPerson(["deposit", "retrieve"]);
const mallory = newPerson();
const { tag } = alice.session;

const code = (name: string, status = "refused") => expect.objectContaining({ code: name, status });
const malformed = expect.objectContaining({ code: "BAD_MESSAGE" });
const check = (bytes: Uint8Array, nowMs = NOW_MS) => checkTag(bytes, "deposit", nowMs);

describe("a tag", () => {
  it("says which key speaks for whom, for what and until when", () => {
    expect(checkTag(tag, "retrieve", NOW_MS)).toEqual({
      version: 1,
      identity: alice.identity,
      sessionKey: alice.session.signer.publicKey,
      purposes: ["deposit", "retrieve"],
      notBeforeMs: NOW_MS,
      expiresAtMs: NOW_MS + HOUR_MS,
    });
  });

  it("holds until its last millisecond and not after it", () => {
    check(tag, NOW_MS + HOUR_MS);
    expect(() => check(tag, NOW_MS + HOUR_MS + 1)).toThrow(code("TAG_EXPIRED", "expired"));
  });

  it("may be as much ahead of our clock as two honest clocks are apart", () => {
    check(tag, NOW_MS - CLOCK_SKEW_MS);
    expect(() => check(tag, NOW_MS - CLOCK_SKEW_MS - 1)).toThrow(code("TAG_EXPIRED", "expired"));
  });

  it("is for its purposes only", () => {
    for (const purpose of ["deal", "read", "destroy"] as const) {
      expect(() => checkTag(tag, purpose, NOW_MS)).toThrow(code("TAG_PURPOSE"));
    }
  });

  it("signed by somebody else is refused, and so is one for somebody else's name", () => {
    expect(() => check(tagWith(tag, {}, mallory.identityKey))).toThrow(code("BAD_TAG"));
    expect(() => check(tagWith(tag, { identity: mallory.identity }, alice.identityKey))).toThrow(code("BAD_TAG"));
    // a session key cannot make a further tag
    expect(() => check(tagWith(tag, {}, alice.session.signer))).toThrow(code("BAD_TAG"));
    const foreign = { identity: alice.identity, identityKey: mallory.identityKey, purposes: ["deposit"] as const };
    const { tag: forged } = openSession({ ...foreign, nowMs: NOW_MS, lifetimeMs: HOUR_MS, entropy });
    expect(() => check(forged)).toThrow(code("BAD_TAG"));
  });

  it("a flipped bit in any byte is noticed", () => {
    for (let bit = 0; bit < tag.length * 8; bit += 3) {
      expect(() => check(flipBit(tag, bit))).toThrow(expect.objectContaining({ name: "IntercloudError" }));
    }
  });

  it.each<[string, Record<string, CborValue | undefined>]>([
    ["an unknown field", { admin: true }],
    ["another version", { version: 2 }],
    ["no purposes", { purposes: [] }],
    ["an unknown purpose", { purposes: ["deposit", "everything"] }],
    ["more purposes than there are", { purposes: Array.from({ length: PURPOSES.length + 1 }, () => "deposit") }],
    ["purposes that are text", { purposes: "deposit" }],
    ["a short session key", { sessionKey: new Uint8Array(31) }],
    ["a long session key", { sessionKey: new Uint8Array(33) }],
    ["a session key as text", { sessionKey: "k".repeat(32) }],
    ["an empty identity", { identity: "" }],
    ["an endless identity", { identity: `key:${"1".repeat(300)}` }],
    ["a negative time", { notBeforeMs: -1 }],
    ["a time with a fraction", { expiresAtMs: NOW_MS + 0.5 }],
    ["a time beyond all times", { expiresAtMs: 2 ** 51 }],
    ...["version", "identity", "sessionKey", "purposes", "notBeforeMs", "expiresAtMs"].map(
      (field): [string, Record<string, undefined>] => [`no ${field}`, { [field]: undefined }],
    ),
  ])("with %s is malformed", (_, changes) => {
    expect(() => check(tagWith(tag, changes, alice.identityKey))).toThrow(malformed);
  });

  it("around it nothing is added and nothing is left out", () => {
    const { body, signature } = fieldsOf(tag) as { body: Uint8Array; signature: Uint8Array };
    expect(() => check(encodeCanonical({ body, signature, more: 1 }))).toThrow(malformed);
    expect(() => check(encodeCanonical({ body }))).toThrow(malformed);
    expect(() => check(encodeCanonical({ body, signature: signature.subarray(1) }))).toThrow(malformed);
    expect(() => check(encodeCanonical([body, signature]))).toThrow(malformed);
    const large = new Uint8Array(MAX_TAG_BYTES + 1);
    expect(() => check(encodeCanonical({ body: large, signature }))).toThrow(malformed);
  });

  it("has one form: another order of its fields is refused, inside and outside", () => {
    expect(() => check(reordered(tag))).toThrow(expect.objectContaining({ code: "NON_CANONICAL" }));
    const body = reordered(fieldsOf(tag)["body"] as Uint8Array);
    const signature = alice.identityKey.sign("intercloud/tag/v1", body);
    expect(() => check(encodeCanonical({ body, signature }))).toThrow(
      expect.objectContaining({ code: "NON_CANONICAL" }),
    );
  });

  it.each([
    ["nothing", new Uint8Array()],
    ["garbage", fromHex("ffffffff")],
    ["bytes after the end", Buffer.concat([tag, Buffer.of(0)])],
    ["half of it", tag.subarray(0, tag.length / 2)],
  ])("%s is malformed", (_, bytes) => {
    expect(() => check(bytes)).toThrow(expect.objectContaining({ code: "MALFORMED" }));
  });
});

describe("a self-certifying identity", () => {
  it("is its key", () => {
    const { publicKey } = newSigner(entropy);
    expect(keyOfIdentity(identityOfKey(publicKey))).toEqual(publicKey);
  });

  const good = alice.identity;
  it.each([
    ["nothing", ""],
    ["a named identity, which comes later", "alice@example.org"],
    ["the prefix alone", "key:"],
    ["capitals", good.replace("key:", "KEY:")],
    ["no prefix", good.slice(4)],
    ["a space at the end", `${good} `],
    ["two characters less", good.slice(0, -2)],
    ["a key of 33 bytes", identityOfKey(new Uint8Array(33).fill(7))],
    ["a key of 31 bytes", identityOfKey(new Uint8Array(31).fill(7))],
    ["a leading zero byte", good.replace("key:", "key:1")],
    ["a character that base58 lacks", good.replace(/.$/, "l")],
  ])("%s is none", (_, identity) => {
    expect(() => keyOfIdentity(identity)).toThrow(code("BAD_IDENTITY"));
    if (identity !== "") {
      expect(() => check(tagWith(tag, { identity }, alice.identityKey))).toThrow(code("BAD_IDENTITY"));
    }
  });

  it("with a key of small order, for which everybody can sign, has no valid tag", () => {
    const identity = identityOfKey(fromHex(`01${"00".repeat(31)}`));
    const anybodys = fromHex(`58${"66".repeat(31)}01${"00".repeat(31)}`);
    const { body } = fieldsOf(tagWith(tag, { identity }, alice.identityKey)) as { body: Uint8Array };
    expect(() => check(encodeCanonical({ body, signature: anybodys }))).toThrow(code("BAD_TAG"));
  });
});
