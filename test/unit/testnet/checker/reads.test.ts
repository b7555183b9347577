/** What users get back meanwhile: `acknowledged-is-retrievable` and `returned-is-what-was-put`. */
import { describe, expect, test } from "vitest";
import { CHANGE_LIFETIME_MS } from "../../../../protocols/custody/constants.ts";
import { CLOCK_SKEW_MS } from "../../../../protocols/identity/constants.ts";
import { SETTLE_MS } from "../../../../testnet/checker/faults.ts";
import { brokenBy, failed, KILLED, providers, WELL, WrittenHistory } from "../../../support/written-history.ts";

const RETRIEVABLE = ["acknowledged-is-retrievable"];

/** One deposit at five providers, of which three are needed and the first three keep the ciphertext. */
function withDeposit(): WrittenHistory {
  const run = new WrittenHistory();
  run.put("secret");
  return run;
}

describe("in between", () => {
  test("a get that fails while nothing is wrong is found", () => {
    const run = withDeposit();
    run.get("secret", { outcome: failed() });
    expect(brokenBy(run.lastReads())).toEqual(RETRIEVABLE);
  });

  test("n-t liars are no excuse, one more is", () => {
    const run = withDeposit();
    run.liar(...providers(1, 4));
    run.get("secret", { outcome: failed("WRONG_BYTES", "provider-4") });
    expect(brokenBy(run.lastReads())).toEqual(RETRIEVABLE);
    run.liar("provider-5");
    expect(brokenBy(run)).toEqual([]);
  });

  test("what is wrong meanwhile, or was a short while before, is", () => {
    const run = withDeposit();
    run.fault("slow-disk", providers(5));
    run.get("secret", { outcome: failed() });
    run.wait(30_000).get("secret", { outcome: failed() });
    expect(brokenBy(run.lastReads())).toEqual([]);
    const later = withDeposit();
    later.fault("slow-disk", providers(5));
    later.wait(30_000 + SETTLE_MS).get("secret", { outcome: failed() });
    expect(brokenBy(later.lastReads())).toEqual(RETRIEVABLE);
  });

  test("a deposit that is not acknowledged yet, or being destroyed, need not be there", () => {
    const run = new WrittenHistory();
    run.get("secret", { outcome: failed("NO_SUCH_DEPOSIT"), tookMs: 3_000 });
    run.put("secret", { startMs: 1_500 });
    run.get("secret", { outcome: failed("DESTROYED"), tookMs: 10_000 });
    run.destroy("secret", { startMs: run.nowMs - 5_000 });
    expect(brokenBy(run)).toEqual([]);
  });

  test("nor one that is being changed, or whose change somebody was left to finish", () => {
    const run = withDeposit();
    run.refresh("secret");
    run.get("secret", { outcome: failed() });
    run.wait(10 * 60_000).refresh("secret", { outcome: KILLED });
    run.wait(8 * 60_000).get("secret", { outcome: failed() });
    expect(brokenBy(run.lastReads())).toEqual([]);
  });

  test("which takes as long as a change lives, and until everybody has settled it", () => {
    const lateMs = CHANGE_LIFETIME_MS + 2 * CLOCK_SKEW_MS + SETTLE_MS;
    for (const [afterMs, broken] of [
      [lateMs, []],
      [lateMs + 1, RETRIEVABLE],
    ] as const) {
      const run = withDeposit();
      const { startMs } = run.refresh("secret", { outcome: KILLED });
      run.get("secret", { startMs: startMs + afterMs, outcome: failed() });
      expect(brokenBy(run.lastReads())).toEqual(broken);
    }
  });

  test("gets of others, and of a reader that was killed, say nothing", () => {
    const run = withDeposit();
    run.get("secret", { who: "bob", outcome: failed("NOT_THE_OWNER") });
    run.get("secret", { outcome: KILLED });
    expect(brokenBy(run.lastReads())).toEqual([]);
  });

  test("disks that lost the deposit count until they are mended", () => {
    const run = withDeposit();
    run.liar("provider-5");
    run.fault("lost-disk", providers(1, 2), { untilMs: run.nowMs });
    run.wait(10 * 60_000).get("secret", { outcome: failed() });
    expect(brokenBy(run.lastReads())).toEqual([]);
    run.repair("secret");
    run.wait(10 * 60_000).get("secret", { outcome: failed() });
    expect(brokenBy(run)).toEqual(RETRIEVABLE);
  });

  test("of a deposit that stayed it is known who was faulty, also when it was refreshed", () => {
    const run = new WrittenHistory({ count: 8 });
    run.put("secret", { to: providers(1, 2, 3, 4, 5) });
    run.liar(...providers(5, 6, 7, 8));
    run.refresh("secret");
    run.wait(10 * 60_000).get("secret", { outcome: failed() });
    expect(brokenBy(run.lastReads())).toEqual(RETRIEVABLE);
  });

  test("a move counts from when it is begun, and a refresh moves nothing", () => {
    const run = new WrittenHistory({ count: 7 });
    run.put("secret", { to: providers(1, 2, 3, 4, 5) });
    run.liar("provider-7");
    run.refresh("secret");
    run.wait(10 * 60_000).get("secret", { outcome: failed() });
    run.move("secret", providers(4, 5, 6));
    expect(brokenBy(run.lastReads())).toEqual(RETRIEVABLE);
  });

  test("of a deposit that moved it is not known who was faulty, so few have to be", () => {
    const run = new WrittenHistory({ count: 7 });
    run.put("secret", { to: providers(1, 2, 3, 4, 5) });
    run.liar(...providers(6, 7));
    run.move("secret", providers(4, 5, 6, 7));
    run.wait(10 * 60_000).get("secret", { outcome: failed() });
    expect(brokenBy(run.lastReads({ outcome: WELL }))).toEqual([]);
    const one = new WrittenHistory({ count: 7 });
    one.put("secret", { to: providers(1, 2, 3, 4, 5) });
    one.liar("provider-7");
    one.move("secret", providers(4, 5, 6, 7));
    one.wait(10 * 60_000).get("secret", { outcome: failed() });
    expect(brokenBy(one.lastReads())).toEqual(RETRIEVABLE);
  });
});

describe("what comes back", () => {
  test("other bytes than were put are found, whoever gets them", () => {
    const run = withDeposit();
    run.get("secret", { message: "hash of something else" });
    expect(brokenBy(run.lastReads())).toEqual(["returned-is-what-was-put"]);
    const friend = withDeposit();
    friend.grant("secret");
    friend.get("secret", { who: "bob", message: "hash of something else" });
    expect(brokenBy(friend.lastReads())).toEqual(["returned-is-what-was-put"]);
  });

  test("an error is right in its place, and what a put has made that its user was killed in", () => {
    const run = new WrittenHistory();
    run.put("secret", { outcome: KILLED });
    run.get("secret");
    run.get("secret", { outcome: failed("WRONG_BYTES", "provider-1") });
    expect(brokenBy(run)).toEqual([]);
  });

  test("nothing at all, and what nobody put, is found", () => {
    const run = withDeposit();
    run.lastReads().get("nothing", { message: "hash of nothing" });
    expect(brokenBy(run)).toEqual(["returned-is-what-was-put"]);
  });
});
