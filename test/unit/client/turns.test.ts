import { expect, test } from "vitest";
import { createTurns } from "../../../client/turns.ts";
import { IntercloudError } from "../../../protocols/wire/errors.ts";
import { createManualClock, settle } from "../../support/manual-clock.ts";

const never = new AbortController().signal;
const limits = { atOnce: 4, maxWaiting: 3, maxWaitMs: 5_000 };
const busy = () => new IntercloudError("BUSY", "busy", "too much");

function setUp(own = limits) {
  const clock = createManualClock();
  const turns = createTurns(clock, own);
  const working: PromiseWithResolvers<void>[] = [];
  const started: number[] = [];
  const run = (i: number, signal = never) => {
    const result = turns.run(signal, async () => {
      started.push(i);
      const work = Promise.withResolvers<void>();
      working.push(work);
      await work.promise;
      return i;
    });
    result.catch(() => {}); // it is looked at below
    return result;
  };
  const end = async () => {
    working.shift()?.resolve();
    await settle();
  };
  const fail = async (error: unknown) => {
    working.shift()?.reject(error);
    await settle();
  };
  return { clock, turns, working, started, run, end, fail };
}

test("so many at once, the others in the order in which they came, and past that none", async () => {
  const { clock, started, run, end, working } = setUp();
  const all = [0, 1, 2, 3, 4, 5, 6].map((i) => run(i));
  await settle();
  expect(started).toEqual([0, 1, 2, 3]);
  await expect(run(7)).rejects.toMatchObject({ code: "BUSY", status: "busy", details: { retryAfterMs: 1_000 } });
  await end();
  await end();
  expect(started).toEqual([0, 1, 2, 3, 4, 5]);
  while (working.length > 0) await end();
  expect(await Promise.all(all)).toEqual([0, 1, 2, 3, 4, 5, 6]);
  expect(clock.pending()).toBe(0);
});

test("who is cancelled in line leaves it, and is never begun", async () => {
  const { clock, started, run, end } = setUp();
  for (let i = 0; i < 4; i += 1) void run(i);
  const gone = new AbortController();
  const left = run(4, gone.signal);
  void run(5);
  await settle();
  gone.abort(new Error("enough"));
  await expect(left).rejects.toMatchObject({ code: "CANCELLED" });
  await end();
  expect(started).toEqual([0, 1, 2, 3, 5]);
  await expect(run(6, AbortSignal.abort())).rejects.toThrow();
  expect(clock.pending()).toBe(0);
});

test("nobody waits longer than a few seconds", async () => {
  const { clock, started, run, end } = setUp();
  for (let i = 0; i < 4; i += 1) void run(i);
  const late = run(4);
  await clock.advance(4_999);
  const later = run(5);
  await clock.advance(1);
  await expect(late).rejects.toMatchObject({ code: "BUSY" });
  await end();
  expect(started).toEqual([0, 1, 2, 3, 5]);
  await end();
  await end();
  await end();
  await end();
  expect(await later).toBe(5);
});

test("after a busy answer fewer are begun at once, and slowly more again; other failures change nothing", async () => {
  const { clock, started, run, end, fail, working } = setUp({ atOnce: 10, maxWaiting: 1_000, maxWaitMs: 60_000 });
  for (let i = 0; i < 500; i += 1) void run(i);
  await settle();
  expect(working.length).toBe(10);
  await fail(new IntercloudError("NO_SUCH_DEPOSIT", "not-found", "no"));
  expect(working.length).toBe(10);
  await fail(busy());
  await fail(busy());
  await fail(busy());
  expect(working.length).toBe(7); // once for all that were under way together
  await fail(busy());
  expect(working.length).toBe(7);
  await clock.advance(500);
  await fail(busy());
  await fail(busy());
  expect(working.length).toBe(5);
  for (let i = 0; i < 5; i += 1) await end();
  expect(working.length).toBe(5);
  for (let i = 0; i < 5; i += 1) await end();
  expect(working.length).toBe(6);
  for (let i = 0; i < 100; i += 1) await end();
  expect(working.length).toBe(10);
  expect(started.length).toBeGreaterThan(100);
});

test("however busy they are, one at a time is tried", async () => {
  const { clock, run, fail, working } = setUp({ atOnce: 2, maxWaiting: 1_000, maxWaitMs: 600_000 });
  for (let i = 0; i < 50; i += 1) void run(i);
  await settle();
  for (let i = 0; i < 40; i += 1) {
    await clock.advance(500);
    await fail(busy());
    expect(working.length).toBeGreaterThanOrEqual(1);
  }
  expect(working.length).toBe(1);
});
