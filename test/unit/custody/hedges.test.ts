import { expect, test } from "vitest";
import { createHedges } from "../../../protocols/custody/client/hedges.ts";
import { IntercloudError, RemoteError } from "../../../protocols/wire/errors.ts";
import { createManualClock } from "../../support/manual-clock.ts";

function taken(hedges: ReturnType<typeof createHedges>): number {
  let count = 0;
  while (count < 1_000 && hedges.take()) count += 1;
  return count;
}

test("a few at once, and then one for ten retrievals", () => {
  const hedges = createHedges(createManualClock());
  expect(taken(hedges)).toBe(10);
  for (let i = 0; i < 35; i += 1) hedges.earn();
  expect(taken(hedges)).toBe(3);
  for (let i = 0; i < 1_000; i += 1) hedges.earn();
  expect(taken(hedges)).toBe(10);
});

test("one that was of use does not count", () => {
  const hedges = createHedges(createManualClock());
  for (let i = 0; i < 500; i += 1) {
    expect(hedges.take()).toBe(true);
    hedges.giveBack();
  }
});

test("none for two seconds after a provider was busy, and after no other failure", async () => {
  const clock = createManualClock();
  const hedges = createHedges(clock);
  hedges.sawFailure(new RemoteError("a peer", "timeout"));
  hedges.sawFailure(new IntercloudError("UNREACHABLE", "unreachable", "away"));
  hedges.sawFailure(new TypeError("bug"));
  expect(hedges.take()).toBe(true);
  hedges.sawFailure(new RemoteError("a peer", "busy"));
  expect(hedges.take()).toBe(false);
  await clock.advance(1_999);
  expect(hedges.take()).toBe(false);
  await clock.advance(1);
  expect(hedges.take()).toBe(true);
});
