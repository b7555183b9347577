import { expect, test } from "vitest";
import type { Host } from "../../../protocols/wire/libp2p-host.ts";
import { watchLiveness } from "../../../protocols/wire/libp2p-liveness.ts";
import { createManualClock, settle } from "../../support/manual-clock.ts";

/** A host with one connection, whose pings a test answers. */
function setup({ streams = 1 } = {}) {
  const clock = createManualClock();
  const aborted: Error[] = [];
  const pings: { answer: () => void }[] = [];
  const remotePeer = { toString: () => "PEER" };
  const connections = [{ remotePeer, streams: Array(streams).fill({}), abort: (error: Error) => aborted.push(error) }];
  const ping = (_: unknown, { signal }: { signal: AbortSignal }) =>
    new Promise((resolve, reject) => {
      pings.push({ answer: () => resolve(1) });
      signal.addEventListener("abort", () => reject(signal.reason));
    });
  const host = { getConnections: () => connections, services: { ping: { ping } } } as unknown as Host;
  return { clock, aborted, pings, connections, liveness: watchLiveness(host, clock) };
}

test("a connection that sends is not pinged", async () => {
  const { clock, pings, liveness } = setup();
  for (let i = 0; i < 30; i += 1) {
    await clock.advance(2_000);
    liveness.heard("PEER");
  }
  expect(pings).toHaveLength(0);
});

test("a silent connection is pinged, and stands when it answers, however often", async () => {
  const { clock, pings, aborted } = setup();
  for (let i = 1; i < 10; i += 1) {
    await clock.advance(10_000);
    for (const { answer } of pings) answer();
    await settle();
  }
  expect(pings.length).toBeGreaterThan(5);
  expect(aborted).toEqual([]);
});

test("a connection from which nothing comes any more is broken within 20 seconds", async () => {
  const { clock, aborted, liveness } = setup();
  await clock.advance(7_000);
  liveness.heard("PEER");
  await clock.advance(14_999);
  expect(aborted).toEqual([]);
  await clock.advance(5_001);
  expect(aborted).toHaveLength(1);
});

test("a slow ping does not break a connection that sends", async () => {
  const { clock, aborted, pings, liveness } = setup();
  await clock.advance(10_000);
  expect(pings).toHaveLength(1);
  liveness.heard("PEER");
  await clock.advance(12_000);
  expect(aborted).toEqual([]);
});

test("a connection without streams is left to libp2p", async () => {
  const { clock, pings } = setup({ streams: 0 });
  await clock.advance(60_000);
  expect(pings).toHaveLength(0);
});

test("after stop nothing is watched and no timer is left", async () => {
  const { clock, aborted, liveness } = setup();
  await clock.advance(10_000);
  liveness.stop();
  await clock.advance(60_000);
  expect(aborted).toEqual([]);
  expect(clock.pending()).toBe(0);
});
