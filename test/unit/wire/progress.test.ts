import { expect, test } from "vitest";
import type { ByteStream } from "../../../protocols/wire/byte-stream.ts";
import { watchProgress } from "../../../protocols/wire/progress.ts";
import { createManualClock } from "../../support/manual-clock.ts";

test.each([
  ["nothing", 0, true],
  ["a few bytes now and then", 1_000, true],
  ["as much as the slowest link carries", 10 * 1024, false],
])("a peer that takes %s (%i bytes in ten seconds) is stalled: %s", async (_, perTenSecondsBytes, isStalled) => {
  const clock = createManualClock();
  let takenBytes = 0;
  let stalled = false;
  const stream = { takenBytes: () => takenBytes } as ByteStream;
  const stop = watchProgress(stream, clock, 30_000, () => {
    stalled = true;
  });
  for (let i = 0; i < 12; i += 1) {
    takenBytes += perTenSecondsBytes;
    await clock.advance(10_000);
  }
  expect(stalled).toBe(isStalled);
  stop();
  expect(clock.pending()).toBe(0);
});
