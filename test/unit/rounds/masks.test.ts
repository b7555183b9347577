/** What is under which key: no two things are under one. */
import { expect, test } from "vitest";
import { newAgreementKey } from "../../../protocols/crypto/key-agreement.ts";
import { fingerprintsMaskKey, maskKey, pairMaskKey, reportKey, shareMaskKey } from "../../../protocols/rounds/index.ts";
import { bytesOf } from "../../support/bytes.ts";

test("what a provider reports is under keys of its own: for each provider, round, challenge and kind another one, which both sides have", () => {
  const user = newAgreementKey((lengthBytes) => bytesOf(lengthBytes, 1));
  const provider = newAgreementKey((lengthBytes) => bytesOf(lengthBytes, 2));
  const member = { point: 2, peer: "p2" };
  const [round, other] = [bytesOf(32, 3), bytesOf(32, 4)];
  const key = reportKey(user, provider.publicKey, member, round);
  expect(reportKey(provider, user.publicKey, member, round)).toEqual(key);
  const all = [
    key,
    maskKey(user, provider.publicKey, member, round),
    pairMaskKey(user, provider.publicKey, ["p1", "p2"], round),
    reportKey(user, provider.publicKey, member, other),
    reportKey(user, provider.publicKey, { point: 3, peer: "p2" }, round),
    reportKey(user, provider.publicKey, { point: 2, peer: "p3" }, round),
    shareMaskKey(key),
    fingerprintsMaskKey(key, bytesOf(32, 5)),
    fingerprintsMaskKey(key, bytesOf(32, 6)),
  ];
  expect(new Set(all.map((each) => Buffer.from(each).toString("hex"))).size).toBe(all.length);
});
