/**
 * What an operator and their monitoring may ask over HTTP: is it alive, is it ready and if not why, how much of everything.
 * It has no login, so it listens on loopback and answers only to a loopback name: a web page in the operator's browser that
 * points its own name at 127.0.0.1 (DNS rebinding) gets nothing.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, isIP } from "node:net";
import { IntercloudError, type Status } from "../protocols/wire/errors.ts";
import type { Log } from "./log.ts";
import type { Metrics } from "./metrics.ts";

/** Why a node is not ready. The code is for programs, the message for people. */
export interface Cause {
  readonly code: string;
  readonly message: string;
}

export interface AdminServerOptions {
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** 0: any free port. */
  readonly port: number;
  /** Ready when there are no causes against it. */
  readonly readiness: () => readonly Cause[] | Promise<readonly Cause[]>;
  readonly metrics: Metrics;
  readonly log: Log;
  /** More that can be asked: the path, and what answers it with a JSON value. A throw of status `not-found` or `bad-request` is the asker's. */
  readonly questions?: Readonly<Record<string, (query: URLSearchParams) => Promise<unknown>>>;
  /** Allows another address than loopback, and with it any Host header. The operator then has to protect it. */
  readonly allowRemote?: boolean;
}

export interface AdminServer {
  /** Such as `http://127.0.0.1:8080`. */
  readonly url: string;
  close(): Promise<void>;
}

// Requests are a line and a few headers from the same machine.
const REQUEST_TIMEOUT_MS = 5_000;
const IDLE_TIMEOUT_MS = 5_000;
const MAX_HEADER_BYTES = 8 * 1024;
const MAX_CONNECTIONS = 64;

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** @throws IntercloudError ADMIN_NOT_LOOPBACK, ADMIN_PORT_IN_USE, ADMIN_FAILED. */
export async function startAdminServer(options: AdminServerOptions): Promise<AdminServer> {
  const { host = "127.0.0.1", port, allowRemote = false } = options;
  if (!allowRemote && !isLoopback(host)) {
    throw new IntercloudError(
      "ADMIN_NOT_LOOPBACK",
      "bad-request",
      `the admin address ${host} is not loopback, and the admin server has no login; use 127.0.0.1 or allow it explicitly`,
      { host },
    );
  }
  const server = createServer(
    { requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: REQUEST_TIMEOUT_MS, maxHeaderSize: MAX_HEADER_BYTES },
    (request, response) => {
      answerTo(request, options).then(
        (answer) => send(response, answer),
        (error: unknown) => {
          options.log.error("admin-request-failed", { error });
          send(response, json(500, { error: "internal" }));
        },
      );
    },
  );
  server.keepAliveTimeout = IDLE_TIMEOUT_MS;
  server.maxConnections = MAX_CONNECTIONS;
  await listen(server, host, port);
  const address = server.address() as AddressInfo;
  const shownHost = address.family === "IPv6" ? `[${address.address}]` : address.address;
  return { url: `http://${shownHost}:${address.port}`, close: () => close(server) };
}

async function answerTo(request: IncomingMessage, options: AdminServerOptions): Promise<Answer> {
  // Whatever is sent along is not read; the connection ends with the answer.
  if (!(options.allowRemote ?? false) && !isLoopbackName(request.headers.host)) {
    return json(403, { error: "the Host header must be localhost, 127.0.0.1 or [::1]" });
  }
  if (request.method !== "GET") return { ...json(405, { error: "only GET" }), headers: { allow: "GET" } };
  const [path = "/", query] = (request.url ?? "/").split("?");
  const { questions = {} } = options;
  if (path === "/") return json(200, { paths: ["/healthz", "/readyz", "/metrics", ...Object.keys(questions)] });
  if (path === "/healthz") return { status: 200, type: "text/plain; charset=utf-8", body: "ok\n" };
  if (path === "/readyz") {
    const causes = await options.readiness();
    return json(causes.length === 0 ? 200 : 503, { ready: causes.length === 0, causes });
  }
  if (path === "/metrics") {
    return { status: 200, type: options.metrics.contentType, body: await options.metrics.text() };
  }
  const question = Object.hasOwn(questions, path) ? questions[path] : undefined;
  if (question === undefined) return json(404, { error: "not found" });
  try {
    return json(200, await question(new URLSearchParams(query)));
  } catch (error) {
    const status = error instanceof IntercloudError ? STATUS_OF[error.status] : undefined;
    if (status === undefined) throw error;
    return json(status, { error: (error as IntercloudError).message });
  }
}

const STATUS_OF: Readonly<Partial<Record<Status, number>>> = { "bad-request": 400, "not-found": 404, busy: 503 };

function json(status: number, value: unknown): Answer {
  return { status, type: "application/json", body: `${JSON.stringify(value)}\n` };
}

function send(response: ServerResponse, { status, type, body, headers }: Answer): void {
  response.writeHead(status, {
    "content-type": type,
    "content-length": Buffer.byteLength(body),
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    ...headers,
    ...(status === 405 ? { connection: "close" } : {}),
  });
  response.end(body);
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}

function isLoopbackName(hostHeader: string | undefined): boolean {
  return hostHeader !== undefined && /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?$/i.test(hostHeader);
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) => {
      const inUse = "code" in error && error.code === "EADDRINUSE";
      const what = inUse ? "is in use; stop what uses it or choose another port" : "cannot be listened on";
      const code = inUse ? "ADMIN_PORT_IN_USE" : "ADMIN_FAILED";
      const message = `the admin address ${host}, port ${port} ${what}`;
      reject(new IntercloudError(code, "conflict", message, { host, port }, error));
    });
    server.listen(port, host, () => resolve());
  });
}

/** Answers that are being made are cut off: monitoring asks again. */
function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
