import { afterEach, expect, test } from "vitest";
import type { NodeEvents } from "../../../node/events.ts";
import { type Housekeeping, startHousekeeping } from "../../../node/housekeeping.ts";
import type { OpenStore } from "../../../node/store/index.ts";
import type { CustodyProvider } from "../../../protocols/custody/server/index.ts";
import { burnDeal, heldDealChange, loadHeldDeal, openDealChange } from "../../../protocols/dealing/held-deal.ts";
import type { Unbound } from "../../../protocols/dealing/index.ts";
import { createLog } from "../../../runtime/log.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { createMemoryStore } from "../../support/memory-store.ts";

const running: Housekeeping[] = [];
afterEach(async () => {
  for (const each of running.splice(0)) await each.stop();
});

interface Failures {
  freeBytes?: Error;
  purge?: Error;
}

function setUp(fail: Failures = {}) {
  const clock = createManualClock(1_000_000);
  const memory = createMemoryStore();
  const lines: string[] = [];
  const seen: unknown[] = [];
  const counts = { purges: 0, sweeps: 0, burnt: false };
  const store = Object.assign(memory, {
    async purge() {
      if (fail.purge !== undefined) throw fail.purge;
      counts.purges += 1;
    },
    async freeBytes() {
      if (fail.freeBytes !== undefined) throw fail.freeBytes;
      return 5;
    },
    recordCount: 0,
    log: {} as OpenStore["log"],
    async close() {},
  }) as OpenStore;
  const events = { onDisk: () => {}, onBodies: () => {}, onPurge: () => {} } as unknown as NodeEvents;
  const unbound = {
    async sweep() {
      counts.sweeps += 1;
    },
  } as unknown as Unbound;
  const housekeeping = startHousekeeping({
    // The sweep of deposits reads these two and nothing else when there are no deposits.
    provider: { store, clock } as unknown as CustodyProvider,
    ...{ store, clock, events, unbound },
    config: { sweepIntervalMs: 60_000, purgeIntervalMs: 600_000 },
    log: createLog({ level: "info", destination: { write: (line) => void lines.push(line) } }),
    onError: (error) => void seen.push(error),
    takeBurnt() {
      const was = counts.burnt;
      counts.burnt = false;
      return was;
    },
  });
  running.push(housekeeping);
  return { clock, store, counts, lines, seen, housekeeping };
}

const dealId = new Uint8Array(16).fill(3);
const dealt = {
  ...{ dealId, manifest: Uint8Array.of(1), point: 1, seed: new Uint8Array(32).fill(9), correction: null },
  ...{ state: "dealt" as const, boundTo: null, expiresAtMs: 1_090_000 },
};

test("a deal that expires is burnt by the next sweep, and not before it has expired", async () => {
  const { clock, store } = setUp();
  await store.commit([heldDealChange(dealt), openDealChange(dealId)]);
  await clock.advance(60_000);
  expect((await loadHeldDeal(store, dealId))?.state).toBe("dealt");
  await clock.advance(60_000);
  expect((await loadHeldDeal(store, dealId))?.state).toBe("burnt");
  expect((await loadHeldDeal(store, dealId))?.seed).toHaveLength(0);
});

test("each sweep looks which deals still wait", async () => {
  const { clock, counts } = setUp();
  await clock.advance(180_000);
  expect(counts.sweeps).toBe(3);
});

test("the store is purged after a burn, once, and not without one", async () => {
  const { clock, store, counts } = setUp();
  await clock.advance(600_000);
  expect(counts.purges).toBe(0);
  await burnDeal(store, dealId);
  counts.burnt = true;
  await clock.advance(600_000);
  expect(counts.purges).toBe(1);
  await clock.advance(1_200_000);
  expect(counts.purges).toBe(1);
});

test("a purge that fails stays due", async () => {
  const fail: Failures = { purge: new Error("the disk is gone") };
  const { clock, counts, seen } = setUp(fail);
  counts.burnt = true;
  await clock.advance(600_000);
  expect(seen).toEqual([fail.purge]);
  delete fail.purge;
  await clock.advance(600_000);
  expect(counts.purges).toBe(1);
});

test("a sweep that fails is told and tried again", async () => {
  const fail: Failures = { freeBytes: new Error("the disk is gone") };
  const { clock, lines, seen } = setUp(fail);
  await clock.advance(60_000);
  expect(seen).toEqual([fail.freeBytes]);
  expect(JSON.parse(lines[0] ?? "")).toMatchObject({ level: "error", event: "sweep-failed" });
  delete fail.freeBytes;
  await clock.advance(60_000);
  expect(seen).toHaveLength(1);
});

test("it stops at once and leaves no timer", async () => {
  const { clock, housekeeping } = setUp();
  await clock.advance(1_000);
  await housekeeping.stop();
  expect(clock.pending()).toBe(0);
});
