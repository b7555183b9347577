import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { systemClock } from "../../../runtime/clock.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("an action comes after its delay, once; a cancelled one does not come", () => {
  let first = 0;
  let second = 0;
  systemClock.after(100, () => (first += 1));
  const cancel = systemClock.after(100, () => (second += 1));
  vi.advanceTimersByTime(99);
  expect(first).toBe(0);
  cancel();
  vi.advanceTimersByTime(1_000);
  expect([first, second]).toEqual([1, 0]);
});

test("a delay over the 24.8 days of a system timer is waited for, and can be cancelled at any time", () => {
  const thirtyDaysMs = 30 * 24 * 3600 * 1000;
  let came = 0;
  let cancelled = 0;
  systemClock.after(thirtyDaysMs, () => (came += 1));
  const cancel = systemClock.after(thirtyDaysMs, () => (cancelled += 1));
  vi.advanceTimersByTime(thirtyDaysMs - 1);
  expect(came).toBe(0);
  cancel();
  vi.advanceTimersByTime(1);
  expect([came, cancelled]).toEqual([1, 0]);
});

test("nowMs is the system's time", () => {
  vi.setSystemTime(1_800_000_000_000);
  expect(systemClock.nowMs()).toBe(1_800_000_000_000);
});
