/** What providers have written down: `deal-used-once` and `logs-verify`. */
import { describe, expect, test } from "vitest";
import { brokenBy, failed, providers, WrittenHistory } from "../../../support/written-history.ts";

const ONCE = ["deal-used-once"];
const LOGS = ["logs-verify"];

/** One deposit at five providers, read in the end. */
function withDeposit(): WrittenHistory {
  const run = new WrittenHistory();
  run.put("secret");
  return run.lastReads();
}

describe("stores", () => {
  test("of what was put, changed, granted and destroyed are as they should be", () => {
    const run = new WrittenHistory();
    run.put("moved");
    run.put("destroyed");
    run.put("never made", { outcome: failed() });
    run.refresh("moved");
    run.move("moved", providers(1, 4, 5));
    run.move("moved", providers(1, 2, 3));
    run.move("moved", providers(1, 4, 5));
    run.destroy("destroyed");
    expect(brokenBy(run.lastReads())).toEqual([]);
  });

  test("of liars say nothing", () => {
    const run = withDeposit();
    run.liar("provider-2");
    run.store("provider-2").brokenLog = "cut";
    run.store("provider-2").deals.push({ dealId: "deal-1", state: "sealed", boundTo: "another token" });
    run.store("provider-2").deposits = [];
    expect(brokenBy(run)).toEqual([]);
  });
});

describe("a deal", () => {
  test("that is bound to two tokens is found, by records and by logs, at one provider and at two", () => {
    const inRecords = withDeposit();
    inRecords.store("provider-2").deals.push({ dealId: "deal-1", state: "burnt", boundTo: "another token" });
    expect(brokenBy(inRecords)).toEqual(ONCE);
    const inLog = withDeposit();
    inLog.tell("provider-3", "bound", "another token", "deal-1");
    expect(brokenBy(inLog)).toEqual(ONCE);
    const apart = new WrittenHistory();
    apart.put("secret", { to: providers(1, 2, 3) });
    apart.tell("provider-4", "change-prepared", "another token", "deal-1");
    expect(brokenBy(apart.lastReads())).toEqual(ONCE);
  });

  test("that serves two generations is found", () => {
    const run = withDeposit();
    const { placement } = run.deposits.get("secret")!;
    run.deposits.get("secret")!.placement = { ...placement!, generation: 1 };
    run.alter("provider-5", { generation: 1 });
    expect(brokenBy(run)).toContain("deal-used-once");
  });

  test("that comes again when its share was given up is found", () => {
    for (const gone of ["burnt", "change-dropped", "destroyed"]) {
      const run = withDeposit();
      run.tell("provider-1", gone, "a token", "deal-7");
      expect(brokenBy(run)).toEqual([]);
      run.tell("provider-1", "bound", "a token", "deal-7");
      expect(brokenBy(run)).toEqual(ONCE);
    }
  });

  test("whose record is burnt names no token any more", () => {
    const run = withDeposit();
    run.store("provider-1").deals.push({ dealId: "deal-7", state: "burnt", boundTo: undefined });
    run.tell("provider-1", "burnt", undefined, "deal-7");
    expect(brokenBy(run)).toEqual([]);
  });
});

describe("a log", () => {
  test("that does not verify is found, unless its disk was put back, or its provider is gone", () => {
    const run = withDeposit();
    run.store("provider-1").brokenLog = "an entry is missing";
    expect(brokenBy(run)).toEqual(LOGS);
    run.fault("crash", providers(1), { untilMs: undefined });
    expect(brokenBy(run.lastReads())).toEqual([]);
    const old = withDeposit();
    old.store("provider-1").brokenLog = "it does not go on from a receipt";
    old.fault("old-disk", providers(1));
    expect(brokenBy(old.lastReads())).toEqual([]);
  });

  test("that does not tell how a deposit came is found", () => {
    const sealed = withDeposit();
    sealed.store("provider-1").events = sealed.store("provider-1").events.filter(({ kind }) => kind !== "sealed");
    expect(brokenBy(sealed)).toEqual(LOGS);
    const changed = new WrittenHistory();
    changed.put("secret");
    changed.refresh("secret");
    changed.refresh("secret");
    changed.store("provider-1").events.pop();
    expect(brokenBy(changed.lastReads())).toEqual(LOGS);
  });

  test("may tell that it came in a lot, or with a repair", () => {
    const run = withDeposit();
    for (const { peer } of run.stores.slice(0, 2)) {
      run.store(peer).events = run.store(peer).events.filter(({ kind }) => kind !== "sealed");
    }
    run.tell("provider-1", "repaired", run.tokenOf("secret"), undefined);
    run.alter("provider-2", { lot: "lot-1" });
    run.store("provider-2").events.push({ kind: "lot", step: "linked", tokenId: undefined, dealId: "lot-1", told: "" });
    expect(brokenBy(run)).toEqual(LOGS);
    run
      .store("provider-2")
      .events.push({ kind: "lot", step: "sealed", tokenId: undefined, dealId: "lot-1", told: "2" });
    expect(brokenBy(run)).toEqual([]);
    run.alter("provider-2", { lot: "lot-2" });
    expect(brokenBy(run)).toEqual(LOGS);
  });

  test("that tells of a destroy behind which something is kept is found", () => {
    const kept = withDeposit();
    kept.tell("provider-1", "destroyed", kept.tokenOf("secret"), "deal-9");
    expect(brokenBy(kept)).toEqual(LOGS);
    const share = new WrittenHistory();
    share.put("secret");
    share.destroy("secret");
    expect(brokenBy(share)).toEqual([]);
    share.store("provider-1").deals = ["deal-1", "deal-2"].map((dealId) => {
      return { dealId, state: dealId === "deal-1" ? "bound" : "dealt", boundTo: undefined };
    });
    expect(brokenBy(share)).toContain("logs-verify");
  });

  test("that tells a change of state twice is found", () => {
    for (const kind of ["sealed", "linked", "dealt", "change-active", "left"]) {
      const run = withDeposit();
      run.tell("provider-1", kind, "a token", undefined);
      run.tell("provider-1", kind, "another token", undefined);
      expect(brokenBy(run)).toEqual([]);
      run.tell("provider-1", kind, "a token", undefined);
      expect(brokenBy(run)).toEqual(LOGS);
    }
  });

  test("may tell twice what changes nothing, or comes again", () => {
    const run = withDeposit();
    for (const kind of ["started", "served", "served", "repaired", "refused", "grants", "stopped", "started"]) {
      run.tell("provider-1", kind, undefined, undefined);
      run.tell("provider-1", kind, undefined, undefined);
    }
    expect(brokenBy(run)).toEqual([]);
  });

  test("that tells twice that a share is gone is found, unless a repair brought it back", () => {
    const twice = withDeposit();
    twice.tell("provider-1", "change-dropped", "a token", "deal-7");
    twice.tell("provider-1", "burnt", "a token", "deal-7");
    expect(brokenBy(twice)).toEqual(LOGS);
    const back = withDeposit();
    back.tell("provider-1", "change-dropped", "a token", "deal-7");
    back.tell("provider-1", "repaired", "a token", undefined);
    back.tell("provider-1", "destroyed", "a token", "deal-7");
    expect(brokenBy(back)).toEqual([]);
  });
});
