import { expect, test } from "vitest";
import { createTimeline } from "../../support/simulation/timeline.ts";

const START_MS = 1_000;

test("what falls due comes in order of time, and what falls due at once in the order in which it was asked for", async () => {
  const time = createTimeline(START_MS);
  const came: string[] = [];
  const at = (delayMs: number, name: string) => time.after(delayMs, () => void came.push(`${name} ${time.nowMs()}`));
  at(30, "c");
  at(10, "a");
  at(30, "d");
  at(20.5, "b");
  await time.run(() => came.length === 4, 100);
  expect(came).toEqual(["a 1010", "b 1021", "c 1030", "d 1030"]);
});

test("what was called off does not come", async () => {
  const time = createTimeline(START_MS);
  let came = 0;
  const cancel = time.after(10, () => {
    came += 1;
  });
  time.after(20, () => {
    came += 10;
  });
  cancel();
  await time.pass(50);
  expect(came).toBe(10);
  expect(time.nowMs()).toBe(START_MS + 50);
});

test("it says so when nobody waits for anything, or when it takes too long", async () => {
  const time = createTimeline(START_MS);
  await expect(time.run(() => false, 100)).rejects.toThrow("it hangs: nobody does anything");
  const again = () => void time.after(10, again);
  again();
  await expect(time.run(() => false, 100)).rejects.toThrow("it hangs: it takes longer");
});
