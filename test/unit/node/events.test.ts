import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { createNodeEvents } from "../../../node/events.ts";
import { meteredHandlers, meteredStore } from "../../../node/metered.ts";
import { IntercloudError } from "../../../protocols/wire/errors.ts";
import type { Channel, Context } from "../../../protocols/wire/transport.ts";
import { createLog } from "../../../runtime/log.ts";
import { createMetrics } from "../../../runtime/metrics.ts";
import { createMemoryStore } from "../../support/memory-store.ts";

function setUp() {
  const lines: string[] = [];
  const metrics = createMetrics();
  const log = createLog({ level: "debug", destination: { write: (line) => void lines.push(line) } });
  const readings = {
    connectedPeers: () => 3,
    dhtPeers: () => 2,
    storeRecords: () => 7,
    auditEntries: () => 9,
    unbound: () => ({ deals: 4, bytes: 6 }),
  };
  return { lines, metrics, events: createNodeEvents(log, metrics, "1.2.3", readings) };
}
const context: Context = { from: "somebody", requestId: "r", signal: new AbortController().signal };

test("deposits are counted by event; a token shows as a short prefix, and at debug only", async () => {
  const { lines, metrics, events } = setUp();
  const tokenId = new Uint8Array(32).fill(0xab);
  events.onCustodyEvent({ kind: "sealed", tokenId });
  events.onCustodyEvent({ kind: "served", tokenId, lengthBytes: 1_000 });
  const text = await metrics.text();
  expect(text).toMatch(/^intercloud_deposits_total\{event="sealed"\} 1$/m);
  expect(text).toMatch(/^intercloud_served_bytes_total 1000$/m);
  expect(text).toMatch(/^intercloud_connected_members 3$/m);
  expect(text).toMatch(/^intercloud_store_records 7$/m);
  expect(text).toMatch(/^intercloud_audit_entries 9$/m);
  for (const line of lines) {
    expect(JSON.parse(line)).toMatchObject({ level: "debug", token: "abababab" });
    expect(line).not.toContain("ab".repeat(5));
  }
});

test("every answer is counted with its outcome; errors pass unchanged", async () => {
  const { metrics, events } = setUp();
  const seen: unknown[] = [];
  const busy = new IntercloudError("BUSY", "busy", "later");
  const handlers = meteredHandlers(
    "/p/1",
    {
      asks: { good: async () => "fine", bad: async () => Promise.reject(busy) },
      channels: { broken: async () => Promise.reject(new TypeError("bug")) },
    },
    events,
    (error) => void seen.push(error),
  );
  expect(await handlers.asks?.["good"]?.(null, context)).toBe("fine");
  await expect(handlers.asks?.["bad"]?.(null, context)).rejects.toBe(busy);
  await expect(handlers.channels?.["broken"]?.({} as Channel, null, context)).rejects.toThrow("bug");
  const text = await metrics.text();
  expect(text).toMatch(/^intercloud_answers_total\{protocol="\/p\/1",method="good",status="ok"\} 1$/m);
  expect(text).toMatch(/^intercloud_answers_total\{protocol="\/p\/1",method="bad",status="busy"\} 1$/m);
  expect(text).toMatch(/^intercloud_answers_total\{protocol="\/p\/1",method="broken",status="internal"\} 1$/m);
  expect(seen).toHaveLength(2);
});

test("the store is the same store; its commits are timed, and removals are told", async () => {
  const { metrics, events } = setUp();
  let removals = 0;
  const inner = createMemoryStore();
  const store = meteredStore(inner, events, () => void removals++);
  await store.commit([{ kind: "put", key: "a", value: Uint8Array.of(1) }]);
  expect(await inner.get("a")).toEqual(Uint8Array.of(1));
  expect(await store.get("a")).toEqual(Uint8Array.of(1));
  expect(removals).toBe(0);
  await store.bodies.remove("0a");
  expect(removals).toBe(1);
  expect(await metrics.text()).toMatch(/^intercloud_store_commit_seconds_count 1$/m);
});

test("a fault of ours is logged with the id that the peer was told", () => {
  const { lines, events } = setUp();
  events.onFault(new TypeError("bug"), "r-17");
  expect(JSON.parse(lines[0] ?? "")).toMatchObject({ level: "error", event: "request-failed", requestId: "r-17" });
});

test("docs/operating.md lists every metric of ours, and no other", async () => {
  const { metrics } = setUp();
  const names = [...(await metrics.text()).matchAll(/^# TYPE (intercloud_\w+)/gm)].map(([, name]) => name);
  const docs = await readFile(new URL("../../../docs/operating.md", import.meta.url), "utf8");
  const listed = [...docs.matchAll(/^\| `(intercloud_\w+)` \|/gm)].map(([, name]) => name);
  expect(names.length).toBeGreaterThan(10);
  expect([...listed].sort()).toEqual([...names].sort());
});
