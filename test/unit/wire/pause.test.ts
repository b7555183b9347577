import { expect, test } from "vitest";
import { jittered, pause, withDeadline } from "../../../protocols/wire/pause.ts";
import { createManualClock } from "../../support/manual-clock.ts";

test("a pause ends with its time or with the signal", async () => {
  const clock = createManualClock(0);
  const stop = new AbortController();
  const ended: string[] = [];
  const short = pause(clock, 100, stop.signal).then(() => ended.push("short"));
  const long = pause(clock, 1_000, stop.signal).then(() => ended.push("long"));
  await clock.advance(100);
  await short;
  expect(ended).toEqual(["short"]);
  stop.abort();
  await long;
  expect(ended).toEqual(["short", "long"]);
  await pause(clock, 1_000, stop.signal);
});

test("a deadline fires the signal of the action", async () => {
  const clock = createManualClock(0);
  const forever = (signal: AbortSignal) =>
    new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  const failed = expect(withDeadline(clock, 50, new AbortController().signal, forever)).rejects.toThrow("50 ms");
  await clock.advance(50);
  await failed;
  expect(await withDeadline(clock, 50, new AbortController().signal, async () => 7)).toBe(7);
});

test("jitter stays between half and all of the time", () => {
  expect(jittered(1_000, (lengthBytes) => new Uint8Array(lengthBytes))).toBe(500);
  const most = jittered(1_000, (lengthBytes) => new Uint8Array(lengthBytes).fill(255));
  expect(most).toBeGreaterThan(999);
  expect(most).toBeLessThan(1_000);
});
