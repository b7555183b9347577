import { randomInt } from "node:crypto";
import { afterEach, describe, expect, test } from "vitest";
import { IntercloudError } from "../../../protocols/wire/errors.ts";
import { createHost } from "../../../protocols/wire/libp2p-host.ts";
import type { Context } from "../../../protocols/wire/transport.ts";
import { bytesOf, collect, errorOf, sourceOf } from "../../support/bytes.ts";
import { type ChildPeer, startChildPeer } from "./children.ts";
import { addressBook, PROTOCOL, seedOf, soon, startPeer } from "./peers.ts";

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; !condition(); tries += 1) {
    if (tries > 500) throw new Error("this did not come true within 10 s");
    await pause(20);
  }
}

/** Copies of pieces of 1 byte to 200 KB, in their order; some of the pieces are parts of larger memory. */
async function* cutAnyhow(bytes: Uint8Array, seed: number): AsyncGenerator<Uint8Array> {
  const dice = bytesOf(4_096, seed);
  for (let at = 0, throws = 0; at < bytes.length; throws += 1) {
    const die = dice[throws % dice.length] as number;
    const length = die < 40 ? 1 + die : die * 800;
    const piece = new Uint8Array(bytes.subarray(at, at + length));
    if (die % 3 === 0) yield* [piece.subarray(0, piece.length >> 1), piece.subarray(piece.length >> 1)];
    else yield piece;
    at += length;
  }
}

const children: ChildPeer[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});
async function startChild(key: string): Promise<ChildPeer> {
  const child = await startChildPeer(key);
  children.push(child);
  addressBook.set(child.name, child.addresses);
  return child;
}

test("an address that cannot be listened on is one line that says what to do", async () => {
  const { addresses } = await startPeer();
  const port = Number(/tcp\/(\d+)/.exec(addresses[0] ?? "")?.[1]);
  const inUse = await errorOf(startPeer({ port }));
  expect(inUse).toMatchObject({ code: "PORT_IN_USE", message: expect.stringMatching(/^\/ip4\/.* is in use; .*$/) });
  const elsewhere = createHost({ privateKeySeed: seedOf("elsewhere"), listen: ["/ip4/192.0.2.1/tcp/4001"] });
  const failed = await errorOf(elsewhere);
  expect(failed).toMatchObject({ code: "LISTEN_FAILED", message: expect.stringMatching(/\(EADDRNOTAVAIL\); .*$/) });
});

describe("asks", () => {
  test("at once share one connection and one stream, in each direction", async () => {
    const [a, b] = [await startPeer(), await startPeer()];
    for (const peer of [a, b]) {
      await peer.transport.serve(PROTOCOL, { asks: { echo: async (body, { from }) => ({ body, from }) } });
    }
    const both = async (from: typeof a, to: typeof b) => {
      const asks = Array.from({ length: 200 }, (_, i) => from.transport.ask(to.name, PROTOCOL, "echo", i, soon));
      expect(await Promise.all(asks)).toEqual(Array.from({ length: 200 }, (_, i) => ({ body: i, from: from.name })));
    };
    await both(a, b);
    await both(b, a);
    expect(a.host.getConnections()).toHaveLength(1);
    const control = a.host.getConnections()[0]?.streams.filter(({ protocol }) => protocol.includes("control"));
    expect(control?.map(({ direction }) => direction).sort()).toEqual(["inbound", "outbound"]);
  });

  test("with a body of the full size, both ways", async () => {
    const [a, b] = [await startPeer(), await startPeer()];
    await b.transport.serve(PROTOCOL, { asks: { echo: async (body) => body } });
    const body = bytesOf(1024 * 1024 - 100, 5);
    const asks = [1, 2, 3, 4].map(() => a.transport.ask(b.name, PROTOCOL, "echo", body, soon));
    for (const answer of await Promise.all(asks)) expect(answer).toEqual(body);
  });

  test("nobody listening, no address, a wrong key at the address: UNREACHABLE, and it names the peer", async () => {
    const [a, b, gone] = [await startPeer(), await startPeer(), await startPeer()];
    await b.transport.serve(PROTOCOL, { asks: {} });
    await gone.stop();
    const unreachable = { code: "UNREACHABLE", status: "unreachable", details: { peers: [gone.name] } };
    expect(await errorOf(a.transport.ask(gone.name, PROTOCOL, "x", null, soon))).toMatchObject(unreachable);
    expect(await errorOf(a.transport.open(gone.name, PROTOCOL, "x", null, soon))).toMatchObject(unreachable);
    addressBook.delete(gone.name);
    expect(await errorOf(a.transport.ask(gone.name, PROTOCOL, "x", null, soon))).toMatchObject(unreachable);
    addressBook.set(
      gone.name,
      b.addresses.map((address) => address.replace(/\/p2p\/.*/, "")),
    );
    expect(await errorOf(a.transport.ask(gone.name, PROTOCOL, "x", null, soon))).toMatchObject(unreachable);
    expect(await errorOf(a.transport.ask("nonsense", PROTOCOL, "x", null, soon))).toMatchObject({
      code: "BAD_PEER_NAME",
    });
  });

  test("a peer that serves nothing is UNREACHABLE; an unknown protocol or method is not-found", async () => {
    const [a, b, silent] = [await startPeer(), await startPeer(), await startPeer()];
    await b.transport.serve(PROTOCOL, { asks: {}, channels: {} });
    const notFound = { code: "REMOTE_NOT_FOUND", peer: b.name };
    expect(await errorOf(a.transport.ask(silent.name, PROTOCOL, "x", null, soon))).toMatchObject({
      code: "UNREACHABLE",
    });
    expect(await errorOf(a.transport.ask(b.name, "/other/1.0.0", "x", null, soon))).toMatchObject(notFound);
    expect(await errorOf(a.transport.ask(b.name, PROTOCOL, "x", null, soon))).toMatchObject(notFound);
    expect(await errorOf(a.transport.open(b.name, "/other/1.0.0", "x", null, soon))).toMatchObject(notFound);
    const channel = await a.transport.open(b.name, PROTOCOL, "x", null, soon);
    expect(await errorOf(channel.receiveMessage())).toMatchObject(notFound);
  });

  test("a peer that comes back, at the same place or another, is reached again", async () => {
    const a = await startPeer();
    let b = await startPeer({ key: "comes back" });
    const port = Number(b.addresses[0]?.split("/")[4]);
    await b.transport.serve(PROTOCOL, { asks: { n: async () => 1 } });
    expect(await a.transport.ask(b.name, PROTOCOL, "n", null, soon)).toBe(1);
    await b.stop();
    expect(await errorOf(a.transport.ask(b.name, PROTOCOL, "n", null, soon))).toMatchObject({ code: "UNREACHABLE" });
    b = await startPeer({ key: "comes back", port });
    await b.transport.serve(PROTOCOL, { asks: { n: async () => 2 } });
    expect(await a.transport.ask(b.name, PROTOCOL, "n", null, soon)).toBe(2);
    await b.stop();
    b = await startPeer({ key: "comes back" });
    await b.transport.serve(PROTOCOL, { asks: { n: async () => 3 } });
    expect(await a.transport.ask(b.name, PROTOCOL, "n", null, soon)).toBe(3);
  });

  test("a cancelled ask tells its handler, and so does an asker that stops", async () => {
    const [a, b] = [await startPeer(), await startPeer()];
    const contexts: Context[] = [];
    await b.transport.serve(PROTOCOL, {
      asks: {
        hang: (_, context) => {
          contexts.push(context);
          return new Promise((resolve) => context.signal.addEventListener("abort", () => resolve(null)));
        },
      },
    });
    const controller = new AbortController();
    const first = errorOf(a.transport.ask(b.name, PROTOCOL, "hang", null, { ...soon, signal: controller.signal }));
    const second = errorOf(a.transport.ask(b.name, PROTOCOL, "hang", null, soon));
    await until(() => contexts.length === 2);
    controller.abort();
    expect(await first).toMatchObject({ code: "CANCELLED" });
    await until(() => contexts[0]?.signal.aborted === true);
    expect(contexts[1]?.signal.aborted).toBe(false);
    await a.stop();
    expect(await second).toMatchObject({ code: "CANCELLED" });
    await until(() => contexts[1]?.signal.aborted === true);
  });

  test("a peer that sends garbage on a control stream is told and dropped; others are not disturbed", async () => {
    const [a, b] = [await startPeer(), await startPeer()];
    await b.transport.serve(PROTOCOL, { asks: { hi: async () => "hi" } });
    expect(await a.transport.ask(b.name, PROTOCOL, "hi", null, soon)).toBe("hi");
    const stream = await a.host.dialProtocol(b.host.getMultiaddrs(), "/intercloud/control/1.0.0");
    const received: Uint8Array[] = [];
    stream.addEventListener("message", ({ data }) => received.push(data.subarray()));
    stream.send(Buffer.from("GET / HTTP/1.1\r\n\r\n"));
    await until(() => Buffer.concat(received).includes("bad-request"));
    await until(() => stream.remoteWriteStatus === "closed");
    expect(await a.transport.ask(b.name, PROTOCOL, "hi", null, soon)).toBe("hi");
    stream.abort(new Error("done"));
  });
});

describe("channels", () => {
  test("carry a body there and back at once", async () => {
    const [a, b] = [await startPeer(), await startPeer()];
    await b.transport.serve(PROTOCOL, {
      channels: {
        mirror: async (channel, header) => {
          const body = channel.receiveBody({ lengthBytes: header as number });
          await channel.sendBody(body);
          await channel.sendMessage(body.summary().digest);
        },
      },
    });
    const bytes = bytesOf(20_000_000, 1);
    const channel = await a.transport.open(b.name, PROTOCOL, "mirror", bytes.length, soon);
    const sending = channel.sendBody(sourceOf(bytes.slice(), 100_000));
    const back = await collect(channel.receiveBody({ lengthBytes: bytes.length }));
    expect(Buffer.compare(back, bytes)).toBe(0);
    expect(await channel.receiveMessage()).toEqual((await sending).digest);
    await channel.close();
  });

  test("many at once, cut anyhow, with messages before and after: memory is given back and none that anybody needs", async () => {
    const seed = Number(process.env["WIRE_SEED"] ?? randomInt(2 ** 31));
    const [a, b] = [await startPeer(), await startPeer()];
    await b.transport.serve(PROTOCOL, {
      channels: {
        mirror: async (channel, header) => {
          const { before, lengthBytes } = header as { before: Uint8Array; lengthBytes: number };
          const first = (await channel.receiveMessage()) as Uint8Array;
          await channel.sendBody(channel.receiveBody({ lengthBytes }));
          const last = (await channel.receiveMessage()) as Uint8Array;
          await channel.sendMessage([before, first, last]);
        },
      },
    });
    await Promise.all(
      Array.from({ length: 12 }, async (_, i) => {
        const parts = [1, 2, 3].map((part) => bytesOf(20_000 + i, seed + 100 * i + part));
        const bytes = bytesOf(3_000_000 + i, seed + i);
        const header = { before: parts[0] as Uint8Array, lengthBytes: bytes.length };
        const channel = await a.transport.open(b.name, PROTOCOL, "mirror", header, soon);
        await channel.sendMessage(parts[1] as Uint8Array);
        const sending = channel
          .sendBody(cutAnyhow(bytes, seed + i))
          .then(() => channel.sendMessage(parts[2] as Uint8Array));
        const back = await collect(channel.receiveBody({ lengthBytes: bytes.length }));
        expect(Buffer.compare(back, bytes), `WIRE_SEED=${seed}`).toBe(0);
        await sending;
        expect(await channel.receiveMessage(), `WIRE_SEED=${seed}`).toEqual(parts);
        await channel.close();
      }),
    );
  });

  test("a FAILURE of the reader reaches a blocked sender, and an abort of the sender the handler", async () => {
    const [a, b] = [await startPeer(), await startPeer()];
    const contexts: Context[] = [];
    await b.transport.serve(PROTOCOL, {
      channels: {
        full: async () => {
          await pause(200);
          throw new IntercloudError("FULL", "full", "no room");
        },
        wait: async (channel, _, context) => {
          contexts.push(context);
          await channel.receiveMessage();
        },
      },
    });
    const channel = await a.transport.open(b.name, PROTOCOL, "full", null, soon);
    const sending = channel.sendBody(
      (async function* () {
        for (;;) yield new Uint8Array(100_000);
      })(),
    );
    expect(await errorOf(sending)).toMatchObject({ code: "REMOTE_FULL", details: { requestId: expect.any(String) } });

    const waiting = await a.transport.open(b.name, PROTOCOL, "wait", null, soon);
    await until(() => contexts.length === 1);
    waiting.abort(new IntercloudError("CANCELLED", "cancelled", "enough"));
    await until(() => contexts[0]?.signal.aborted === true);
    expect(contexts[0]?.signal.reason).toMatchObject({ code: "REMOTE_CANCELLED" });
  });

  test("a peer that stands still is a TIMEOUT on both kinds of wait", async () => {
    const a = await startPeer({ limits: { idleTimeoutMs: 300 } });
    const b = await startPeer();
    await b.transport.serve(PROTOCOL, {
      channels: {
        still: (_, __, { signal }) => new Promise((resolve) => signal.addEventListener("abort", () => resolve())),
      },
    });
    const reading = await a.transport.open(b.name, PROTOCOL, "still", null, soon);
    expect(await errorOf(reading.receiveMessage())).toMatchObject({ code: "TIMEOUT", details: { peers: [b.name] } });
    const writing = await a.transport.open(b.name, PROTOCOL, "still", null, soon);
    const endless = (async function* () {
      for (;;) yield new Uint8Array(100_000);
    })();
    expect(await errorOf(writing.sendBody(endless))).toMatchObject({ code: "TIMEOUT" });
  });

  test("a transport that closes tells the peers of its channels", async () => {
    const [a, b] = [await startPeer(), await startPeer()];
    const contexts: Context[] = [];
    await b.transport.serve(PROTOCOL, {
      channels: {
        wait: async (channel, _, context) => {
          contexts.push(context);
          await channel.receiveMessage();
        },
      },
    });
    const channel = await a.transport.open(b.name, PROTOCOL, "wait", null, soon);
    await until(() => contexts.length === 1);
    const told = errorOf(channel.receiveMessage());
    await b.stop();
    expect(await told).toMatchObject({ status: "unreachable" });
    expect(contexts[0]?.signal.aborted).toBe(true);
  });
});

describe("a process that dies", () => {
  test("in the middle of a body: TRUNCATED, never an end; asks in flight and later ones are UNREACHABLE", async () => {
    const a = await startPeer();
    const child = await startChild("dies");
    expect(await a.transport.ask(child.name, PROTOCOL, "hi", null, soon)).toBe("hi");
    const hanging = errorOf(a.transport.ask(child.name, PROTOCOL, "hang", null, soon));
    const channel = await a.transport.open(child.name, PROTOCOL, "endless", null, soon);
    let received = 0;
    const reading = errorOf(
      (async () => {
        for await (const piece of channel.receiveBody({ lengthBytes: 1e12 })) received += piece.length;
      })(),
    );
    await until(() => received > 5_000_000);
    child.kill("SIGKILL");
    expect(await reading).toMatchObject({ code: "TRUNCATED", details: { peers: [child.name] } });
    expect(await hanging).toMatchObject({ code: "UNREACHABLE" });
    expect(await errorOf(a.transport.ask(child.name, PROTOCOL, "hi", null, soon))).toMatchObject({
      code: "UNREACHABLE",
    });
  });

  test("in the middle of our body: the sender ends with an error at once", async () => {
    const a = await startPeer();
    const child = await startChild("dies too");
    const channel = await a.transport.open(child.name, PROTOCOL, "slow", null, soon);
    expect(await channel.receiveMessage()).toBe("started");
    const endless = (async function* () {
      for (;;) yield new Uint8Array(100_000);
    })();
    const sending = errorOf(channel.sendBody(endless));
    child.kill("SIGKILL");
    expect(await sending).toBeInstanceOf(IntercloudError);
  });

  test("a slow ping kills connections in libp2p: a peer that stands still and goes on keeps its channel", async () => {
    const startedMs = Date.now();
    const a = await startPeer();
    const child = await startChild("stands still");
    const channel = await a.transport.open(child.name, PROTOCOL, "slow", null, soon);
    expect(await channel.receiveMessage()).toBe("started");
    child.kill("SIGSTOP");
    // libp2p's monitor would ping 10 s after the start and give up 5 s later; we give up after 20 s
    await pause(startedMs + 16_500 - Date.now());
    child.kill("SIGCONT");
    await channel.sendMessage("still here");
    expect(await channel.receiveMessage()).toBe("still here");
    await channel.close();
  });
});
