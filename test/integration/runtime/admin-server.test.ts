import { request } from "node:http";
import { connect } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { IntercloudError } from "../../../protocols/wire/errors.ts";
import { type AdminServer, type Cause, startAdminServer } from "../../../runtime/admin-server.ts";
import { createLog } from "../../../runtime/log.ts";
import { createMetrics } from "../../../runtime/metrics.ts";

const lines: string[] = [];
const log = createLog({ level: "debug", destination: { write: (line: string) => void lines.push(line) } });
const metrics = createMetrics();
let causes: readonly Cause[] | Error;
let server: AdminServer;

const readiness = async () => {
  if (causes instanceof Error) throw causes;
  return causes;
};

beforeEach(async () => {
  causes = [];
  lines.length = 0;
  server = await startAdminServer({ port: 0, readiness, metrics, log });
});
afterEach(() => server.close());

const get = (path: string, init: RequestInit = {}) =>
  fetch(server.url + path, { ...init, signal: AbortSignal.timeout(5_000) });

/** fetch does not let a caller choose the Host header. */
function statusWithHost(host: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    request(`${server.url}/healthz`, { headers: { host }, timeout: 5_000 }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on("error", reject)
      .end();
  });
}

test("is alive", async () => {
  const response = await get("/healthz");
  expect([response.status, await response.text()]).toEqual([200, "ok\n"]);
});

test("is ready when nothing speaks against it, and says what does", async () => {
  const ready = await get("/readyz");
  expect([ready.status, await ready.json()]).toEqual([200, { ready: true, causes: [] }]);
  causes = [{ code: "DISK_FULL", message: "free some space" }];
  const not = await get("/readyz");
  expect([not.status, await not.json()]).toEqual([503, { ready: false, causes }]);
});

test("shows metrics and an index, and nothing else", async () => {
  const shown = await get("/metrics");
  expect(shown.headers.get("content-type")).toBe(metrics.contentType);
  expect(await shown.text()).toContain("process_resident_memory_bytes");
  expect(await (await get("/?x=1")).json()).toEqual({ paths: ["/healthz", "/readyz", "/metrics"] });
  const missing = await get("/../etc/passwd");
  expect([missing.status, await missing.json()]).toEqual([404, { error: "not found" }]);
});

test("answers the questions that it was given, and tells whose fault a failure is", async () => {
  const thrown = (status: "bad-request" | "not-found" | "busy" | "internal") => async () => {
    throw new IntercloudError("CODE", status, `said ${status}`);
  };
  const questions = {
    "/echo": async (query: URLSearchParams) => ({ limit: query.get("limit") }),
    ...{
      "/bad": thrown("bad-request"),
      "/none": thrown("not-found"),
      "/later": thrown("busy"),
      "/bug": thrown("internal"),
    },
  };
  const asked = await startAdminServer({ port: 0, readiness, metrics, log, questions });
  try {
    const ask = async (path: string) => {
      const response = await fetch(asked.url + path, { signal: AbortSignal.timeout(5_000) });
      return [response.status, await response.json()];
    };
    expect(await ask("/echo?limit=3&after=1")).toEqual([200, { limit: "3" }]);
    expect(await ask("/echo")).toEqual([200, { limit: null }]);
    expect(await ask("/bad")).toEqual([400, { error: "said bad-request" }]);
    expect(await ask("/none")).toEqual([404, { error: "said not-found" }]);
    expect(await ask("/later")).toEqual([503, { error: "said busy" }]);
    expect(await ask("/bug")).toEqual([500, { error: "internal" }]);
    expect(await ask("/constructor")).toEqual([404, { error: "not found" }]);
    expect(await ask("/")).toEqual([
      200,
      { paths: ["/healthz", "/readyz", "/metrics", "/echo", "/bad", "/none", "/later", "/bug"] },
    ]);
  } finally {
    await asked.close();
  }
});

test.each(["POST", "PUT", "DELETE", "HEAD", "OPTIONS"])("%s is refused", async (method) => {
  const response = await get("/healthz", { method });
  expect([response.status, response.headers.get("allow")]).toEqual([405, "GET"]);
});

test("answers to loopback names only", async () => {
  expect(await statusWithHost("localhost:80")).toBe(200);
  expect(await statusWithHost("127.0.0.1")).toBe(200);
  expect(await statusWithHost("[::1]:9")).toBe(200);
  expect(await statusWithHost("evil.example")).toBe(403);
  expect(await statusWithHost("localhost.evil.example")).toBe(403);
  expect(await statusWithHost("127.0.0.1.evil.example")).toBe(403);
});

test("a check that fails is 500 and its text goes to the log only", async () => {
  causes = new Error("a detail that is nobody's business");
  const response = await get("/readyz");
  expect([response.status, await response.json()]).toEqual([500, { error: "internal" }]);
  expect(lines.join("")).toContain("a detail that is nobody's business");
});

test("an address that is not loopback has to be asked for", async () => {
  const options = { port: 0, readiness, metrics, log };
  for (const host of ["0.0.0.0", "::", "192.0.2.1", "example.org"]) {
    await expect(startAdminServer({ ...options, host })).rejects.toMatchObject({ code: "ADMIN_NOT_LOOPBACK" });
  }
  const open = await startAdminServer({ ...options, host: "0.0.0.0", allowRemote: true });
  await open.close();
});

test("a port in use is said to be in use", async () => {
  const port = Number(new URL(server.url).port);
  await expect(startAdminServer({ port, readiness, metrics, log })).rejects.toMatchObject({
    code: "ADMIN_PORT_IN_USE",
  });
});

test("close does not wait for a client that says nothing", async () => {
  const socket = connect(Number(new URL(server.url).port), "127.0.0.1");
  await new Promise((resolve) => socket.once("connect", resolve));
  const ended = new Promise((resolve) => socket.once("close", resolve));
  socket.on("error", () => {}); // it may be reset
  await server.close();
  await ended;
});
