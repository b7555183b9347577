/** Who is blamed: `no-honest-peer-accused` and `liars-are-named`. */
import { describe, expect, test } from "vitest";
import type { Accused } from "../../../../testnet/checker/history.ts";
import { brokenBy, failed, KILLED, providers, WrittenHistory } from "../../../support/written-history.ts";

const ACCUSED = ["no-honest-peer-accused"];
const NAMED = ["liars-are-named"];
const OPTIONS = { attributable: ["wrong-layer"] };

/** One deposit at five providers, of which the fourth lies. */
function withLiar(): WrittenHistory {
  const run = new WrittenHistory();
  run.liar("provider-4");
  run.put("secret");
  return run;
}

function accusing(peer: string, kind = "wrong-answer", isProven = true): { readonly accused: Accused[] } {
  return { accused: [{ peer, kind, isProven }] };
}

test("what a liar gives away twice, and what is so short that it may be the same by chance, is no leak", () => {
  const run = withLiar();
  for (const peer of ["provider-4", "provider-4"]) run.parts.push({ peer, lengthBytes: 100, digest: "of a replay" });
  for (const peer of ["provider-1", "provider-2"]) run.parts.push({ peer, lengthBytes: 1, digest: "of one byte" });
  expect(brokenBy(run.lastReads())).toEqual([]);
  run.parts.push({ peer: "provider-1", lengthBytes: 100, digest: "of a replay" });
  run.parts.push({ peer: "provider-1", lengthBytes: 100, digest: "of a replay" });
  expect(brokenBy(run)).toEqual(["no-part-twice"]);
});

test("a dealer that lies can give two deals one id at providers that do not meet, and nobody else can", () => {
  for (const [liar, broken] of [
    ["dealer-1", []],
    ["provider-4", ["deal-used-once"]],
  ] as const) {
    const run = new WrittenHistory();
    run.liar(liar);
    run.tell("provider-1", "bound", "one token", "a deal");
    run.tell("provider-2", "bound", "another token", "a deal");
    expect(brokenBy(run)).toEqual(broken);
    run.tell("provider-2", "bound", "a third token", "a deal");
    expect(brokenBy(run)).toContain("deal-used-once");
  }
});

describe("evidence", () => {
  test("against a liar that convinces others is right", () => {
    const run = withLiar();
    run.get("secret", accusing("provider-4"));
    run.get("secret", { ...accusing("provider-4", "lost"), outcome: KILLED });
    run.liar("dealer-1");
    run.get("secret", accusing("dealer-1", "wrong-deal"));
    expect(brokenBy(run.lastReads())).toEqual([]);
  });

  test("against somebody honest is found, also when the get failed or was killed", () => {
    for (const outcome of [{ ended: "well" } as const, KILLED]) {
      const run = withLiar();
      run.get("secret", { ...accusing("provider-3"), outcome });
      expect(brokenBy(run.lastReads())).toEqual(ACCUSED);
    }
    const dealer = withLiar();
    dealer.get("secret", accusing("dealer-1", "wrong-deal"));
    expect(brokenBy(dealer.lastReads())).toEqual(ACCUSED);
  });

  test("that convinces nobody else is found", () => {
    const run = withLiar();
    run.get("secret", accusing("provider-4", "wrong-share", false));
    expect(brokenBy(run.lastReads())).toEqual(ACCUSED);
  });

  test.each(["lost-disk", "old-disk"] as const)("%s: that a share is lost is right, and nothing else", (kind) => {
    const run = withLiar();
    run.fault(kind, providers(1));
    run.wait(60_000).get("secret", accusing("provider-1", "lost"));
    expect(brokenBy(run.lastReads())).toEqual([]);
    run.get("secret", accusing("provider-1", "wrong-answer"));
    expect(brokenBy(run)).toEqual(ACCUSED);
    const before = withLiar();
    before.get("secret", accusing("provider-1", "lost"));
    before.wait(1).fault(kind, providers(1));
    expect(brokenBy(before.lastReads())).toEqual(ACCUSED);
  });

  test("that a share is lost, against somebody who was only away, is found", () => {
    const run = withLiar();
    run.fault("crash", providers(1));
    run.wait(60_000).get("secret", accusing("provider-1", "lost"));
    expect(brokenBy(run.lastReads())).toEqual(ACCUSED);
  });
});

describe("an error that blames", () => {
  function spoilt(code: string, ...peers: string[]): WrittenHistory {
    const run = withLiar();
    run.put("spoilt", { outcome: failed(code, ...peers) });
    return run.lastReads();
  }

  test.each(["DEPOSIT_SPOILT", "WRONG_DEAL"])("%s: one of those that it names has lied", (code) => {
    expect(brokenBy(spoilt(code, "provider-4"))).toEqual([]);
    expect(brokenBy(spoilt(code, "provider-1", "provider-4"))).toEqual([]);
    expect(brokenBy(spoilt(code))).toEqual([]);
    expect(brokenBy(spoilt(code, "provider-1"))).toEqual(ACCUSED);
    expect(brokenBy(spoilt(code, "provider-1", "provider-2"))).toEqual(ACCUSED);
  });

  test("where a chain breaks, one peer alone is blamed, and two are not", () => {
    expect(brokenBy(spoilt("CHAIN_BROKEN", "provider-4"))).toEqual([]);
    expect(brokenBy(spoilt("CHAIN_BROKEN", "provider-1", "provider-2"))).toEqual([]);
    expect(brokenBy(spoilt("CHAIN_BROKEN", "provider-1"))).toEqual(ACCUSED);
  });

  test("of who is missing nothing is said", () => {
    expect(brokenBy(spoilt("NOT_ENOUGH_PROVIDERS", "provider-1"))).toEqual([]);
  });

  test("who did not show its share may have been away", () => {
    const run = withLiar();
    run.fault("crash", providers(2));
    run.put("spoilt", { outcome: failed("DEPOSIT_SPOILT", "provider-2") });
    expect(brokenBy(run.lastReads())).toEqual([]);
    run.put("later", { outcome: failed("DEPOSIT_SPOILT", "provider-2") });
    expect(brokenBy(run)).toEqual(ACCUSED);
  });
});

describe("a lie that can be shown to others", () => {
  test("is named by the get that it was told to", () => {
    const run = withLiar();
    run.get("secret", accusing("provider-4"));
    run.lie("provider-4", { operation: 2 });
    expect(brokenBy(run.lastReads(), OPTIONS)).toEqual([]);
  });

  test("is found when nobody is named, or somebody else", () => {
    const run = withLiar();
    run.get("secret");
    run.lie("provider-4", { operation: 2 });
    expect(brokenBy(run.lastReads(), OPTIONS)).toEqual(NAMED);
    const other = withLiar();
    other.liar("provider-5");
    other.get("secret", accusing("provider-5"));
    other.lie("provider-4", { operation: 2 });
    expect(brokenBy(other.lastReads(), OPTIONS)).toEqual(NAMED);
  });

  test("is named among others", () => {
    const run = withLiar();
    run.liar("provider-5");
    const accused = ["provider-5", "provider-4"].map((peer) => ({ peer, kind: "wrong-answer", isProven: true }));
    const { id } = run.get("secret", { accused });
    run.lie("provider-4", { operation: id });
    expect(brokenBy(run.lastReads(), OPTIONS)).toEqual([]);
  });

  test("need not be named where it is told in vain, or is of another kind", () => {
    const run = withLiar();
    run.get("secret", { outcome: KILLED });
    run.lie("provider-4", { operation: 2 });
    run.put("spoilt", { outcome: failed("DEPOSIT_SPOILT", "provider-4") });
    run.lie("provider-4", { operation: 3 });
    run.get("secret");
    run.lie("provider-4", { operation: 4, lie: "silence" });
    expect(brokenBy(run.lastReads(), OPTIONS)).toEqual([]);
    expect(brokenBy(run, { attributable: ["silence"] })).toEqual(NAMED);
    expect(brokenBy(run)).toEqual([]);
  });

  test("of which it is not written down to whom counts when only one can have heard it", () => {
    const alone = withLiar();
    const { startMs } = alone.wait(10 * 60_000).get("secret");
    alone.lie("provider-4", { atMs: startMs + 500 });
    expect(brokenBy(alone.lastReads(), OPTIONS)).toEqual(NAMED);
    for (const beside of [-30_000, 0, 400]) {
      const run = withLiar();
      const get = run.wait(10 * 60_000).get("secret");
      run.put("other", { startMs: get.startMs + beside });
      run.lie("provider-4", { atMs: get.startMs + 500 });
      expect(brokenBy(run.lastReads(), OPTIONS)).toEqual([]);
    }
  });

  test("told when the get was over was not told to it", () => {
    const run = withLiar();
    const { endMs = 0 } = run.wait(10 * 60_000).get("secret");
    run.lie("provider-4", { atMs: endMs + 1 });
    expect(brokenBy(run.lastReads(), OPTIONS)).toEqual([]);
  });
});
