/** What is left on the disks: `whole-or-gone`. */
import { describe, expect, test } from "vitest";
import type { Outcome } from "../../../../testnet/checker/history.ts";
import { brokenBy, failed, KILLED, providers, WELL, WrittenHistory } from "../../../support/written-history.ts";

const WHOLE = ["whole-or-gone"];

/** One deposit at five providers, read in the end. */
function withDeposit(): WrittenHistory {
  const run = new WrittenHistory();
  run.put("secret");
  return run.lastReads();
}

/** What a provider keeps when the deposit was poured, and nobody closed it. */
function leaveOpen(run: WrittenHistory, state: "bound" | "linked", ...at: string[]): void {
  const dealId = run.newDeal();
  const placement = { generation: 0, dealId, roster: providers(1, 2, 3, 4, 5), threshold: 3, copies: 3 };
  for (const peer of at) {
    const tokenId = "token of a half made deposit";
    run.store(peer).deposits.push({ tokenId, state, holdsCiphertext: false, ...placement });
    run.store(peer).deals.push({ dealId, state: "bound", boundTo: tokenId });
    run.tell(peer, "bound", tokenId, dealId);
  }
}

describe("a deposit that is not whole", () => {
  test("lacks a provider, or a ciphertext", () => {
    const lacking = withDeposit();
    lacking.forget("secret", { ...lacking.deposits.get("secret")!.placement!, roster: providers(5) }, () => undefined);
    expect(brokenBy(lacking)).toEqual(WHOLE);
    const without = withDeposit();
    without.alter("provider-3", { holdsCiphertext: false });
    expect(brokenBy(without)).toEqual(WHOLE);
    const spare = withDeposit();
    spare.alter("provider-4", { holdsCiphertext: true });
    expect(brokenBy(spare)).toEqual([]);
  });

  test("is in two generations, or where it should not be", () => {
    const behind = new WrittenHistory();
    behind.put("secret");
    const before = behind.deposits.get("secret")!.placement!;
    behind.refresh("secret");
    behind.empty("provider-2");
    behind.mend("secret", before, providers(2));
    expect(brokenBy(behind.lastReads())).toEqual(WHOLE);
    const stranger = new WrittenHistory();
    stranger.put("secret", { to: providers(1, 2, 3) });
    stranger.keep("secret", stranger.deposits.get("secret")!.placement!, providers(4));
    expect(brokenBy(stranger.lastReads())).toEqual(WHOLE);
  });

  test("is seen in one way by one provider and in another by the others", () => {
    const run = withDeposit();
    run.alter("provider-5", { roster: providers(1, 2, 3, 5, 4) });
    expect(brokenBy(run)).toEqual(WHOLE);
  });

  test("is on two deals in one generation", () => {
    const run = new WrittenHistory();
    run.put("secret", { to: providers(1, 2, 3, 4) });
    run.refresh("secret");
    const now = run.deposits.get("secret")!.placement!;
    run.keep("secret", { ...now, dealId: run.newDeal(), roster: providers(3, 4, 5) }, providers(5));
    expect(brokenBy(run.lastReads())).toEqual(WHOLE);
  });

  test.each([failed(), KILLED])("of a put that %o is found as well", (outcome) => {
    const run = new WrittenHistory();
    run.put("secret", { outcome });
    const placement = {
      generation: 0,
      dealId: run.newDeal(),
      roster: providers(1, 2, 3, 4, 5),
      threshold: 3,
      copies: 3,
    };
    run.keep("secret", placement, providers(1, 2, 3, 4));
    expect(brokenBy(run)).toEqual(WHOLE);
    run.keep("secret", placement, providers(5));
    expect(brokenBy(run)).toEqual([]);
  });
});

describe("a move that was made twice at once", () => {
  /** Two moves to providers that do not meet, and what both have left behind. */
  function forked(first: Outcome, secondAfterMs: number): WrittenHistory {
    const run = new WrittenHistory({ count: 8 });
    run.put("secret", { to: providers(1, 2, 3) });
    const { startMs } = run.move("secret", providers(1, 2, 3, 4), { tookMs: 5_000, outcome: first });
    run.move("secret", providers(5, 6, 7), {
      startMs: startMs + secondAfterMs,
      outcome: first === WELL ? KILLED : WELL,
    });
    const roster = first === WELL ? providers(5, 6, 7) : providers(1, 2, 3, 4);
    run.keep("secret", { generation: 1, dealId: run.newDeal(), roster, threshold: 3, copies: 3 });
    return run;
  }

  test("may leave it in both places, whole in each", () => {
    expect(brokenBy(forked(WELL, 1_000).lastReads())).toEqual([]);
    const half = forked(WELL, 1_000);
    half.empty("provider-4");
    expect(brokenBy(half.lastReads())).toEqual(WHOLE);
  });

  test("has no provider in both, and none of the first generation", () => {
    for (const change of [{ roster: providers(4, 5, 6, 7) }, { generation: 0 }]) {
      const run = forked(WELL, 1_000);
      for (const peer of providers(5, 6, 7)) run.alter(peer, change);
      for (const peer of providers(5, 6, 7)) run.tell(peer, "repaired", run.tokenOf("secret"), undefined);
      expect(brokenBy(run.lastReads())).toEqual(WHOLE);
    }
  });

  test("may have been begun by a client that was killed long before", () => {
    expect(brokenBy(forked(KILLED, 60 * 60_000).lastReads())).toEqual([]);
  });

  test("is one after the other when the first had ended well", () => {
    expect(brokenBy(forked(WELL, 60 * 60_000).lastReads())).toEqual(WHOLE);
  });
});

describe("destroyed", () => {
  test("in part, it is half there by right", () => {
    const run = new WrittenHistory();
    run.put("secret");
    run.destroy("secret", { receiptsFrom: providers(1, 4) });
    expect(brokenBy(run)).toEqual([]);
  });

  test("by nobody, it has to be whole", () => {
    const run = new WrittenHistory();
    run.put("secret");
    run.destroy("secret", { outcome: KILLED });
    run.empty("provider-2");
    expect(brokenBy(run)).toEqual(WHOLE);
  });
});

describe("of providers that are faulty for good", () => {
  test("nothing is asked", () => {
    for (const strike of [
      (run: WrittenHistory) => run.liar("provider-2"),
      (run: WrittenHistory) => void run.fault("crash", providers(2), { untilMs: undefined }),
      (run: WrittenHistory) => void run.fault("lost-disk", providers(2)),
      (run: WrittenHistory) => void run.fault("old-disk", providers(2)),
    ]) {
      const run = withDeposit();
      run.empty("provider-2");
      expect(brokenBy(run)).toEqual(WHOLE);
      strike(run);
      expect(brokenBy(run.lastReads())).toEqual([]);
    }
  });

  test("who was mended has to have everything, but what has gone elsewhere since", () => {
    const run = new WrittenHistory();
    run.put("secret");
    const before = run.deposits.get("secret")!.placement!;
    run.fault("old-disk", providers(2));
    run.wait(60_000).repair("secret");
    run.empty("provider-2");
    expect(brokenBy(run.lastReads())).toEqual(WHOLE);
    run.move("secret", providers(3, 4, 5));
    run.store("provider-2").events = [];
    run.keep("secret", before, providers(2));
    expect(brokenBy(run.lastReads())).toEqual([]);
  });

  test("who does not say whether it closed a deposit keeps it open at the others", () => {
    const run = withDeposit();
    leaveOpen(run, "linked", "provider-2", "provider-3");
    expect(brokenBy(run)).toEqual(WHOLE);
    run.fault("crash", providers(1), { untilMs: undefined });
    expect(brokenBy(run.lastReads())).toEqual([]);
    const unpoured = withDeposit();
    unpoured.fault("crash", providers(1), { untilMs: undefined });
    leaveOpen(unpoured, "bound", "provider-2");
    expect(brokenBy(unpoured.lastReads())).toEqual(WHOLE);
  });

  test("but not when another one shows that it was closed", () => {
    const run = withDeposit();
    run.liar("provider-1");
    leaveOpen(run, "linked", "provider-2", "provider-3");
    expect(brokenBy(run)).toEqual([]);
    run.alter("provider-3", { state: "sealed" });
    run.store("provider-3").deals = run.store("provider-3").deals.map((deal) => ({ ...deal, state: "sealed" }));
    run.tell("provider-3", "sealed", "token of a half made deposit", undefined);
    expect(brokenBy(run)).toEqual(WHOLE);
  });

  test("who does not say whether it closed a change keeps the share of it where it is", () => {
    const run = withDeposit();
    run.store("provider-2").deals.push({ dealId: "deal-7", state: "bound", boundTo: run.tokenOf("secret") });
    expect(brokenBy(run)).toEqual(WHOLE);
    run.liar("dealer-1");
    expect(brokenBy(run)).toEqual(WHOLE);
    run.liar("provider-1");
    expect(brokenBy(run)).toEqual([]);
  });

  test("a new home that tells nobody, or new providers that hold too little, leave the old share where it is", () => {
    const strikes: readonly (readonly [broken: readonly string[], (run: WrittenHistory) => void])[] = [
      [WHOLE, () => {}],
      [WHOLE, (run) => run.liar("provider-5")],
      [[], (run) => run.liar("provider-4")],
      [[], (run) => void run.fault("lost-disk", providers(4))],
      [[], (run) => run.liar(...providers(5, 6))],
    ];
    for (const [broken, strike] of strikes) {
      const run = new WrittenHistory({ count: 6 });
      run.put("secret", { to: providers(1, 2, 3) });
      const before = run.deposits.get("secret")!.placement!;
      run.move("secret", providers(4, 5, 6, 3));
      // It has not heard that the deposit left.
      run.empty("provider-1");
      run.mend("secret", before, providers(1));
      strike(run);
      expect(brokenBy(run.lastReads())).toEqual(broken);
    }
  });
});

test("a share that belongs to no deposit is found, one that nobody has used is not", () => {
  const run = withDeposit();
  run.store("provider-2").deals.push({ dealId: "deal-7", state: "dealt", boundTo: undefined });
  expect(brokenBy(run)).toEqual([]);
  run.store("provider-2").deals.push({ dealId: "deal-8", state: "sealed", boundTo: "a token" });
  expect(brokenBy(run)).toEqual(WHOLE);
});

describe("bodies", () => {
  function withBodies(...bodies: string[]): WrittenHistory {
    const run = new WrittenHistory();
    run.put("secret");
    run.refresh("secret");
    run.store("provider-1").bodies = [...bodies, "ciphertext-token of secret-1"];
    return run.lastReads();
  }

  test("of what is kept are as they should be", () => {
    expect(brokenBy(withBodies("envelope-token of secret", "correction-deal-2"))).toEqual([]);
  });

  test.each(["ciphertext-token of secret", "ciphertext-token of another", "correction-deal-1", "lotsum-deal-9"])(
    "%s belongs to nothing, and is found",
    (name) => {
      const run = withBodies(name);
      expect(brokenBy(run)).toEqual(WHOLE);
      run.fault("old-disk", providers(1));
      expect(brokenBy(run.lastReads())).toEqual([]);
    },
  );

  test("that a keeper has no more are found", () => {
    const run = withBodies();
    run.store("provider-1").bodies = [];
    expect(brokenBy(run)).toEqual(WHOLE);
    run.store("provider-1").bodies = ["ciphertext-token of secret-1"];
    run.store("provider-5").bodies = [];
    expect(brokenBy(run)).toEqual([]);
  });

  test("of a change that waits for somebody stay with it", () => {
    const run = withBodies("ciphertext-token of secret-2", "correction-deal-3");
    run.store("provider-1").deals.push({ dealId: "deal-3", state: "bound", boundTo: run.tokenOf("secret") });
    expect(brokenBy(run)).toEqual(WHOLE);
    run.liar("provider-3");
    expect(brokenBy(run)).toEqual([]);
    run.store("provider-1").bodies!.push("ciphertext-token of another");
    expect(brokenBy(run)).toEqual(WHOLE);
  });
});

describe("records", () => {
  function withRecords(...records: string[]): WrittenHistory {
    const run = new WrittenHistory();
    run.put("secret");
    run.store("provider-1").deals.push({ dealId: "deal-7", state: "dealt", boundTo: undefined });
    run.store("provider-1").records = records;
    return run.lastReads();
  }

  test("of what is kept, and of a deal that nobody has used, are as they should be", () => {
    const own = ["owner/alice/token of secret", "grant/token of secret", "grantee/bob/token of secret"];
    expect(brokenBy(withRecords(...own, "deal-open/deal-7", "deal/deal-1", "destroyed/another token"))).toEqual([]);
  });

  test.each(["owner/alice/another token", "grant/another token", "grantee/bob/another token"])(
    "%s belongs to nothing, and is found",
    (key) => {
      const run = withRecords(key);
      expect(brokenBy(run)).toEqual(WHOLE);
      run.liar("provider-2");
      expect(brokenBy(run)).toEqual(WHOLE);
    },
  );

  test.each(["deal-open/deal-1", "deal-staging/deal-9", "change/token of secret", "change-due/1", "abandon-due/1"])(
    "%s is something that was not settled, and is found unless it waits for somebody",
    (key) => {
      const run = withRecords(key);
      expect(brokenBy(run)).toEqual(WHOLE);
      run.liar("provider-2");
      expect(brokenBy(run)).toEqual([]);
    },
  );
});
