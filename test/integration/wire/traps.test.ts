/** The traps of libp2p 3.3 that were found by running it: each has a test here that fails when our code falls into it. */
import { createHash } from "node:crypto";
import { Socket } from "node:net";
import type { MessageStream } from "@libp2p/interface";
import { expect, onTestFinished, test, vi } from "vitest";
import { bodyDigest } from "../../../protocols/crypto/block-digest.ts";
import { createLibp2pStream } from "../../../protocols/wire/libp2p-stream.ts";
import { bytesOf, collect, errorOf } from "../../support/bytes.ts";
import { settle } from "../../support/manual-clock.ts";
import { readAll } from "../../support/streams.ts";
import { openRaw, PROTOCOL, RAW, soon, startPeer } from "./peers.ts";

const MiB = 1024 * 1024;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

test("chunks are not messages: frames are cut out of whatever the stream makes of them", async () => {
  const [a, b] = [await startPeer(), await startPeer()];
  await b.transport.serve(PROTOCOL, {
    channels: {
      mirror: async (channel) => {
        for (let i = 0; i < 200; i += 1) await channel.sendMessage(await channel.receiveMessage());
      },
    },
  });
  const channel = await a.transport.open(b.name, PROTOCOL, "mirror", null, soon);
  const messages = Array.from({ length: 200 }, (_, i) => ({ i, bytes: bytesOf((i * 977) % 200_000, i) }));
  const sending = (async () => {
    for (const message of messages) await channel.sendMessage(message);
  })();
  for (const { i, bytes } of messages) {
    const back = (await channel.receiveMessage()) as { i: number; bytes: Uint8Array };
    expect(back.i).toBe(i);
    expect(Buffer.compare(back.bytes, bytes)).toBe(0);
  }
  await sending;
  await channel.close();
});

test("onDrain waits only once: our writer waits every time", async () => {
  const [a, b] = [await startPeer(), await startPeer()];
  const { asking, answering } = await openRaw(a, b);
  let written = 0;
  let read = 0;
  const writing = (async () => {
    for (; written < 32 * MiB; written += 64 * 1024) await asking.write([new Uint8Array(64 * 1024)]);
    await asking.close();
  })();
  let waits = 0;
  for (let chunk = await answering.read(); chunk !== null; chunk = await answering.read()) {
    read += chunk.length;
    if (read > waits * MiB && waits < 24) {
      waits += 1;
      await pause(5);
    }
    // a window, the reader's queue and the write buffer
    expect(written - read).toBeLessThan(4 * MiB);
  }
  await writing;
  expect(read).toBe(32 * MiB);
});

test("pause resets fast streams with default windows: a reader that stops for a while gets everything", async () => {
  const [a, b] = [await startPeer(), await startPeer()];
  const { asking, answering } = await openRaw(a, b);
  const hash = createHash("sha256");
  const expected = createHash("sha256");
  const chunk = bytesOf(MiB, 7);
  const writing = (async () => {
    for (let i = 0; i < 64; i += 1) {
      expected.update(chunk);
      await asking.write([chunk.slice()]);
    }
    await asking.close();
  })();
  let read = 0;
  for (let piece = await answering.read(); piece !== null; piece = await answering.read()) {
    hash.update(piece);
    // full speed first, so that the window grows, then a stop
    if (read < 40 * MiB && read + piece.length >= 40 * MiB) await pause(500);
    read += piece.length;
  }
  await writing;
  expect(read).toBe(64 * MiB);
  expect(hash.digest("hex")).toBe(expected.digest("hex"));
});

test("a pause during resume is lost: a reader that is slow all the time is not run over", async () => {
  const [a, b] = [await startPeer(), await startPeer()];
  const { asking, answering } = await openRaw(a, b);
  let written = 0;
  const writing = (async () => {
    for (; written < 24 * MiB; written += 64 * 1024) await asking.write([new Uint8Array(64 * 1024)]);
    await asking.close();
  })();
  let read = 0;
  let sinceRest = 0;
  for (let chunk = await answering.read(); chunk !== null; chunk = await answering.read()) {
    read += chunk.length;
    sinceRest += chunk.length;
    if (sinceRest > 128 * 1024) {
      sinceRest = 0;
      await pause(10);
    }
    expect(written - read).toBeLessThan(4 * MiB);
  }
  await writing;
  expect(read).toBe(24 * MiB);
});

test("a relay with a slow last reader stays bounded and loses nothing", async () => {
  const [a, b, c] = [await startPeer(), await startPeer(), await startPeer()];
  const lengthBytes = 24 * MiB;
  let produced = 0;
  let relayed = 0;
  let consumed = 0;
  await c.transport.serve(PROTOCOL, {
    channels: {
      read: async (channel) => {
        const body = channel.receiveBody({ lengthBytes });
        let slept = 0;
        for await (const piece of body) {
          consumed += piece.length;
          if (consumed > slept * MiB) {
            slept += 1;
            await pause(10);
          }
          expect(relayed - consumed).toBeLessThan(4 * MiB);
          expect(produced - relayed).toBeLessThan(4 * MiB);
        }
        await channel.sendMessage(body.summary().digest);
      },
    },
  });
  await b.transport.serve(PROTOCOL, {
    channels: {
      relay: async (channel) => {
        const out = await b.transport.open(c.name, PROTOCOL, "read", null, soon);
        const incoming = channel.receiveBody({ lengthBytes });
        await out.sendBody(
          (async function* () {
            for await (const piece of incoming) {
              relayed += piece.length;
              yield piece;
            }
          })(),
        );
        await channel.sendMessage(await out.receiveMessage());
        await out.close();
      },
    },
  });
  const channel = await a.transport.open(b.name, PROTOCOL, "relay", null, soon);
  const summary = await channel.sendBody(
    (async function* () {
      for (let i = 0; produced < lengthBytes; i += 1, produced += MiB / 4) yield bytesOf(MiB / 4, i);
    })(),
  );
  expect(await channel.receiveMessage()).toEqual(summary.digest);
  await channel.close();
});

test("node.use multiplies handlers: each of many streams runs its handler once", async () => {
  const [a, b] = [await startPeer(), await startPeer()];
  let runs = 0;
  await b.transport.serve(PROTOCOL, {
    channels: {
      once: async (channel) => {
        runs += 1;
        await channel.sendMessage("done");
      },
    },
  });
  for (let i = 0; i < 20; i += 1) {
    const channel = await a.transport.open(b.name, PROTOCOL, "once", null, soon);
    expect(await channel.receiveMessage()).toBe("done");
    await channel.close();
  }
  expect(runs).toBe(20);
});

test("an end that came before anybody listens is not waited for", async () => {
  const [a, b] = [await startPeer(), await startPeer()];
  const { asking, answering } = await openRaw(a, b);
  await asking.write([Buffer.from("all of it")]);
  await asking.close();
  await pause(100);
  expect((await readAll(answering)).toString()).toBe("all of it");
  await answering.write([Buffer.from("and the answer")]);
  await answering.close();
  await pause(100);
  expect((await readAll(asking)).toString()).toBe("and the answer");
  expect([asking.broken.aborted, answering.broken.aborted]).toEqual([false, false]);
});

test("a stream that ended before it was wrapped: its bytes, then its end", async () => {
  const [a, b] = [await startPeer(), await startPeer()];
  const late = new Promise<ReturnType<typeof createLibp2pStream>>((resolve, reject) => {
    b.host
      .handle(RAW, async (stream) => {
        await pause(100);
        resolve(createLibp2pStream(stream, a.name));
      })
      .catch(reject);
  });
  const stream = createLibp2pStream(await a.host.dialProtocol(b.host.getMultiaddrs(), RAW), b.name);
  await stream.write([Buffer.from("early")]);
  await stream.close();
  const answering = await late;
  expect((await readAll(answering)).toString()).toBe("early");
  await answering.close();
});

test("a reset before anybody listens is TRUNCATED and UNREACHABLE, not a hang", async () => {
  const [a, b] = [await startPeer(), await startPeer()];
  await b.host.handle(RAW, (stream) => stream.abort(new Error("no")));
  const libp2pStream = await a.host.dialProtocol(b.host.getMultiaddrs(), RAW);
  await pause(100);
  const stream = createLibp2pStream(libp2pStream, b.name);
  expect(stream.broken.aborted).toBe(true);
  expect(await errorOf(stream.read())).toMatchObject({ code: "TRUNCATED" });
  expect(await errorOf(stream.write([new Uint8Array(1)]))).toMatchObject({ code: "UNREACHABLE" });
});

test("`drain` does not mean that the queue is empty: chunks over the window do not pile up", async () => {
  const [a, b] = [await startPeer(), await startPeer()];
  let produced = 0;
  let consumed = 0;
  const lengthBytes = 40 * MiB;
  await b.transport.serve(PROTOCOL, {
    channels: {
      read: async (channel) => {
        for await (const piece of channel.receiveBody({ lengthBytes })) {
          consumed += piece.length;
          if (consumed < 20 * MiB) await settle();
          // two chunks are in our hands, the rest as in the other tests
          expect(produced - consumed).toBeLessThan(13 * MiB);
        }
        await channel.sendMessage("done");
      },
    },
  });
  const channel = await a.transport.open(b.name, PROTOCOL, "read", null, soon);
  await channel.sendBody(
    (async function* () {
      for (; produced < lengthBytes; produced += 4 * MiB) yield new Uint8Array(4 * MiB);
    })(),
  );
  expect(await channel.receiveMessage()).toBe("done");
  await channel.close();
});

test("waiting for room on a stream that breaks rejects with an error, not an event", async () => {
  const [a, b] = [await startPeer(), await startPeer()];
  const { asking, answering } = await openRaw(a, b);
  const blocked = errorOf(
    (async () => {
      for (;;) await asking.write([new Uint8Array(256 * 1024)]);
    })(),
  );
  await pause(200);
  answering.abort();
  expect(await blocked).toBeInstanceOf(Error);
  expect(await blocked).toMatchObject({ code: "UNREACHABLE", details: { peers: [b.name] } });

  const other = await openRaw(a, b);
  void other.asking.write([new Uint8Array(8 * MiB)]).catch(() => {});
  const closing = errorOf(other.asking.close());
  await pause(100);
  other.answering.abort();
  expect(await closing).toMatchObject({ code: "UNREACHABLE" });
});

test("close on a full window has a deadline", async () => {
  const [a, b] = [await startPeer({ limits: { idleTimeoutMs: 300 } }), await startPeer()];
  // a peer that speaks the protocol id and reads nothing
  await b.host.handle(PROTOCOL, (stream) => void createLibp2pStream(stream, a.name));
  const channel = await a.transport.open(b.name, PROTOCOL, "read", null, soon);
  const sending = channel.sendBody(
    (async function* () {
      yield new Uint8Array(8 * MiB);
    })(),
  );
  expect(await errorOf(sending)).toMatchObject({ code: "TIMEOUT" });
  const other = await a.transport.open(b.name, PROTOCOL, "read", null, soon);
  for (let i = 0; i < 2; i += 1) await other.sendMessage(bytesOf(200_000, i));
  expect(await errorOf(other.close().then(() => other.receiveMessage()))).toMatchObject({ code: "TIMEOUT" });
});

test("mplex has no flow control: our connections are noise and yamux", async () => {
  const [a, b] = [await startPeer(), await startPeer()];
  const connection = await a.host.dial(b.host.getMultiaddrs());
  expect(connection.multiplexer).toBe("/yamux/1.0.0");
  expect(connection.encryption).toBe("/noise");
});

test("5 connections per second and host are libp2p's limit: 20 peers reach one at once", async () => {
  const hub = await startPeer();
  await hub.transport.serve(PROTOCOL, { asks: { hi: async (_, { from }) => from } });
  const peers = await Promise.all(Array.from({ length: 20 }, () => startPeer()));
  const answers = peers.map((peer) => peer.transport.ask(hub.name, PROTOCOL, "hi", null, soon));
  expect(await Promise.all(answers)).toEqual(peers.map(({ name }) => name));
});

test("libp2p resets the 33rd stream of a protocol: ours says busy, and all below its limit work at once", async () => {
  const a = await startPeer();
  const b = await startPeer({ limits: { channelsPerPeer: 40 } });
  await b.transport.serve(PROTOCOL, {
    channels: {
      hold: async (channel) => {
        await channel.sendMessage("held");
        await channel.receiveMessage();
      },
    },
  });
  const open = async () => {
    const channel = await a.transport.open(b.name, PROTOCOL, "hold", null, soon);
    return { channel, first: await channel.receiveMessage().catch((error) => error) };
  };
  const opened = await Promise.all(Array.from({ length: 60 }, open));
  expect(opened.filter(({ first }) => first === "held")).toHaveLength(40);
  for (const { first } of opened) {
    if (first !== "held") expect(first).toMatchObject({ code: "REMOTE_BUSY", details: { retryAfterMs: 1_000 } });
  }
  for (const { channel, first } of opened) if (first === "held") await channel.sendMessage("go");
  await Promise.all(opened.map(({ channel }) => channel.close()));
});

test("more than 10 streams at once on a fresh connection break it in libp2p: ours stands", async () => {
  for (let round = 0; round < 5; round += 1) {
    const [a, b] = [await startPeer(), await startPeer({ limits: { channelsPerPeer: 100 } })];
    await b.transport.serve(PROTOCOL, { channels: { hi: async (channel) => channel.sendMessage("hi") } });
    const hi = async () => {
      const channel = await a.transport.open(b.name, PROTOCOL, "hi", null, soon);
      const message = await channel.receiveMessage();
      await channel.close();
      return message;
    };
    expect(await Promise.all(Array.from({ length: 60 }, hi))).toEqual(Array(60).fill("hi"));
    await Promise.all([a.stop(), b.stop()]);
  }
});

test("Yamux collects a frame of any announced length: ours breaks the connection at its header", async () => {
  const [a, b] = [await startPeer(), await startPeer()];
  await b.transport.serve(PROTOCOL, { channels: { wait: async (channel) => void (await channel.receiveMessage()) } });
  await a.transport.open(b.name, PROTOCOL, "wait", null, soon);
  // what Yamux writes to: inside the encryption
  const connection = (a.host.getConnections()[0] as unknown as { muxer: { maConn: MessageStream } }).muxer.maConn;
  const header = Buffer.alloc(12);
  header.writeUInt32BE(1, 4);
  header.writeUInt32BE(0xffff_ffff, 8);
  // in two parts, as a header need not come in one piece
  connection.send(header.subarray(0, 9));
  connection.send(header.subarray(9));
  for (let tries = 0; b.host.getConnections().length > 0 && tries < 250; tries += 1) await pause(20);
  expect(b.host.getConnections()).toHaveLength(0);
});

test("handlers that return leak their streams in libp2p: ours leave none on either side", async () => {
  const [a, b] = [await startPeer(), await startPeer()];
  await b.transport.serve(PROTOCOL, {
    channels: {
      nothing: async () => {},
      fails: () => Promise.reject(new Error("bug")),
      unread: async (channel) => channel.sendMessage("not reading"),
    },
  });
  for (const method of ["nothing", "fails", "unread", "missing"]) {
    const channel = await a.transport.open(b.name, PROTOCOL, method, null, soon);
    if (method === "unread") await channel.sendMessage("unread");
    await channel.receiveMessage().catch(() => {});
    await channel.close();
  }
  const left = () =>
    [a, b]
      .flatMap(({ host }) => host.getConnections().flatMap(({ streams }) => streams))
      .filter((stream) => stream.protocol === PROTOCOL);
  for (let tries = 0; left().length > 0 && tries < 100; tries += 1) await pause(20);
  expect(left().map(({ status }) => status)).toEqual([]);
});

test("what is received belongs to the consumer: changing it in place disturbs no other stream", async () => {
  const [a, b] = [await startPeer(), await startPeer()];
  await b.transport.serve(PROTOCOL, {
    channels: {
      wipe: async (channel, header) => {
        const body = channel.receiveBody({ lengthBytes: header as number });
        for await (const piece of body) piece.fill(0xff);
        await channel.sendMessage(body.summary().digest);
      },
    },
  });
  const lengths = [1, 100, 1_199, 1_200, 65_519, 300_000, 2 * MiB];
  await Promise.all(
    lengths.map(async (length, i) => {
      const bytes = bytesOf(length, i);
      const digest = bodyDigest(bytes);
      const channel = await a.transport.open(b.name, PROTOCOL, "wipe", length, soon);
      await channel.sendBody(
        (async function* () {
          for (let at = 0; at < length; at += 50_000) yield bytes.slice(at, at + 50_000);
        })(),
      );
      expect(await channel.receiveMessage()).toEqual(digest);
      await channel.close();
    }),
  );
});

test("an orderly end of the stream without END is TRUNCATED over libp2p too", async () => {
  const [a, b] = [await startPeer(), await startPeer()];
  await b.host.handle(PROTOCOL, async (stream) => {
    stream.send(Buffer.from("0000000402616263", "hex"));
    await stream.close();
  });
  const channel = await a.transport.open(b.name, PROTOCOL, "x", null, soon);
  expect(await errorOf(collect(channel.receiveBody({ lengthBytes: 3 })))).toMatchObject({ code: "TRUNCATED" });
});

test("a packet of Noise is two writes of libp2p's: ours is one system call", async () => {
  const [a, b] = [await startPeer(), await startPeer()];
  await b.transport.serve(PROTOCOL, { asks: { echo: async (body) => body } });
  const writes = { alone: [] as number[], together: 0 };
  const { _write, _writev } = Socket.prototype;
  vi.spyOn(Socket.prototype, "_write").mockImplementation(function (this: Socket, chunk, encoding, done) {
    writes.alone.push(chunk.length);
    return _write.call(this, chunk, encoding, done);
  });
  vi.spyOn(Socket.prototype, "_writev" as "_write").mockImplementation(function (this: Socket, ...args) {
    writes.together += 1;
    return (_writev as unknown as typeof _write).apply(this, args);
  });
  onTestFinished(() => void vi.restoreAllMocks());
  for (let i = 0; i < 3; i += 1) expect(await a.transport.ask(b.name, PROTOCOL, "echo", { i }, soon)).toEqual({ i });
  expect(writes.together).toBeGreaterThan(0);
  // two bytes that go alone are the length before a packet
  expect(writes.alone).not.toContain(2);
});
