import { afterEach, describe, expect, test } from "vitest";
import { IntercloudError } from "../../../protocols/wire/errors.ts";
import { createMemoryNetwork } from "../../../protocols/wire/memory-transport.ts";
import type { Sent } from "../../../protocols/wire/stream-transport.ts";
import type { Context, Transport } from "../../../protocols/wire/transport.ts";
import { bytesOf, collect, errorOf, sourceOf } from "../../support/bytes.ts";
import { createManualClock, settle } from "../../support/manual-clock.ts";

const PROTOCOL = "/intercloud/echo/1.0.0";
const soon = { timeoutMs: 1_000 };

const open: Transport[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((transport) => transport.close()));
});

function setup(options: { limits?: object; faults?: unknown[]; observe?: (sent: Sent) => void } = {}) {
  const clock = createManualClock();
  const network = createMemoryNetwork(options.observe && { observe: options.observe });
  const make = (peer: string) => {
    const transport = network.transport(peer, {
      clock,
      limits: options.limits ?? {},
      onFault: (error, requestId) => options.faults?.push([error, requestId]),
    });
    open.push(transport);
    return transport;
  };
  return { clock, network, make };
}

/** A handler that never answers by itself and obeys its signal. */
const hanging = (contexts: Context[]) => (_: unknown, context: Context) => {
  contexts.push(context);
  return new Promise<null>((resolve) => context.signal.addEventListener("abort", () => resolve(null)));
};

describe("asks", () => {
  test("are answered, many at once, each with its own answer", async () => {
    const { make } = setup();
    const [a, b] = [make("A"), make("B")];
    await b.serve(PROTOCOL, { asks: { double: async (body, { from }) => ({ value: Number(body) * 2, from }) } });
    const answers = await Promise.all(Array.from({ length: 500 }, (_, i) => a.ask("B", PROTOCOL, "double", i, soon)));
    expect(answers).toEqual(Array.from({ length: 500 }, (_, i) => ({ value: i * 2, from: "A" })));
  });

  test("to oneself work the same way", async () => {
    const { make } = setup();
    const a = make("A");
    await a.serve(PROTOCOL, { asks: { who: async (_, { from }) => from } });
    expect(await a.ask("A", PROTOCOL, "who", null, soon)).toBe("A");
  });

  test("unknown protocol or method, and names that every object inherits, are not-found", async () => {
    const { make } = setup();
    const [a, b] = [make("A"), make("B")];
    await b.serve(PROTOCOL, { asks: {} });
    for (const [protocol, method] of [
      ["/intercloud/other/1.0.0", "x"],
      [PROTOCOL, "x"],
      [PROTOCOL, "constructor"],
      [PROTOCOL, "toString"],
    ] as const) {
      expect(await errorOf(a.ask("B", protocol, method, null, soon))).toMatchObject({
        code: "REMOTE_NOT_FOUND",
        peer: "B",
        details: { requestId: expect.any(String) },
      });
    }
  });

  test("a handler's own error is told as status, culprits and counts; its text is not", async () => {
    const faults: unknown[] = [];
    const sent: Sent[] = [];
    const { make } = setup({ faults, observe: (event) => sent.push(event) });
    const [a, b] = [make("A"), make("B")];
    const details = { peers: ["C"], answered: 2, needed: 3, retryAfterMs: 50, secretField: "hush" };
    await b.serve(PROTOCOL, {
      asks: {
        fail: async () => {
          throw new IntercloudError("TOO_FEW", "unreachable", "the text stays here", details);
        },
      },
    });
    const error = await errorOf(a.ask("B", PROTOCOL, "fail", null, soon));
    expect(error).toMatchObject({ code: "REMOTE_UNREACHABLE", status: "unreachable" });
    const { requestId, ...rest } = (error as IntercloudError).details;
    expect(rest).toEqual({ peers: ["C"], answered: 2, needed: 3, retryAfterMs: 50 });
    expect(requestId).toMatch(/^[a-z0-9]+-[a-z0-9]+$/);
    expect(faults).toEqual([]);
  });

  test("any other error is internal, and given to onFault once with the same request id", async () => {
    const faults: [unknown, string][] = [];
    const { make } = setup({ faults });
    const [a, b] = [make("A"), make("B")];
    const bug = new TypeError("the text stays here");
    await b.serve(PROTOCOL, { asks: { fail: () => Promise.reject(bug) } });
    const error = (await errorOf(a.ask("B", PROTOCOL, "fail", null, soon))) as IntercloudError;
    expect(error.status).toBe("internal");
    expect(error.message).not.toContain("text");
    expect(faults).toEqual([[bug, error.details.requestId]]);
  });

  test("nobody there is UNREACHABLE", async () => {
    const { make } = setup();
    expect(await errorOf(make("A").ask("B", PROTOCOL, "x", null, soon))).toMatchObject({
      code: "UNREACHABLE",
      details: { peers: ["B"] },
    });
  });

  test("a deadline is a TIMEOUT, and the handler is told to stop", async () => {
    const { make, clock } = setup();
    const [a, b] = [make("A"), make("B")];
    const contexts: Context[] = [];
    await b.serve(PROTOCOL, {
      asks: { hang: hanging(contexts) },
    });
    const asked = errorOf(a.ask("B", PROTOCOL, "hang", null, soon));
    await settle();
    expect(contexts[0]?.signal.aborted).toBe(false);
    await clock.advance(1_000);
    expect(await asked).toMatchObject({ code: "TIMEOUT", status: "timeout", details: { peers: ["B"] } });
    await settle();
    expect(contexts[0]?.signal.aborted).toBe(true);
  });

  test("a cancelled ask ends at once, and the handler is told to stop", async () => {
    const { make, clock } = setup();
    const [a, b] = [make("A"), make("B")];
    const contexts: Context[] = [];
    await b.serve(PROTOCOL, {
      asks: { hang: hanging(contexts) },
    });
    const controller = new AbortController();
    const asked = errorOf(a.ask("B", PROTOCOL, "hang", null, { ...soon, signal: controller.signal }));
    await settle();
    controller.abort();
    expect(await asked).toMatchObject({ code: "CANCELLED", status: "cancelled" });
    await settle();
    expect(contexts[0]?.signal.aborted).toBe(true);
    expect(clock.pending()).toBe(0);
    const again = a.ask("B", PROTOCOL, "hang", null, { ...soon, signal: controller.signal });
    expect(await errorOf(again)).toMatchObject({ code: "CANCELLED" });
  });

  test("when the asker dies, its handlers are told to stop; when it is back, asks work again", async () => {
    const { make, network } = setup();
    const [a, b] = [make("A"), make("B")];
    const contexts: Context[] = [];
    await b.serve(PROTOCOL, {
      asks: {
        hang: hanging(contexts),
        ok: async () => "ok",
      },
    });
    const asked = errorOf(a.ask("B", PROTOCOL, "hang", null, soon));
    await settle();
    network.kill("A");
    expect(await asked).toMatchObject({ code: "UNREACHABLE" });
    await settle();
    expect(contexts[0]?.signal.aborted).toBe(true);
    expect(await errorOf(a.ask("B", PROTOCOL, "ok", null, soon))).toMatchObject({ code: "UNREACHABLE" });
    network.revive("A");
    expect(await a.ask("B", PROTOCOL, "ok", null, soon)).toBe("ok");
  });
});

describe("channels", () => {
  test("carry messages and bodies in both directions, and are seen by `observe`", async () => {
    const sent: Sent[] = [];
    const { make, clock } = setup({ observe: (event) => sent.push(event) });
    const [a, b] = [make("A"), make("B")];
    const body = bytesOf(700_000, 1);
    await b.serve(PROTOCOL, {
      channels: {
        mirror: async (channel, header) => {
          const { lengthBytes } = header as { lengthBytes: number };
          await channel.sendMessage({ ready: true });
          const incoming = channel.receiveBody({ lengthBytes });
          await channel.sendBody(incoming);
          await channel.sendMessage({ digest: incoming.summary().digest });
        },
      },
    });
    const channel = await a.open("B", PROTOCOL, "mirror", { lengthBytes: body.length }, soon);
    expect(await channel.receiveMessage()).toEqual({ ready: true });
    const sending = channel.sendBody(sourceOf(body.slice(), 10_000));
    const back = channel.receiveBody({ lengthBytes: body.length });
    expect(await collect(back)).toEqual(body);
    const summary = await sending;
    expect(back.summary()).toEqual(summary);
    expect(await channel.receiveMessage()).toEqual({ digest: summary.digest });
    await channel.close();
    await settle();
    expect(clock.pending()).toBe(0);
    for (const [from, to] of [
      ["A", "B"],
      ["B", "A"],
    ]) {
      const seen = sent.filter((event) => event.from === from && event.to === to && event.kind === "data");
      expect(Buffer.concat(seen.map((event) => event.bytes)).equals(body)).toBe(true);
    }
    expect(sent[0]).toMatchObject({ kind: "message", protocol: PROTOCOL, method: "mirror" });
  });

  test("kill in the middle of a body is TRUNCATED for the reader and the handler's signal fires", async () => {
    const { make, network } = setup();
    const [a, b] = [make("A"), make("B")];
    const results: unknown[] = [];
    await b.serve(PROTOCOL, {
      channels: {
        put: async (channel, _, context) => {
          results.push(await errorOf(collect(channel.receiveBody({ lengthBytes: 1_000_000 }))));
          results.push(context.signal.aborted);
        },
      },
    });
    const channel = await a.open("B", PROTOCOL, "put", null, soon);
    let produced = 0;
    const sending = errorOf(
      channel.sendBody(
        (async function* () {
          for (; produced < 500_000; produced += 50_000) yield new Uint8Array(50_000);
          await new Promise(() => {});
        })(),
      ),
    );
    await settle();
    network.kill("A");
    expect(await sending).toBeInstanceOf(IntercloudError);
    await settle();
    expect(results).toEqual([expect.objectContaining({ code: "TRUNCATED", details: { peers: ["A"] } }), true]);
  });

  test("past the channels that one peer may hold it is busy; when one ends there is room again", async () => {
    const { make } = setup({ limits: { channelsPerPeer: 2 } });
    const [a, b, c] = [make("A"), make("B"), make("C")];
    await b.serve(PROTOCOL, {
      channels: {
        hold: async (channel) => {
          await channel.sendMessage("held");
          await channel.receiveMessage();
        },
      },
    });
    const hold = async (from: Transport) => {
      const channel = await from.open("B", PROTOCOL, "hold", null, soon);
      await channel.receiveMessage();
      return channel;
    };
    const first = await hold(a);
    await hold(a);
    expect(await errorOf(hold(a))).toMatchObject({ code: "REMOTE_BUSY", details: { retryAfterMs: 1_000 } });
    await hold(c);
    await first.sendMessage("go");
    await first.close();
    await settle();
    await hold(a);
  });

  test("opening many channels uses up the rate", async () => {
    const { make } = setup({ limits: { requestsPerSecond: 10, requestBurst: 30 } });
    const [a, b] = [make("A"), make("B")];
    await b.serve(PROTOCOL, { channels: { hi: async (channel) => channel.sendMessage("hi") } });
    const hi = async () => await (await a.open("B", PROTOCOL, "hi", null, soon)).receiveMessage();
    for (let i = 0; i < 3; i += 1) expect(await hi()).toBe("hi");
    expect(await errorOf(hi())).toMatchObject({ code: "REMOTE_BUSY", details: { retryAfterMs: 1_000 } });
  });

  test("an unknown protocol or method is not-found", async () => {
    const { make } = setup();
    const [a, b] = [make("A"), make("B")];
    await b.serve(PROTOCOL, { channels: {} });
    const other = a.open("B", "/intercloud/other/1.0.0", "x", null, soon);
    expect(await errorOf(other)).toMatchObject({ code: "REMOTE_NOT_FOUND" });
    for (const method of ["x", "constructor"]) {
      const channel = await a.open("B", PROTOCOL, method, null, soon);
      expect(await errorOf(channel.receiveMessage())).toMatchObject({ code: "REMOTE_NOT_FOUND" });
    }
  });

  test("a handler's error is told as its status with our request id; a bug goes to onFault once", async () => {
    const faults: [unknown, string][] = [];
    const { make } = setup({ faults });
    const [a, b] = [make("A"), make("B")];
    const bug = new TypeError("bug");
    await b.serve(PROTOCOL, {
      channels: {
        refuse: () => Promise.reject(new IntercloudError("NOT_OWNER", "refused", "the text stays here")),
        bug: () => Promise.reject(bug),
        badSource: async (channel) => {
          await channel.sendBody(
            (async function* () {
              yield new Uint8Array(1);
              throw bug;
            })(),
          );
        },
      },
    });
    const fail = async (method: string) => {
      const channel = await a.open("B", PROTOCOL, method, null, soon);
      return (await errorOf(collect(channel.receiveBody({ lengthBytes: 10 })))) as IntercloudError;
    };
    expect(await fail("refuse")).toMatchObject({ code: "REMOTE_REFUSED", details: { requestId: expect.any(String) } });
    expect(faults).toEqual([]);
    for (const method of ["bug", "badSource"]) {
      const told = await fail(method);
      await settle();
      expect(told.status).toBe("internal");
      expect(faults.splice(0)).toEqual([[bug, told.details.requestId]]);
    }
  });

  test("a handler that is cut off by its asker is no fault", async () => {
    const faults: unknown[] = [];
    const { make } = setup({ faults });
    const [a, b] = [make("A"), make("B")];
    await b.serve(PROTOCOL, {
      channels: {
        wait: async (_, __, { signal }) => {
          await new Promise((resolve) => signal.addEventListener("abort", resolve));
          throw new TypeError("some consequence of the abort");
        },
      },
    });
    const channel = await a.open("B", PROTOCOL, "wait", null, soon);
    await settle();
    channel.abort(new IntercloudError("CANCELLED", "cancelled", "enough"));
    await settle();
    expect(faults).toEqual([]);
  });

  test("an opening that is not one is told bad-request", async () => {
    const { make, clock } = setup();
    const [a, b] = [make("A"), make("B")];
    await b.serve(PROTOCOL, { channels: { m: async () => {} } });
    // a transport of ours always opens rightly: a method name over the limit is the one thing it lets through
    const channel = await a.open("B", PROTOCOL, "m".repeat(65), null, soon);
    expect(await errorOf(channel.receiveMessage())).toMatchObject({ code: "REMOTE_BAD_REQUEST" });
    await settle();
    expect(clock.pending()).toBe(0);
  });

  test("to oneself work the same way", async () => {
    const { make } = setup();
    const a = make("A");
    await a.serve(PROTOCOL, { channels: { hi: async (channel) => channel.sendMessage("hi") } });
    const channel = await a.open("A", PROTOCOL, "hi", null, soon);
    expect(await channel.receiveMessage()).toBe("hi");
    await channel.close();
  });
});

describe("close", () => {
  test("tells handlers, ends what we asked for, tells askers that we go, and refuses what comes later", async () => {
    const { make, clock } = setup();
    const [a, b, c] = [make("A"), make("B"), make("C")];
    const contexts: Context[] = [];
    await b.serve(PROTOCOL, {
      asks: { hang: hanging(contexts) },
      channels: {
        hang: async (_, __, context) => {
          await hanging(contexts)(null, context);
        },
      },
    });
    await c.serve(PROTOCOL, { asks: { hang: hanging([]) } });
    const channel = await a.open("B", PROTOCOL, "hang", null, soon);
    const asked = errorOf(a.ask("B", PROTOCOL, "hang", null, soon));
    const own = errorOf(b.ask("C", PROTOCOL, "hang", null, soon));
    await settle();
    await b.close();
    expect(contexts.map(({ signal }) => signal.aborted)).toEqual([true, true]);
    expect(await own).toMatchObject({ code: "CANCELLED" });
    expect(await asked).toMatchObject({ code: "UNREACHABLE" });
    expect(await errorOf(channel.receiveMessage())).toMatchObject({ code: "REMOTE_UNREACHABLE" });
    expect(await errorOf(a.ask("B", PROTOCOL, "hang", null, soon))).toMatchObject({ code: "UNREACHABLE" });
    expect(await errorOf(b.ask("C", PROTOCOL, "hang", null, soon))).toMatchObject({ code: "CLOSED" });
    await b.close();
    await Promise.all([a.close(), c.close()]);
    await settle();
    expect(clock.pending()).toBe(0);
  });

  test("does not wait for ever for a handler that does not stop", async () => {
    const { make, clock } = setup();
    const [a, b] = [make("A"), make("B")];
    await b.serve(PROTOCOL, { asks: { stuck: () => new Promise(() => {}) } });
    const asked = errorOf(a.ask("B", PROTOCOL, "stuck", null, soon));
    await settle();
    const closed = b.close();
    await asked;
    await clock.advance(2_000);
    await closed;
  });
});
