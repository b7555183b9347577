import { expect, test } from "vitest";
import type { Clock } from "../../../protocols/wire/clock.ts";
import { createQuota } from "../../../protocols/wire/quota.ts";
import { createManualClock } from "../../support/manual-clock.ts";

test("a burst at once, then the rate", async () => {
  const clock = createManualClock();
  const quota = createQuota({ clock, ratePerSecond: 10, burst: 3 });
  expect([1, 2, 3].map(() => quota.take("A"))).toEqual([0, 0, 0]);
  expect(quota.take("A")).toBe(100);
  expect(quota.take("A")).toBe(100);
  await clock.advance(99);
  expect(quota.take("A")).toBe(1);
  await clock.advance(1);
  expect(quota.take("A")).toBe(0);
  expect(quota.take("A")).toBe(100);
  await clock.advance(10_000);
  expect([1, 2, 3, 4].map(() => quota.take("A"))).toEqual([0, 0, 0, 100]);
});

test("one peer's use is not another's", () => {
  const quota = createQuota({ clock: createManualClock(), ratePerSecond: 1, burst: 1 });
  expect(quota.take("A")).toBe(0);
  expect(quota.take("A")).toBe(1000);
  expect(quota.take("B")).toBe(0);
});

test("a cost over the burst takes the whole bucket", async () => {
  const clock = createManualClock();
  const quota = createQuota({ clock, ratePerSecond: 1, burst: 2 });
  expect(quota.take("A", 10)).toBe(0);
  expect(quota.take("A", 10)).toBe(2000);
  await clock.advance(2000);
  expect(quota.take("A", 10)).toBe(0);
});

test("a clock that is set back takes nothing away", () => {
  let nowMs = 1_000_000;
  const clock: Clock = { nowMs: () => nowMs, after: () => () => {} };
  const quota = createQuota({ clock, ratePerSecond: 1, burst: 2 });
  expect(quota.take("A")).toBe(0);
  nowMs = 0;
  expect(quota.take("A")).toBe(0);
  expect(quota.take("A")).toBe(1000);
});

test("many strangers do not wipe out what one peer has used", async () => {
  const clock = createManualClock();
  const quota = createQuota({ clock, ratePerSecond: 1, burst: 1 });
  for (let i = 0; i < 5_000; i += 1) expect(quota.take(`stranger-${i}`)).toBe(0);
  expect(quota.take("stranger-0")).toBe(1000);
  await clock.advance(1_000);
  expect(quota.take("stranger-0")).toBe(0);
});
