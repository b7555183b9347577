/** Who gets what: `only-readers-read` and `destroyed-stays-destroyed`. */
import { describe, expect, test } from "vitest";
import { REQUEST_LIFETIME_MS } from "../../../../protocols/custody/constants.ts";
import { CLOCK_SKEW_MS } from "../../../../protocols/identity/constants.ts";
import {
  brokenBy,
  FRIEND,
  failed,
  KILLED,
  OWNER,
  providers,
  WrittenHistory,
} from "../../../support/written-history.ts";

const READERS = ["only-readers-read"];
const DESTROYED = ["destroyed-stays-destroyed"];

/** One deposit at five providers, of which three are needed. */
function withDeposit(): WrittenHistory {
  const run = new WrittenHistory();
  run.put("secret");
  return run;
}

const byFriend = { who: FRIEND };

describe("strangers", () => {
  test("that get nothing are as it should be", () => {
    const run = withDeposit();
    run.steal("secret");
    run.get("secret", { who: FRIEND, outcome: failed("NOT_THE_OWNER") });
    expect(brokenBy(run.lastReads())).toEqual([]);
  });

  test("that get it are found, as thieves and as readers", () => {
    const thief = withDeposit();
    thief.steal("secret", { outcome: { ended: "well" } });
    expect(brokenBy(thief.lastReads())).toEqual(READERS);
    const reader = withDeposit();
    reader.get("secret", byFriend);
    expect(brokenBy(reader.lastReads())).toEqual(READERS);
  });

  test("are found when another deposit, or another reader, was granted", () => {
    const run = withDeposit();
    run.put("other");
    run.grant("other");
    run.grant("secret", { reader: "carol" });
    run.get("other", byFriend);
    run.get("secret", { who: "carol" });
    expect(brokenBy(run.lastReads())).toEqual([]);
    run.get("secret", byFriend);
    expect(brokenBy(run)).toEqual(READERS);
  });

  test("of a put that was killed are found", () => {
    const run = new WrittenHistory();
    run.put("secret", { outcome: KILLED });
    run.get("secret", byFriend);
    expect(brokenBy(run)).toEqual(READERS);
  });
});

describe("a grant", () => {
  test("lets in while it is being made, and afterwards", () => {
    const run = withDeposit();
    const grant = run.grant("secret", { tookMs: 5_000 });
    run.get("secret", { ...byFriend, startMs: grant.startMs - 500, tookMs: 1_000 });
    run.get("secret", { ...byFriend, startMs: grant.startMs + 1_000, tookMs: 1_000 });
    run.wait(60 * 60_000).get("secret", byFriend);
    expect(brokenBy(run.lastReads())).toEqual([]);
  });

  test("that is begun when the get is over lets nobody in", () => {
    const run = withDeposit();
    run.get("secret", byFriend);
    run.grant("secret");
    expect(brokenBy(run.lastReads())).toEqual(READERS);
  });

  test.each([KILLED, failed("NOT_ENOUGH_PROVIDERS", "provider-1"), failed("GRANTS_CHANGED")])(
    "that %o may be in force",
    (outcome) => {
      const run = withDeposit();
      run.grant("secret", { outcome });
      run.get("secret", byFriend);
      expect(brokenBy(run.lastReads())).toEqual([]);
    },
  );

  test("that failed before anybody was told is not, nor is one that somebody else made", () => {
    const run = withDeposit();
    run.grant("secret", { outcome: failed("NOT_GRANTABLE") });
    run.get("secret", byFriend);
    expect(brokenBy(run.lastReads())).toEqual(READERS);
    const foreign = withDeposit();
    foreign.grant("secret", { who: "mallory" });
    foreign.get("secret", byFriend);
    expect(brokenBy(foreign.lastReads())).toEqual(READERS);
  });

  test("is over when it expires, by clocks that may be apart", () => {
    const run = withDeposit();
    const { endMs: grantedMs = 0 } = run.grant("secret", { expiresAtMs: 100_000 });
    expect(grantedMs).toBeLessThan(100_000);
    run.get("secret", { ...byFriend, startMs: 100_000 + CLOCK_SKEW_MS });
    expect(brokenBy(run.lastReads())).toEqual([]);
    run.get("secret", { ...byFriend, startMs: 100_000 + CLOCK_SKEW_MS + 1 });
    expect(brokenBy(run)).toEqual(READERS);
    run.fault("clock", providers(1), { detail: "-5000" });
    run.get("secret", { isLast: true, startMs: run.nowMs + 60_000 });
    expect(brokenBy(run)).toEqual([]);
  });
});

describe("a revoke", () => {
  function revoked(more: Parameters<WrittenHistory["revoke"]>[1] = {}): WrittenHistory {
    const run = withDeposit();
    run.grant("secret");
    run.revoke("secret", more);
    return run;
  }

  test("shuts out for good, also from what was moved since", () => {
    const run = revoked();
    run.move("secret", providers(3, 4, 5));
    run.get("secret", { ...byFriend, outcome: failed("NOT_THE_OWNER") });
    expect(brokenBy(run.lastReads())).toEqual([]);
    run.get("secret", byFriend);
    expect(brokenBy(run)).toEqual(READERS);
  });

  test("does not while it is being made, when it failed, or when it is somebody else's", () => {
    const during = withDeposit();
    during.grant("secret");
    const revoke = during.revoke("secret", { tookMs: 5_000 });
    during.get("secret", { ...byFriend, startMs: revoke.startMs + 4_000, tookMs: 2_000 });
    expect(brokenBy(during.lastReads())).toEqual([]);
    for (const more of [{ outcome: failed() }, { outcome: KILLED }, { reader: "carol" }, { who: "mallory" }]) {
      const run = revoked(more);
      run.get("secret", byFriend);
      expect(brokenBy(run.lastReads())).toEqual([]);
    }
  });

  test("is undone by a later grant, or by one at the same time", () => {
    const later = revoked();
    later.grant("secret");
    later.get("secret", byFriend);
    expect(brokenBy(later.lastReads())).toEqual([]);
    const together = withDeposit();
    const { startMs } = together.grant("secret", { tookMs: 3_000 });
    together.revoke("secret", { startMs: startMs + 1_000 });
    together.wait(5_000).get("secret", byFriend);
    expect(brokenBy(together.lastReads())).toEqual([]);
  });

  test("may come before a grant whose client was killed, as long as that is on its way", () => {
    const run = withDeposit();
    run.grant("secret", { outcome: KILLED });
    run.revoke("secret");
    run.get("secret", byFriend);
    expect(brokenBy(run.lastReads())).toEqual([]);
    const later = withDeposit();
    later.grant("secret", { outcome: KILLED });
    later.wait(REQUEST_LIFETIME_MS + CLOCK_SKEW_MS).revoke("secret");
    later.get("secret", byFriend);
    expect(brokenBy(later.lastReads())).toEqual(READERS);
  });

  test("counts where it is kept: not at liars, and not at disks that were put back since", () => {
    const three = { reached: providers(1, 2, 3) };
    const honest = revoked(three);
    honest.get("secret", byFriend);
    expect(brokenBy(honest.lastReads())).toEqual(READERS);
    const lied = revoked(three);
    lied.liar("provider-3");
    lied.get("secret", byFriend);
    expect(brokenBy(lied.lastReads())).toEqual([]);
    const old = revoked(three);
    old.fault("old-disk", providers(1));
    old.wait(31_000).get("secret", byFriend);
    expect(brokenBy(old.lastReads())).toEqual([]);
  });

  test("of which nobody knows where it is counts when nobody can have forgotten it", () => {
    const where = { reached: undefined, needed: undefined } as object;
    const honest = revoked(where);
    honest.get("secret", byFriend);
    expect(brokenBy(honest.lastReads())).toEqual(READERS);
    const lied = revoked(where);
    lied.fault("slow-disk", providers(1));
    lied.liar("provider-5");
    lied.get("secret", byFriend);
    expect(brokenBy(lied.lastReads())).toEqual([]);
    const known = revoked({ reached: providers(1, 2, 3) });
    known.liar("provider-5");
    known.get("secret", byFriend);
    expect(brokenBy(known.lastReads())).toEqual(READERS);
  });
});

describe("a deposit that was destroyed", () => {
  test("and does not come back is as it should be", () => {
    const run = withDeposit();
    run.get("secret");
    run.destroy("secret");
    run.get("secret", { outcome: failed("DESTROYED") });
    expect(brokenBy(run)).toEqual([]);
  });

  test("and comes back is found, whoever gets it", () => {
    const run = withDeposit();
    run.grant("secret");
    run.destroy("secret");
    run.get("secret", byFriend);
    expect(brokenBy(run)).toEqual(DESTROYED);
    const owner = withDeposit();
    owner.destroy("secret", { receiptsFrom: providers(3, 4, 5) });
    owner.get("secret", { who: OWNER });
    expect(brokenBy(owner)).toEqual(DESTROYED);
  });

  test("a get that was begun before may still end well", () => {
    const run = withDeposit();
    const { endMs = 0 } = run.destroy("secret");
    run.get("secret", { startMs: endMs - 1 });
    expect(brokenBy(run)).toEqual([]);
  });

  test.each([
    ["too few receipts", { receiptsFrom: providers(1, 2) }],
    ["no word of how many", { receipts: undefined } as object],
    ["a client that was killed", { outcome: KILLED }],
    ["an error", { outcome: failed() }],
  ])("with %s may come back", (_, more) => {
    const run = withDeposit();
    run.destroy("secret", more);
    run.get("secret");
    expect(brokenBy(run)).toEqual([]);
  });

  test("a receipt of a liar, or of a disk that was put back since, does not count", () => {
    const lied = withDeposit();
    lied.liar("provider-4");
    lied.destroy("secret", { receiptsFrom: providers(3, 4, 5) });
    lied.get("secret");
    expect(brokenBy(lied)).toEqual([]);
    const old = withDeposit();
    old.destroy("secret", { receiptsFrom: providers(3, 4, 5) });
    old.fault("old-disk", providers(3));
    old.wait(31_000).get("secret");
    expect(brokenBy(old)).toEqual([]);
  });

  test("one receipt more makes up for a liar, and one that gave none does not matter", () => {
    const more = withDeposit();
    more.liar("provider-4");
    more.destroy("secret", { receiptsFrom: providers(2, 3, 4, 5) });
    more.get("secret");
    expect(brokenBy(more)).toEqual(DESTROYED);
    const other = withDeposit();
    other.liar("provider-1");
    other.destroy("secret", { receiptsFrom: providers(3, 4, 5) });
    other.get("secret");
    expect(brokenBy(other)).toEqual(DESTROYED);
  });

  test("when nobody wrote down who gave the receipts, every liar may have", () => {
    const run = withDeposit();
    run.liar("provider-1");
    run.operations.push({ ...run.destroy("secret"), id: 3, receipts: 3, receiptsFrom: undefined } as never);
    run.operations.splice(1, 1);
    run.get("secret");
    expect(brokenBy(run)).toEqual([]);
  });
});
