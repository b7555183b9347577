import { describe, expect, test } from "vitest";
import type { ByteStream } from "../../../protocols/wire/byte-stream.ts";
import { unreachable } from "../../../protocols/wire/byte-stream.ts";
import type { CborValue } from "../../../protocols/wire/codec.ts";
import { createControlClient } from "../../../protocols/wire/control-client.ts";
import { createControlReader, encodeControl } from "../../../protocols/wire/control-frame.ts";
import { type ControlServerOptions, serveControl } from "../../../protocols/wire/control-server.ts";
import { IntercloudError, RemoteError } from "../../../protocols/wire/errors.ts";
import { DEFAULT_LIMITS, type TransportLimits } from "../../../protocols/wire/limits.ts";
import { createQuota } from "../../../protocols/wire/quota.ts";
import { createStreamPair } from "../../../protocols/wire/stream-pair.ts";
import type { AskHandler } from "../../../protocols/wire/transport.ts";
import { errorOf } from "../../support/bytes.ts";
import { createManualClock, settle } from "../../support/manual-clock.ts";

const PROTOCOL = "/intercloud/test/1.0.0";
const soon = { timeoutMs: 1_000 };

function countWrites(stream: ByteStream): { stream: ByteStream; writes: () => number } {
  let writes = 0;
  const write: ByteStream["write"] = (bytes) => {
    writes += 1;
    return stream.write(bytes);
  };
  return { stream: Object.assign(Object.create(stream) as ByteStream, { write }), writes: () => writes };
}

/** A server of ours, and a raw stream on which a test plays the asker. */
function setupServer(handlers: Record<string, AskHandler>, changed: Partial<TransportLimits> = {}) {
  const clock = createManualClock();
  const limits = { ...DEFAULT_LIMITS, ...changed };
  const faults: unknown[] = [];
  let ids = 0;
  const options: ControlServerOptions = {
    clock,
    limits,
    quota: createQuota({ clock, ratePerSecond: limits.requestsPerSecond, burst: limits.requestBurst }),
    handlerOf: (protocol, method) => (protocol === PROTOCOL ? handlers[method] : undefined),
    newRequestId: () => `id-${++ids}`,
    onFault: (error) => faults.push(error),
  };
  const stop = new AbortController();
  const [raw, held] = createStreamPair("ASKER", "SERVER");
  const counted = countWrites(held);
  const served = serveControl(counted.stream, options, stop.signal);
  const next = createControlReader(raw);
  const ask = (id: number, method: string, body: CborValue = null) =>
    raw.write([encodeControl({ id, protocol: PROTOCOL, method, body })]);
  return { clock, raw, served, stop, faults, ask, writes: counted.writes, answer: async () => (await next())?.value };
}

describe("the answering side", () => {
  test("many asks at once, answered as each is done", async () => {
    const finish = new Map<number, (answer: CborValue) => void>();
    const { ask, answer } = setupServer({
      wait: (body) => new Promise((resolve) => finish.set(body as number, resolve)),
    });
    for (const id of [1, 2, 3]) await ask(id, "wait", id * 10);
    await settle();
    finish.get(20)?.("b");
    expect(await answer()).toEqual({ id: 2, body: "b" });
    finish.get(30)?.("c");
    finish.get(10)?.("a");
    expect([await answer(), await answer()]).toEqual([
      { id: 3, body: "c" },
      { id: 1, body: "a" },
    ]);
  });

  test("answers of one turn go out in one write", async () => {
    const { ask, answer, writes } = setupServer({ ok: async () => 1 });
    await Promise.all(Array.from({ length: 50 }, (_, i) => ask(i + 1, "ok")));
    for (let i = 0; i < 50; i += 1) expect(await answer()).toMatchObject({ body: 1 });
    expect(writes()).toBeLessThan(10);
  });

  test("past the asks in flight it is busy, and says when to come back", async () => {
    const { ask, answer } = setupServer({ hang: () => new Promise(() => {}) }, { asksInFlight: 2 });
    for (const id of [1, 2, 3]) await ask(id, "hang");
    expect(await answer()).toEqual({ id: 3, status: "busy", retryAfterMs: 1_000, requestId: "id-3" });
  });

  test("past the bytes of asks in flight it is busy", async () => {
    const { ask, answer } = setupServer({ hang: () => new Promise(() => {}) }, { controlBacklogBytes: 1_000 });
    await ask(1, "hang", new Uint8Array(600));
    await ask(2, "hang", new Uint8Array(600));
    expect(await answer()).toMatchObject({ id: 2, status: "busy" });
  });

  test("past the rate it is busy until the tokens are there", async () => {
    const { ask, answer, clock } = setupServer({ ok: async () => "ok" }, { requestsPerSecond: 2, requestBurst: 1 });
    await ask(1, "ok");
    await ask(2, "ok");
    // the refusal needs no handler, so it may overtake
    const both = [await answer(), await answer()];
    expect(both).toContainEqual({ id: 1, body: "ok" });
    expect(both).toContainEqual({ id: 2, status: "busy", retryAfterMs: 500, requestId: "id-2" });
    await clock.advance(500);
    await ask(3, "ok");
    expect(await answer()).toEqual({ id: 3, body: "ok" });
  });

  test("an asker that takes no answers gets no more of them made, and is given up after the idle time", async () => {
    let made = 0;
    const { ask, clock, raw } = setupServer(
      {
        big: async () => {
          made += 1;
          return new Uint8Array(200_000);
        },
      },
      { controlBacklogBytes: 1_000_000 },
    );
    for (let id = 1; id <= 200; id += 1) void ask(id, "big").catch(() => {});
    await settle();
    await settle();
    expect(made).toBeLessThan(20);
    await clock.advance(30_000);
    expect(raw.broken.aborted).toBe(true);
  });

  test("a cancelled ask is not answered; its handler is told", async () => {
    const signals: AbortSignal[] = [];
    const { ask, answer, raw, faults } = setupServer({
      hang: (_, { signal }) =>
        new Promise((_resolve, reject) => {
          signals.push(signal);
          signal.addEventListener("abort", () => reject(new Error("stopped")));
        }),
      ok: async () => "ok",
    });
    await ask(1, "hang");
    await settle();
    await raw.write([encodeControl({ id: 1, cancel: true })]);
    await raw.write([encodeControl({ id: 77, cancel: true })]);
    await ask(2, "ok");
    expect(await answer()).toEqual({ id: 2, body: "ok" });
    expect(signals[0]?.reason).toMatchObject({ code: "CANCELLED" });
    expect(faults).toEqual([]);
  });

  test.each(["end", "break"])("when the asker's stream comes to its %s, all its handlers are told", async (how) => {
    const signals: AbortSignal[] = [];
    const { ask, raw, served } = setupServer({
      hang: (_, { signal }) => {
        signals.push(signal);
        return new Promise((resolve) => signal.addEventListener("abort", () => resolve(null)));
      },
    });
    await ask(1, "hang");
    await ask(2, "hang");
    await settle();
    if (how === "end") await raw.close();
    else raw.abort();
    await settle();
    expect(signals.map((signal) => signal.aborted)).toEqual([true, true]);
    await served;
  });

  test("when we shut down, handlers are told and the stream breaks", async () => {
    const signals: AbortSignal[] = [];
    const { ask, raw, served, stop } = setupServer({
      hang: (_, { signal }) => {
        signals.push(signal);
        return new Promise((resolve) => signal.addEventListener("abort", () => resolve(null)));
      },
    });
    await ask(1, "hang");
    await settle();
    stop.abort(new Error("shutdown"));
    await served;
    expect(signals[0]?.aborted).toBe(true);
    expect(raw.broken.aborted).toBe(true);
  });

  const garbage: [string, Uint8Array][] = [
    ["a frame over the limit", Buffer.from("00100001", "hex")],
    ["something else than CBOR", Buffer.from("00000001ff", "hex")],
    ["another protocol", Buffer.from("\x13/multistream/1.0.0\n")],
    ["an ask with an id that is in use", Buffer.alloc(0)],
  ];
  test.each(garbage)("%s drops the stream with bad-request, and stops its handlers", async (what, bytes) => {
    const signals: AbortSignal[] = [];
    const { ask, raw, answer, served } = setupServer({
      hang: (_, { signal }) => {
        signals.push(signal);
        return new Promise((resolve) => signal.addEventListener("abort", () => resolve(null)));
      },
    });
    await ask(1, "hang");
    await settle();
    if (what.includes("in use")) await ask(1, "hang");
    else await raw.write([bytes]);
    expect(await answer()).toMatchObject({ id: 0, status: "bad-request" });
    expect(await answer()).toBeUndefined();
    expect(signals[0]?.aborted).toBe(true);
    await raw.close();
    await served;
  });

  test("a peer that sends nonsense and does not end its side is broken off", async () => {
    const { raw, clock, served } = setupServer({});
    await raw.write([Buffer.from("00100001", "hex")]);
    await settle();
    expect(raw.broken.aborted).toBe(false);
    await clock.advance(2_000);
    expect(raw.broken.aborted).toBe(true);
    await served;
    expect(clock.pending()).toBe(0);
  });

  test("an answer over the limit is a fault of ours, not the asker's", async () => {
    const { ask, answer, faults } = setupServer({ big: async () => new Uint8Array(1024 * 1024) });
    await ask(1, "big");
    expect(await answer()).toEqual({ id: 1, status: "internal", requestId: "id-1" });
    expect(faults).toEqual([expect.objectContaining({ code: "MESSAGE_TOO_LONG" })]);
  });

  test("an answer that is undefined arrives as null", async () => {
    const { ask, answer } = setupServer({ nothing: (async () => undefined) as unknown as AskHandler });
    await ask(1, "nothing");
    expect(await answer()).toEqual({ id: 1, body: null });
  });
});

/** A client of ours, and the raw streams that it opens, on which a test plays the server. */
function setupClient(openStream?: () => Promise<ByteStream>) {
  const clock = createManualClock();
  const opened: ByteStream[] = [];
  const client = createControlClient("SERVER", {
    clock,
    idleTimeoutMs: 30_000,
    openStream:
      openStream ??
      (async () => {
        const [held, raw] = createStreamPair("US", "SERVER");
        opened.push(raw);
        return held;
      }),
  });
  const nextOn = (index: number) => createControlReader(opened[index] as ByteStream);
  return { clock, client, opened, nextOn };
}

describe("the asking side", () => {
  test("asks share one stream, and answers find their asks in any order", async () => {
    const { client, opened, nextOn } = setupClient();
    const asks = [1, 2, 3].map((body) => client.ask(PROTOCOL, "m", body, soon));
    await settle();
    expect(opened).toHaveLength(1);
    const next = nextOn(0);
    const seen = [(await next())?.value, (await next())?.value, (await next())?.value] as {
      id: number;
      body: number;
    }[];
    for (const { id, body } of seen.reverse()) await opened[0]?.write([encodeControl({ id, body: body * 10 })]);
    expect(await Promise.all(asks)).toEqual([10, 20, 30]);
  });

  test("asks of one turn go out in one write", async () => {
    const [held, raw] = createStreamPair("US", "SERVER");
    const counted = countWrites(held);
    const { client } = setupClient(async () => counted.stream);
    const asks = Array.from({ length: 20 }, () => errorOf(client.ask(PROTOCOL, "m", null, soon)));
    const next = createControlReader(raw);
    for (let i = 0; i < 20; i += 1) await next();
    expect(counted.writes()).toBe(1);
    raw.abort();
    await Promise.all(asks);
  });

  test("a timeout and a cancellation are told to the server; a late answer is dropped", async () => {
    const { client, opened, nextOn, clock } = setupClient();
    const controller = new AbortController();
    const late = errorOf(client.ask(PROTOCOL, "m", 1, soon));
    const cancelled = errorOf(client.ask(PROTOCOL, "m", 2, { timeoutMs: 60_000, signal: controller.signal }));
    await settle();
    const next = nextOn(0);
    await next();
    await next();
    controller.abort();
    await clock.advance(1_000);
    expect(await late).toMatchObject({ code: "TIMEOUT", details: { peers: ["SERVER"] } });
    expect(await cancelled).toMatchObject({ code: "CANCELLED" });
    expect([(await next())?.value, (await next())?.value]).toEqual([
      { id: 2, cancel: true },
      { id: 1, cancel: true },
    ]);
    await opened[0]?.write([encodeControl({ id: 1, body: "late" })]);
    const after = client.ask(PROTOCOL, "m", 3, soon);
    await settle();
    await next();
    await opened[0]?.write([encodeControl({ id: 3, body: "in time" })]);
    expect(await after).toBe("in time");
    expect(clock.pending()).toBe(0);
  });

  test("a stream that died while it was idle is replaced before the next ask", async () => {
    for (const death of ["abort", "close"] as const) {
      const { client, opened, nextOn } = setupClient();
      const first = client.ask(PROTOCOL, "m", 1, soon);
      await settle();
      await opened[0]?.write([encodeControl({ id: 1, body: "a" })]);
      expect(await first).toBe("a");
      await opened[0]?.[death]();
      const second = client.ask(PROTOCOL, "m", 2, soon);
      await settle();
      expect(opened).toHaveLength(2);
      expect((await nextOn(1)())?.value).toMatchObject({ body: 2 });
      await opened[1]?.write([encodeControl({ id: 2, body: "b" })]);
      expect(await second).toBe("b");
    }
  });

  test("an ask that was not handed over when its stream died is sent once more, and not a third time", async () => {
    const { client, opened, nextOn } = setupClient();
    const asked = client.ask(PROTOCOL, "m", 1, soon);
    // the ask waits for the turn of the event loop in which frames are put together
    await Promise.resolve();
    for (let tries = 0; opened.length === 0 && tries < 20; tries += 1) await Promise.resolve();
    opened[0]?.abort();
    await settle();
    expect(opened).toHaveLength(2);
    expect((await nextOn(1)())?.value).toMatchObject({ id: 1, body: 1 });
    await opened[1]?.write([encodeControl({ id: 1, body: "ok" })]);
    expect(await asked).toBe("ok");

    let dials = 0;
    const dead = setupClient(async () => {
      dials += 1;
      const [held] = createStreamPair("US", "SERVER");
      held.abort();
      return held;
    });
    expect(await errorOf(dead.client.ask(PROTOCOL, "m", 1, soon))).toMatchObject({ code: "UNREACHABLE" });
    expect(dials).toBe(2);
    expect(dead.clock.pending()).toBe(0);
  });

  test("an ask that may have been seen is not sent again", async () => {
    const { client, opened, nextOn } = setupClient();
    const asked = errorOf(client.ask(PROTOCOL, "m", 1, soon));
    await settle();
    await nextOn(0)();
    opened[0]?.abort();
    expect(await asked).toMatchObject({ code: "UNREACHABLE", details: { peers: ["SERVER"] } });
    expect(opened).toHaveLength(1);
  });

  test("a dial is shared, fails for all who wait, and is tried again by the next ask", async () => {
    let dials = 0;
    const { client } = setupClient(async () => {
      dials += 1;
      await settle();
      throw unreachable("SERVER");
    });
    const asks = [1, 2, 3].map((body) => errorOf(client.ask(PROTOCOL, "m", body, soon)));
    for (const error of await Promise.all(asks)) expect(error).toMatchObject({ code: "UNREACHABLE" });
    expect(dials).toBe(1);
    await errorOf(client.ask(PROTOCOL, "m", 4, soon));
    expect(dials).toBe(2);
  });

  test("an ask whose time ends while it is dialled is a TIMEOUT, and the others go on", async () => {
    let dialled: (stream: ByteStream) => void = () => {};
    const { client, clock } = setupClient(() => new Promise((resolve) => (dialled = resolve)));
    const short = errorOf(client.ask(PROTOCOL, "m", 1, soon));
    const long = client.ask(PROTOCOL, "m", 2, { timeoutMs: 10_000 });
    await clock.advance(1_000);
    expect(await short).toMatchObject({ code: "TIMEOUT" });
    const [held, raw] = createStreamPair("US", "SERVER");
    dialled(held);
    expect((await createControlReader(raw)())?.value).toMatchObject({ body: 2 });
    await raw.write([encodeControl({ id: 2, body: "ok" })]);
    expect(await long).toBe("ok");
  });

  test("failures become RemoteError; one about the stream goes to everybody on it", async () => {
    const { client, opened } = setupClient();
    const asks = [1, 2].map((body) => errorOf(client.ask(PROTOCOL, "m", body, soon)));
    await settle();
    await opened[0]?.write([encodeControl({ id: 1, status: "refused", requestId: "r-1" })]);
    await opened[0]?.write([encodeControl({ id: 0, status: "busy", retryAfterMs: 7 })]);
    const [first, second] = await Promise.all(asks);
    expect(first).toBeInstanceOf(RemoteError);
    expect(first).toMatchObject({ code: "REMOTE_REFUSED", peer: "SERVER", details: { requestId: "r-1" } });
    expect(second).toMatchObject({ code: "REMOTE_BUSY", details: { retryAfterMs: 7 } });
    expect(opened[0]?.broken.aborted).toBe(true);
  });

  test.each([
    ["garbage", Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n")],
    ["a frame over the limit", Buffer.from("7fffffff", "hex")],
    ["an answer that is none", encodeControl({ id: 1 })],
  ])("a server that sends %s counts as unreachable, and the stream is dropped", async (_, bytes) => {
    const { client, opened } = setupClient();
    const asked = errorOf(client.ask(PROTOCOL, "m", 1, soon));
    await settle();
    await opened[0]?.write([bytes]);
    expect(await asked).toMatchObject({ code: "BAD_ANSWER", status: "unreachable", details: { peers: ["SERVER"] } });
    expect(opened[0]?.broken.aborted).toBe(true);
  });

  test("an ask over the limit is refused before it is sent", async () => {
    const { client, opened } = setupClient();
    const asked = client.ask(PROTOCOL, "m", new Uint8Array(1024 * 1024), soon);
    expect(await errorOf(asked)).toMatchObject({ code: "MESSAGE_TOO_LONG" });
    expect(opened).toHaveLength(0);
  });

  test("close ends what is going on and what comes later", async () => {
    const { client, opened, clock } = setupClient();
    const asked = errorOf(client.ask(PROTOCOL, "m", 1, soon));
    await settle();
    client.close(new IntercloudError("CLOSED", "cancelled", "over"));
    expect(await asked).toMatchObject({ code: "CLOSED" });
    expect(await errorOf(client.ask(PROTOCOL, "m", 2, soon))).toMatchObject({ code: "CLOSED" });
    await settle();
    expect(opened[0]?.broken.aborted).toBe(true);
    expect(clock.pending()).toBe(0);
  });
});
