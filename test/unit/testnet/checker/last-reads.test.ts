/** What owners read in the end: `acknowledged-is-retrievable`. */
import { describe, expect, test } from "vitest";
import { brokenBy, failed, KILLED, providers, WrittenHistory } from "../../../support/written-history.ts";

const RETRIEVABLE = ["acknowledged-is-retrievable"];

/** One deposit at five providers, of which three are needed and the first three keep the ciphertext. */
function withDeposit(): WrittenHistory {
  const run = new WrittenHistory();
  run.put("secret");
  return run;
}

describe("in the end", () => {
  test("what was put, kept and read is as it should be", () => {
    const run = withDeposit();
    run.get("secret");
    run.refresh("secret");
    run.move("secret", providers(2, 3, 4));
    run.repair("secret");
    expect(brokenBy(run.lastReads())).toEqual([]);
  });

  test("a last read that fails is found", () => {
    expect(brokenBy(withDeposit().lastReads({ outcome: failed() }))).toEqual(RETRIEVABLE);
  });

  test("a deposit that nobody reads in the end is found, also when somebody else does", () => {
    const run = withDeposit();
    run.get("secret");
    expect(brokenBy(run)).toEqual(RETRIEVABLE);
    run.grant("secret");
    run.get("secret", { who: "bob", isLast: true });
    expect(brokenBy(run)).toEqual(RETRIEVABLE);
  });

  test("a last read before the faults were over, or whose reader was killed, is none", () => {
    const run = withDeposit();
    run.get("secret", { isLast: true, outcome: KILLED });
    expect(brokenBy(run)).toEqual(RETRIEVABLE);
    run.get("secret", { isLast: true });
    expect(brokenBy(run)).toEqual([]);
    run.fault("crash", providers(1));
    expect(brokenBy(run)).toEqual(RETRIEVABLE);
  });

  test.each([failed(), KILLED])("a put that %o is no deposit that has to be read", (outcome) => {
    const run = new WrittenHistory();
    run.put("secret", { outcome });
    expect(brokenBy(run.lastReads())).toEqual([]);
  });
});

describe("providers that are faulty for good", () => {
  test.each([
    ["two liars", (run: WrittenHistory) => run.liar(...providers(2, 4))],
    ["two that stay dead", (run: WrittenHistory) => void run.fault("crash", providers(1, 2), { untilMs: undefined })],
    [
      "a liar and a dead one",
      (run: WrittenHistory) => {
        run.liar("provider-5");
        run.fault("crash", providers(1), { untilMs: undefined });
      },
    ],
    [
      "three that are only slow",
      (run: WrittenHistory) => void run.fault("slow-link", providers(1, 2, 3), { untilMs: undefined }),
    ],
    ["four that were down and came back", (run: WrittenHistory) => void run.fault("crash", providers(1, 2, 3, 4))],
  ])("%s are borne", (_, strike) => {
    const run = withDeposit();
    strike(run);
    run.lastReads();
    expect(brokenBy(run)).toEqual([]);
    const worse = withDeposit();
    strike(worse);
    expect(brokenBy(worse.lastReads({ outcome: failed() }))).toEqual(RETRIEVABLE);
  });

  test("more than n-t excuse a read that fails", () => {
    const run = withDeposit();
    run.liar(...providers(2, 4));
    run.fault("crash", providers(5), { untilMs: undefined });
    expect(brokenBy(run.lastReads({ outcome: failed() }))).toEqual([]);
  });

  test("all that keep the ciphertext excuse it, too", () => {
    const run = new WrittenHistory({ copies: 2 });
    run.put("secret");
    run.liar(...providers(1, 2));
    expect(brokenBy(run.lastReads({ outcome: failed() }))).toEqual([]);
  });

  test("liars among the dealers do not count", () => {
    const run = withDeposit();
    run.forget("secret", run.deposits.get("secret")!.placement!, () => "left");
    run.liar("provider-1", "provider-2", "dealer-1");
    expect(brokenBy(run.lastReads({ outcome: failed() }))).toEqual(RETRIEVABLE);
  });

  test("those of another deposit do not count", () => {
    const run = new WrittenHistory({ count: 8 });
    run.put("other", { to: providers(6, 7, 8) });
    run.refresh("other");
    run.put("secret", { to: providers(1, 2, 3, 4, 5) });
    run.liar(...providers(6, 7));
    expect(brokenBy(run.lastReads({ outcome: failed() }))).toEqual(RETRIEVABLE);
  });

  test("only those count that the deposit is at in the end", () => {
    const run = withDeposit();
    run.move("secret", providers(1, 2, 3));
    run.liar(...providers(4, 5));
    expect(brokenBy(run.lastReads({ outcome: failed() }))).toEqual(RETRIEVABLE);
  });

  test("t liars where a deposit moves to can lose it, and no fewer", () => {
    const moved = (...liars: number[]) => {
      const run = new WrittenHistory({ count: 6, copies: 6 });
      run.put("secret", { to: providers(1, 2, 3), threshold: 3 });
      run.liar(...providers(...liars));
      run.move("secret", providers(3, 4, 5, 6), { threshold: 2, outcome: failed() });
      return run.lastReads({ outcome: failed() });
    };
    expect(brokenBy(moved(4, 5))).toEqual([]);
    expect(brokenBy(moved(4))).toEqual(RETRIEVABLE);
    const stayed = new WrittenHistory({ threshold: 2 });
    stayed.put("secret");
    stayed.liar(...providers(4, 5));
    expect(brokenBy(stayed.lastReads({ outcome: failed() }))).toEqual(RETRIEVABLE);
  });

  test("when it is in two places, one of them where too many are faulty is enough", () => {
    const run = new WrittenHistory({ count: 8 });
    run.put("secret", { to: providers(1, 2, 3) });
    const { startMs } = run.move("secret", providers(1, 2, 3, 4), { tookMs: 5_000 });
    run.move("secret", providers(5, 6, 7), { startMs: startMs + 1_000, outcome: KILLED });
    run.keep("secret", { generation: 1, dealId: run.newDeal(), roster: providers(5, 6, 7), threshold: 3, copies: 3 });
    run.lastReads({ outcome: failed() });
    expect(brokenBy(run)).toEqual(RETRIEVABLE);
    run.liar("provider-7");
    expect(brokenBy(run)).toEqual([]);
  });

  test("when nobody has it any more they are counted all together", () => {
    const lost = withDeposit();
    lost.forget("secret", lost.deposits.get("secret")!.placement!, () => "left");
    lost.liar(...providers(1, 2));
    expect(brokenBy(lost.lastReads({ outcome: failed() }))).toEqual(RETRIEVABLE);
    lost.liar("provider-3");
    expect(brokenBy(lost)).toEqual([]);
  });
});

describe("disks that lost something", () => {
  function withLostDisks(kind: "lost-disk" | "old-disk"): WrittenHistory {
    const run = withDeposit();
    run.fault(kind, providers(1, 2, 3));
    for (const peer of providers(1, 2, 3)) run.empty(peer, { withLog: true });
    return run.wait(60_000);
  }

  test.each(["lost-disk", "old-disk"] as const)("%s: too many that nobody mended excuse a read that fails", (kind) => {
    expect(brokenBy(withLostDisks(kind).lastReads({ outcome: failed() }))).toEqual([]);
  });

  test("whoever has everything again counts as good, whoever gave it back", () => {
    const run = withLostDisks("lost-disk");
    const { placement } = run.deposits.get("secret")!;
    run.keep("secret", placement!, providers(1));
    expect(brokenBy(run.lastReads({ outcome: failed() }))).toEqual(RETRIEVABLE);
  });

  test("who keeps no ciphertext need not have it again", () => {
    const run = withDeposit();
    run.fault("lost-disk", providers(4));
    run.liar(...providers(1, 2));
    expect(brokenBy(run.lastReads({ outcome: failed() }))).toEqual(RETRIEVABLE);
    run.empty("provider-4");
    expect(brokenBy(run)).toEqual([]);
  });

  test("whoever has not counts as faulty, whatever others have", () => {
    const run = new WrittenHistory({ threshold: 4 });
    run.put("secret");
    run.fault("lost-disk", providers(2, 3));
    for (const peer of providers(2, 3)) run.empty(peer);
    run.mend("secret", run.deposits.get("secret")!.placement!, providers(2));
    expect(brokenBy(run.lastReads({ outcome: failed() }))).toEqual(RETRIEVABLE);
    run.empty("provider-2");
    expect(brokenBy(run)).toEqual([]);
  });

  test("a disk that is lost a second time has to be mended a second time", () => {
    const run = withDeposit();
    run.fault("lost-disk", providers(1, 2, 3));
    run.wait(60_000).repair("secret");
    run.wait(60_000).fault("lost-disk", providers(1, 2, 3));
    for (const peer of providers(1, 2, 3)) run.empty(peer);
    expect(brokenBy(run.lastReads({ outcome: failed() }))).toEqual([]);
  });

  test("a repair that ended well was meant to help; one that failed helps those that it names", () => {
    const run = withLostDisks("lost-disk");
    run.repair("secret", { outcome: failed(), mended: providers(4, 5) });
    run.lastReads({ outcome: failed() });
    expect(brokenBy(run)).toEqual([]);
    run.repair("secret", { outcome: failed(), mended: providers(1) });
    expect(brokenBy(run)).toEqual([...RETRIEVABLE, "whole-or-gone"]);
  });

  test("a repair before the disk was lost helps nobody", () => {
    const run = withDeposit();
    run.repair("secret");
    run.fault("lost-disk", providers(1, 2, 3));
    for (const peer of providers(1, 2, 3)) run.empty(peer);
    expect(brokenBy(run.lastReads({ outcome: failed() }))).toEqual([]);
  });
});

describe("destroyed deposits need not be read", () => {
  test("all of it, or a part of it", () => {
    const run = withDeposit();
    run.destroy("secret");
    expect(brokenBy(run)).toEqual([]);
    const partly = withDeposit();
    partly.destroy("secret", { receiptsFrom: providers(1) });
    expect(brokenBy(partly)).toEqual([]);
  });

  test.each([KILLED, failed("NOT_ENOUGH_PROVIDERS")])("a destroy that %o may have done something", (outcome) => {
    const run = withDeposit();
    run.destroy("secret", { outcome });
    expect(brokenBy(run.lastReads({ outcome: failed("DESTROYED") }))).toEqual([]);
  });

  test("one that asked nobody has not, nor has that of a stranger", () => {
    const nobody = withDeposit();
    nobody.destroy("secret", { outcome: failed("NO_SUCH_DEPOSIT") });
    expect(brokenBy(nobody)).toEqual(RETRIEVABLE);
    const stranger = withDeposit();
    stranger.destroy("secret", { who: "mallory", outcome: failed("NOT_ENOUGH_PROVIDERS") });
    expect(brokenBy(stranger)).toEqual(RETRIEVABLE);
  });
});
