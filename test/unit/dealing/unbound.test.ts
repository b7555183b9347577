/** How much a provider takes of deals that nobody has bound. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { STAGING_LIFETIME_MS } from "../../../protocols/dealing/constants.ts";
import { burnDeal, heldDealChange, loadHeldDeal, openDealChange } from "../../../protocols/dealing/held-deal.ts";
import { stagingChange } from "../../../protocols/dealing/staging.ts";
import { createUnbound, type UnboundLimits } from "../../../protocols/dealing/unbound.ts";
import { bytesOf } from "../../support/bytes.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { createMemoryStore } from "../../support/memory-store.ts";
import { type Dealt, dealByHand, newParty, START_MS } from "./dealt.ts";

const dealer = newParty();
const otherDealer = newParty();
const alice = newParty();
const bob = newParty();
const us = newParty();
const providers = [newParty(), us, newParty()];

const LIMITS = { maxUnboundDeals: 4, maxUnboundBytes: 1_000, maxSelfDealtDeals: 2, maxSelfDealtBytes: 600 };
const federation = { dealer: dealer.peer, isSelf: false };
const otherFederation = { dealer: otherDealer.peer, isSelf: false };
const byAlice = { dealer: alice.peer, isSelf: true };
const byBob = { dealer: bob.peer, isSelf: true };
const TOO_MANY = expect.objectContaining({ code: "TOO_MANY_DEALS", status: "full" });

function setUp(limits: Partial<UnboundLimits> = {}, store = createMemoryStore()) {
  const clock = createManualClock(START_MS);
  const isDealer = (peer: string) => peer === dealer.peer || peer === otherDealer.peer;
  const unbound = createUnbound({ store, clock, limits: { ...LIMITS, ...limits }, peer: us.peer, isDealer });
  return { store, clock, unbound };
}

const idOf = (number: number) => bytesOf(16, number);

/** A deal of 100 bytes at our point 2, as `deliver` leaves it. */
async function keep(store: ReturnType<typeof createMemoryStore>, by = dealer): Promise<Dealt> {
  const deal = dealByHand(by, providers, 100);
  const record = {
    ...{ dealId: deal.dealId, manifest: deal.signed, point: 2, seed: new Uint8Array(32), correction: "c" },
    ...{ state: "dealt" as const, boundTo: null, expiresAtMs: START_MS + 1_000 },
  };
  await store.commit([heldDealChange(record), openDealChange(deal.dealId)]);
  return deal;
}

test("a dealer may leave so many deals, and so many bytes; another one has its own", async () => {
  const { unbound } = setUp();
  for (let i = 0; i < 4; i += 1) await unbound.admit(idOf(i), federation, 10);
  await expect(unbound.admit(idOf(9), federation, 1)).rejects.toEqual(TOO_MANY);
  await unbound.admit(idOf(5), otherFederation, 999);
  await expect(unbound.admit(idOf(6), otherFederation, 2)).rejects.toEqual(TOO_MANY);
  expect(unbound.waiting()).toEqual({ deals: 5, bytes: 1_039 });
});

test("who deals for itself has less, and all of them together have as much as a dealer", async () => {
  const { unbound } = setUp({ maxUnboundDeals: 3 });
  await unbound.admit(idOf(1), byAlice, 10);
  await unbound.admit(idOf(2), byAlice, 10);
  await expect(unbound.admit(idOf(3), byAlice, 10)).rejects.toEqual(TOO_MANY);
  await expect(unbound.admit(idOf(3), byBob, 601)).rejects.toEqual(TOO_MANY);
  await unbound.admit(idOf(3), byBob, 10);
  await expect(unbound.admit(idOf(4), byBob, 10)).rejects.toEqual(TOO_MANY);
  await unbound.admit(idOf(5), federation, 1_000);
});

test("0 refuses whoever deals for itself", async () => {
  const { unbound } = setUp({ maxSelfDealtDeals: 0 });
  await expect(unbound.admit(idOf(1), byAlice, 1)).rejects.toEqual(TOO_MANY);
});

test("one deal counts once, whatever is said about it how often, and only its dealer can have it counted", async () => {
  const { unbound } = setUp({ maxSelfDealtDeals: 1 });
  await unbound.admit(idOf(1), byAlice, 600);
  await unbound.admit(idOf(1), byAlice, 500);
  expect(unbound.waiting()).toEqual({ deals: 1, bytes: 500 });
  await expect(unbound.admit(idOf(1), byBob, 1)).rejects.toMatchObject({ code: "DEAL_EXISTS" });
  await expect(unbound.admit(idOf(1), byAlice, 601)).rejects.toEqual(TOO_MANY);
  expect(unbound.waiting()).toEqual({ deals: 1, bytes: 500 });
  unbound.drop(idOf(1), byBob);
  unbound.settle(idOf(1), 0);
  expect(unbound.waiting()).toEqual({ deals: 1, bytes: 0 });
  unbound.drop(idOf(1), byAlice);
  expect(unbound.waiting()).toEqual({ deals: 0, bytes: 0 });
});

test.each(["bound", "sealed", "burnt"] as const)("a deal that is %s makes room for another", async (state) => {
  const { store, unbound } = setUp({ maxUnboundDeals: 1 });
  const { dealId } = await keep(store);
  await unbound.admit(dealId, federation, 100);
  await expect(unbound.admit(idOf(1), federation, 1)).rejects.toEqual(TOO_MANY);
  const record = await loadHeldDeal(store, dealId);
  if (state === "burnt") await burnDeal(store, dealId);
  else await store.commit([heldDealChange({ ...record!, state, boundTo: idOf(7) })]);
  await unbound.admit(idOf(1), federation, 1);
  expect(unbound.waiting()).toEqual({ deals: 1, bytes: 1 });
});

test("what never comes is counted for as long as a staged correction is kept, and swept then", async () => {
  const { store, clock, unbound } = setUp();
  await unbound.admit(idOf(1), federation, 100);
  await unbound.admit(idOf(2), federation, 100);
  const staging = { dealer: dealer.peer, lengthBytes: 100, stagedAtMs: START_MS, digest: null };
  await store.commit([stagingChange(idOf(2), staging)]);
  await clock.advance(STAGING_LIFETIME_MS);
  await unbound.sweep();
  expect(unbound.waiting().deals).toBe(2);
  await clock.advance(1);
  await unbound.sweep();
  expect(unbound.waiting()).toEqual({ deals: 1, bytes: 100 });
});

test("after a restart it counts what is on the disk: deals that wait, with our correction, and staged ones", async () => {
  const store = createMemoryStore();
  await keep(store);
  await keep(store, alice);
  const bound = await keep(store);
  await store.commit([
    heldDealChange({ ...(await loadHeldDeal(store, bound.dealId))!, state: "bound", boundTo: idOf(7) }),
  ]);
  await store.commit([stagingChange(idOf(2), { dealer: dealer.peer, lengthBytes: 50, stagedAtMs: 0, digest: null })]);
  const { unbound } = setUp({ maxSelfDealtDeals: 1, maxUnboundDeals: 2 }, store);
  await expect(unbound.admit(idOf(1), byAlice, 1)).rejects.toEqual(TOO_MANY);
  await expect(unbound.admit(idOf(1), federation, 1)).rejects.toEqual(TOO_MANY);
  expect(unbound.waiting()).toEqual({ deals: 3, bytes: 250 });
});

test("a store that fails once is read again the next time", async () => {
  const store = createMemoryStore();
  await keep(store);
  const { unbound } = setUp({}, store);
  const { entries } = store;
  store.entries = () => {
    throw new Error("the disk is gone");
  };
  await expect(unbound.admit(idOf(1), federation, 1)).rejects.toThrow("the disk is gone");
  store.entries = entries;
  await unbound.admit(idOf(1), federation, 1);
  expect(unbound.waiting().deals).toBe(2);
});

test("however many come at once, no limit is passed, and what is counted is what was let in and not dropped", async () => {
  const people = [federation, otherFederation, byAlice, byBob];
  const step = fc.record({ id: fc.nat(99), who: fc.nat(3), bytes: fc.nat(400), drops: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(step, { maxLength: 40, selector: ({ id }) => id }), async (steps) => {
      const { unbound } = setUp();
      const letIn = new Map<number, { who: number; bytes: number }>();
      await Promise.allSettled(
        steps.map(async ({ id, who, bytes, drops }) => {
          const by = people[who]!;
          await unbound.admit(idOf(id), by, bytes);
          letIn.set(id, { who, bytes });
          if (!drops) return;
          unbound.drop(idOf(id), by);
          letIn.delete(id);
        }),
      );
      const sumOf = (whose: readonly number[]) => {
        const own = [...letIn.values()].filter(({ who }) => whose.includes(who));
        return { deals: own.length, bytes: own.reduce((sum, each) => sum + each.bytes, 0) };
      };
      expect(unbound.waiting()).toEqual(sumOf([0, 1, 2, 3]));
      for (const pool of [[0], [1], [2, 3]]) {
        expect(sumOf(pool).deals).toBeLessThanOrEqual(LIMITS.maxUnboundDeals);
        expect(sumOf(pool).bytes).toBeLessThanOrEqual(LIMITS.maxUnboundBytes);
      }
      for (const one of [2, 3]) {
        expect(sumOf([one]).deals).toBeLessThanOrEqual(LIMITS.maxSelfDealtDeals);
        expect(sumOf([one]).bytes).toBeLessThanOrEqual(LIMITS.maxSelfDealtBytes);
      }
    }),
  );
});
