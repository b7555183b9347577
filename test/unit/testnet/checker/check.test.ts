/** The checker as a whole: it has nothing to say where everybody behaves, and finds whatever is spoilt in any history. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkHistory, INVARIANTS } from "../../../../testnet/checker/check.ts";
import { SETTLE_MS } from "../../../../testnet/checker/faults.ts";
import { HONEST, KEPT, wellBehaved, writeWellBehaved } from "../../../support/well-behaved-history.ts";
import { brokenBy, failed, providers, WrittenHistory } from "../../../support/written-history.ts";

const OPTIONS = { attributable: ["wrong-layer"] };

test("nothing happened: there is nothing to say", () => {
  expect(checkHistory(new WrittenHistory().history(), { stores: [], tokenIds: {} })).toEqual([]);
});

test("a violation says what happened, to whom and when", () => {
  const run = new WrittenHistory();
  run.put("secret");
  run.lastReads({ outcome: failed("WRONG_BYTES", "provider-1", "provider-2") });
  expect(checkHistory(run.history(), run.finals())).toEqual([
    {
      invariant: "acknowledged-is-retrievable",
      operations: [1, 2],
      text:
        "get 2 of secret by alice (3603.000 s to 3604.000 s) failed in the end: WRONG_BYTES, naming provider-1, provider-2; " +
        "the deposit was acknowledged by put 1",
    },
  ]);
});

test("each invariant has a name of its own, and a row in docs/chaos.md", () => {
  expect(new Set(INVARIANTS.map(({ name }) => name)).size).toBe(INVARIANTS.length);
  const page = readFileSync(new URL("../../../../docs/chaos.md", import.meta.url), "utf8");
  const rows = page.split("\n").flatMap((line) => /^\| `([a-z-]+)` \|/.exec(line)?.[1] ?? []);
  expect(rows.filter((row) => INVARIANTS.some(({ name }) => name === row))).toEqual(INVARIANTS.map(({ name }) => name));
});

test("whatever happens in whatever order: where everybody behaves it finds nothing", () => {
  fc.assert(
    fc.property(wellBehaved, (scenario) => {
      const run = writeWellBehaved(scenario);
      expect(checkHistory(run.history(), run.finals(), OPTIONS)).toEqual([]);
    }),
    { numRuns: 500 },
  );
});

describe("what is written down for the same millisecond may have come in either order", () => {
  const MS = 100_000;
  const atOnce = { startMs: MS, endMs: MS };
  const cases: readonly (readonly [string, (run: WrittenHistory) => void])[] = [
    [
      "a put and a get that fails",
      (run) => {
        run.put("other", { startMs: MS - 10, endMs: MS });
        run.get("other", { startMs: MS, outcome: failed("NO_SUCH_DEPOSIT") });
      },
    ],
    [
      "a destroy and a get that fails",
      (run) => {
        run.put("other");
        run.get("other", { ...atOnce, outcome: failed("DESTROYED") });
        run.destroy("other", atOnce);
      },
    ],
    [
      "a destroy and a get that ends well",
      (run) => {
        run.put("other");
        run.destroy("other", atOnce);
        run.get("other", { startMs: MS });
      },
    ],
    [
      "a get and a grant",
      (run) => {
        run.get("secret", { ...atOnce, who: "bob" });
        run.grant("secret", atOnce);
      },
    ],
    [
      "a revoke and a get",
      (run) => {
        run.grant("secret");
        run.revoke("secret", atOnce);
        run.get("secret", { startMs: MS, who: "bob" });
      },
    ],
    [
      "a revoke and a grant",
      (run) => {
        run.grant("secret", { startMs: MS - 10, endMs: MS });
        run.revoke("secret", atOnce);
        run.wait(1_000).get("secret", { who: "bob" });
      },
    ],
    [
      "a get that fails and a change",
      (run) => {
        run.get("secret", { startMs: MS - 10, endMs: MS, outcome: failed() });
        run.refresh("secret", atOnce);
        run.get("secret", { startMs: MS + SETTLE_MS, outcome: failed() });
      },
    ],
    [
      "a get that fails and a fault",
      (run) => {
        run.get("secret", { startMs: MS - 10, endMs: MS, outcome: failed() });
        run.fault("crash", providers(1), { fromMs: MS, untilMs: MS + 1_000 });
        run.get("secret", { startMs: MS + 1_000 + SETTLE_MS, outcome: failed() });
      },
    ],
    [
      "a disk that is lost and a repair",
      (run) => {
        run.fault("lost-disk", providers(1, 2, 3), { fromMs: MS });
        run.repair("secret", atOnce);
        for (const peer of providers(1, 2, 3)) run.empty(peer);
      },
    ],
    [
      "a disk that is lost and who hears of it",
      (run) => {
        run.fault("lost-disk", providers(1), { fromMs: MS });
        run.get("secret", { ...atOnce, accused: [{ peer: "provider-1", kind: "lost", isProven: true }] });
      },
    ],
    [
      "a disk that is put back and a destroy",
      (run) => {
        run.put("other");
        run.fault("old-disk", providers(3), { fromMs: MS });
        run.destroy("other", { ...atOnce, receiptsFrom: providers(1, 2, 3) });
        run.wait(31_000).get("other");
      },
    ],
    [
      "a disk that is put back and a revoke",
      (run) => {
        run.grant("secret");
        run.fault("old-disk", providers(3), { fromMs: MS });
        run.revoke("secret", { ...atOnce, reached: providers(1, 2, 3) });
        run.wait(31_000).get("secret", { who: "bob" });
      },
    ],
    [
      "who was away and who is blamed",
      (run) => {
        run.fault("crash", providers(1), { fromMs: MS - 10, untilMs: MS });
        run.put("other", { startMs: MS, endMs: MS + 5, outcome: failed("DEPOSIT_SPOILT", "provider-1") });
        run.fault("crash", providers(2), { fromMs: MS + 5, untilMs: MS + 10 });
        run.put("another", { startMs: MS, endMs: MS + 5, outcome: failed("DEPOSIT_SPOILT", "provider-2") });
      },
    ],
  ];

  test.each(cases)("%s", (_, happen) => {
    const run = new WrittenHistory();
    run.put("secret");
    happen(run);
    expect(brokenBy(run.lastReads())).toEqual([]);
  });

  test("two moves", () => {
    const run = new WrittenHistory({ count: 6 });
    run.put("secret", { to: providers(1, 2, 3) });
    run.move("secret", providers(1, 2, 3), { startMs: MS - 10, endMs: MS });
    run.move("secret", providers(4, 5, 6), { ...atOnce, outcome: failed() });
    run.keep("secret", { generation: 1, dealId: run.newDeal(), roster: providers(4, 5, 6), threshold: 3, copies: 3 });
    expect(brokenBy(run.lastReads())).toEqual([]);
  });
});

/** An honest provider that has the deposit which is always there. */
function holder(run: WrittenHistory): string {
  return HONEST.find((peer) => run.deposits.get(KEPT)?.placement?.roster.includes(peer))!;
}

const SPOILERS: readonly (readonly [invariant: string, spoil: (run: WrittenHistory) => void])[] = [
  ["acknowledged-is-retrievable", (run) => run.get(KEPT, { isLast: true, outcome: failed() })],
  ["returned-is-what-was-put", (run) => run.get(KEPT, { message: "hash of something else" })],
  ["only-readers-read", (run) => run.get(KEPT, { who: "mallory" })],
  [
    "no-part-twice",
    (run) => {
      const part = { peer: holder(run), lengthBytes: 100, digest: "of a layer without a mask" };
      run.parts.push(part, part);
    },
  ],
  [
    "destroyed-stays-destroyed",
    (run) => {
      run.put("destroyed", { to: providers(1, 2, 3, 5, 6) });
      run.destroy("destroyed");
      run.get("destroyed");
    },
  ],
  [
    "deal-used-once",
    (run) => {
      const dealId = run.newDeal();
      run.tell("provider-1", "bound", "one token", dealId);
      run.tell("provider-6", "bound", "another token", dealId);
    },
  ],
  [
    "no-honest-peer-accused",
    (run) => run.get(KEPT, { accused: [{ peer: holder(run), kind: "wrong-answer", isProven: true }] }),
  ],
  [
    "liars-are-named",
    (run) => {
      const { id } = run.get(KEPT);
      run.lie("provider-2", { operation: id });
    },
  ],
  ["every-operation-ends", (run) => run.refresh(KEPT, { endMs: undefined, outcome: undefined } as object)],
  [
    "logs-verify",
    (run) => {
      const { events } = run.store(holder(run));
      events.push(events.find(({ kind }) => kind === "sealed" || kind === "changed")!);
    },
  ],
  [
    "whole-or-gone",
    (run) => {
      const store = run.store(holder(run));
      const isKept = ({ tokenId }: { readonly tokenId: string }) => tokenId === run.tokenOf(KEPT);
      const dealId = store.deposits.find(isKept)!.dealId;
      store.deposits = store.deposits.filter((kept) => !isKept(kept));
      store.deals = store.deals.filter((deal) => deal.dealId !== dealId);
    },
  ],
];

describe("in any history", () => {
  test("there is a spoiler for each invariant", () => {
    expect(SPOILERS.map(([invariant]) => invariant)).toEqual(INVARIANTS.map(({ name }) => name));
  });

  test.each(SPOILERS)("what breaks %s is found, and by that alone", (invariant, spoil) => {
    fc.assert(
      fc.property(wellBehaved, (scenario) => {
        const run = writeWellBehaved(scenario);
        spoil(run);
        expect(brokenBy(run, OPTIONS)).toEqual([invariant]);
      }),
      { numRuns: 100 },
    );
  });
});
