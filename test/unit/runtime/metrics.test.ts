import { expect, test } from "vitest";
import { createMetrics } from "../../../runtime/metrics.ts";

test("what is measured is in the text, with the process's own figures", async () => {
  const metrics = createMetrics();
  const requests = metrics.counter("intercloud_requests_total", "Requests.", ["outcome"]);
  requests.inc({ outcome: "ok" }, 2);
  let free = 5;
  metrics.gauge("intercloud_disk_free_bytes", "Free bytes.", { read: () => free });
  const latency = metrics.histogram("intercloud_request_seconds", "Latency.", [0.1, 1]);
  latency.observe(0.5);
  free = 7;
  const text = await metrics.text();
  expect(text).toContain('intercloud_requests_total{outcome="ok"} 2');
  expect(text).toContain("intercloud_disk_free_bytes 7");
  expect(text).toContain('intercloud_request_seconds_bucket{le="1"} 1');
  for (const name of ["process_resident_memory_bytes", "nodejs_eventloop_lag_seconds", "process_open_fds"]) {
    expect(text).toMatch(new RegExp(`^${name} [0-9.]+`, "m"));
  }
  expect(metrics.contentType).toContain("text/plain");
});

test("two nodes in one process do not share metrics", async () => {
  const [one, two] = [createMetrics(), createMetrics()];
  one.counter("intercloud_a_total", "A.").inc();
  two.counter("intercloud_a_total", "A.").inc(5);
  expect(await one.text()).toContain("intercloud_a_total 1");
  expect(await two.text()).toContain("intercloud_a_total 5");
});

test("names follow the rules", () => {
  const metrics = createMetrics();
  expect(() => metrics.counter("intercloud_requests", "x")).toThrow(TypeError);
  expect(() => metrics.counter("requests_total", "x")).toThrow(TypeError);
  expect(() => metrics.gauge("intercloud_streams_total", "x")).toThrow(TypeError);
  expect(() => metrics.histogram("intercloud_request_ms", "x", [1])).toThrow(TypeError);
});
