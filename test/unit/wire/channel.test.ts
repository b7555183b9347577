import { createHash } from "node:crypto";
import fc from "fast-check";
import { pipe } from "it-pipe";
import { describe, expect, test } from "vitest";
import { bodyDigest } from "../../../protocols/crypto/block-digest.ts";
import type { OwnedChannel } from "../../../protocols/wire/channel.ts";
import { type CborValue, encodeCanonical } from "../../../protocols/wire/codec.ts";
import { IntercloudError, RemoteError } from "../../../protocols/wire/errors.ts";
import { DATA_BYTES, dataFrame, endFrame, failureFrame, messageFrame } from "../../../protocols/wire/frame.ts";
import { MIN_BODY_BYTES_PER_SECOND } from "../../../protocols/wire/limits.ts";
import { receiveResult, tellProgress } from "../../../protocols/wire/tell-progress.ts";
import { bytesOf, collect, errorOf, sourceOf } from "../../support/bytes.ts";
import { type ManualClock, settle } from "../../support/manual-clock.ts";
import { createChannelPair, createChannelToRaw, readAll } from "../../support/streams.ts";

const never = () => new Promise<never>(() => {});

async function* silent(): AsyncGenerator<Uint8Array> {
  yield Buffer.from("first");
  await never();
}

describe("bodies", () => {
  test("of any length, in any chunks, arrive whole with their summary", async () => {
    const chunkLengths = fc.array(
      fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1_000, max: 600_000 })),
      { maxLength: 12 },
    );
    await fc.assert(
      fc.asyncProperty(chunkLengths, async (lengths) => {
        const { a, b, clock } = createChannelPair();
        const chunks = lengths.map((length, i) => bytesOf(length, i));
        const whole = new Uint8Array(Buffer.concat(chunks));
        const body = b.receiveBody({ lengthBytes: whole.length });
        const [summary, received] = await Promise.all([
          a.sendBody(
            (async function* () {
              yield* chunks;
            })(),
          ),
          collect(body),
        ]);
        expect(received).toEqual(whole);
        expect(summary).toEqual({ lengthBytes: whole.length, digest: bodyDigest(whole) });
        expect(body.summary()).toEqual(summary);
        await Promise.all([a.close(), b.finish()]);
        expect(clock.pending()).toBe(0);
      }),
      { numRuns: 40 },
    );
  });

  test("several, and messages between them, in both directions", async () => {
    const { a, b } = createChannelPair();
    const both = async (channel: typeof a, seed: number, otherSeed: number) => {
      for (let i = 0; i < 3; i += 1) {
        await channel.sendMessage({ i });
        await channel.sendBody(sourceOf(bytesOf(1000 + i, seed), 100));
        expect(await channel.receiveMessage()).toEqual({ i });
        expect(await collect(channel.receiveBody({ lengthBytes: 1000 + i }))).toEqual(bytesOf(1000 + i, otherSeed));
      }
    };
    await Promise.all([both(a, 1, 2), both(b, 2, 1)]);
  });

  test("small chunks are put together, large ones cut to the best frame", async () => {
    const { channel, raw } = createChannelToRaw();
    const whole = bytesOf(3 * DATA_BYTES + 10, 1);
    const sending = channel.sendBody(sourceOf(whole.slice(), 1_000)).then(() => channel.close());
    const bytes = await readAll(raw);
    await sending;
    const lengths: number[] = [];
    for (let at = 0; at < bytes.length; at += 4 + bytes.readUInt32BE(at)) lengths.push(bytes.readUInt32BE(at) - 1);
    expect(lengths).toEqual([DATA_BYTES, DATA_BYTES, DATA_BYTES, 10, 40]);
  });

  test("a slow source is not held back for a full frame", async () => {
    const { a, b } = createChannelPair();
    let release = () => {};
    const sending = a.sendBody(
      (async function* () {
        yield Buffer.from("first");
        await new Promise<void>((resolve) => {
          release = resolve;
        });
        yield Buffer.from("second");
      })(),
    );
    const pieces = b.receiveBody({ lengthBytes: 11 })[Symbol.asyncIterator]();
    expect(Buffer.from((await pieces.next()).value).toString()).toBe("first");
    release();
    expect(Buffer.from((await pieces.next()).value).toString()).toBe("second");
    expect((await pieces.next()).done).toBe(true);
    await sending;
  });

  test("the consumer may change what it was given", async () => {
    const { a, b } = createChannelPair();
    const whole = bytesOf(1_000_000, 3);
    const body = b.receiveBody({ lengthBytes: whole.length });
    const wiped = (async () => {
      const copies: Uint8Array[] = [];
      for await (const piece of body) {
        copies.push(piece.slice());
        piece.fill(0);
      }
      return new Uint8Array(Buffer.concat(copies));
    })();
    await a.sendBody(sourceOf(whole.slice(), 70_000));
    expect(await wiped).toEqual(whole);
    expect(body.summary().digest).toEqual(bodyDigest(whole));
  });

  test("a slow reader is felt by the sender, and both hold little", async () => {
    const { a, b } = createChannelPair();
    const chunkBytes = 100_000;
    let produced = 0;
    const sending = a.sendBody(
      (async function* () {
        for (; produced < 20_000_000; produced += chunkBytes) yield new Uint8Array(chunkBytes);
      })(),
    );
    let consumed = 0;
    for await (const piece of b.receiveBody({ lengthBytes: 20_000_000 })) {
      consumed += piece.length;
      if (consumed < 5_000_000) await settle();
      expect(produced - consumed).toBeLessThan(2_000_000);
    }
    await sending;
  });
});

describe("a body that is not what it should be", () => {
  const piece = (bytes: Uint8Array) => dataFrame([bytes], bytes.length);
  const end = (bytes: Uint8Array, lengthBytes = bytes.length) => endFrame({ lengthBytes, digest: bodyDigest(bytes) });
  const abc = Buffer.from("abc");

  const wrong: [string, Uint8Array[][], string, string][] = [
    ["one byte too many", [piece(Buffer.from("abcd")), end(Buffer.from("abcd"))], "TOO_LONG", "integrity"],
    ["too many in a later frame", [piece(abc), piece(abc)], "TOO_LONG", "integrity"],
    ["too short", [piece(Buffer.from("ab")), end(Buffer.from("ab"))], "LENGTH_MISMATCH", "integrity"],
    ["END with another length", [piece(abc), end(abc, 4)], "LENGTH_MISMATCH", "integrity"],
    ["END with another digest", [piece(abc), end(Buffer.from("abd"))], "DIGEST_MISMATCH", "integrity"],
    ["a flipped bit", [piece(Buffer.from("abb")), end(abc)], "DIGEST_MISMATCH", "integrity"],
    ["a message in the middle", [piece(abc), messageFrame(encodeCanonical(1))], "UNEXPECTED_FRAME", "bad-request"],
    ["garbage in the middle", [piece(abc), [Buffer.alloc(8, 0xee)]], "BAD_FRAME", "bad-request"],
  ];
  test.each(wrong)("%s", async (_, frames, code, status) => {
    const { channel, raw } = createChannelToRaw();
    const body = channel.receiveBody({ lengthBytes: 3 });
    await raw.write(frames.flat().map((bytes) => bytes.slice()));
    expect(await errorOf(collect(body))).toMatchObject({ code, status });
    expect(() => body.summary()).toThrow(expect.objectContaining({ code: "BODY_UNFINISHED" }));
    // the peer is told what is wrong with it
    const told = await readAll(raw);
    const details = status === "integrity" ? { peers: ["PEER"] } : {};
    expect(told).toEqual(Buffer.concat(failureFrame(new IntercloudError("X", status as "integrity", "", details))));
  });

  test("of a length that nobody knows before its end arrives, up to what is allowed", async () => {
    for (const lengthBytes of [0, 1, 99_999, 100_000]) {
      const { a, b } = createChannelPair();
      const body = b.receiveBody({ maxBytes: 100_000 });
      const bytes = bytesOf(lengthBytes, 4);
      const [sent, received] = await Promise.all([a.sendBody(sourceOf(bytes.slice(), 7_000)), collect(body)]);
      expect(received).toEqual(bytes);
      expect(body.summary()).toEqual(sent);
    }
    const { a, b } = createChannelPair();
    const sending = a.sendBody(sourceOf(bytesOf(100_001, 4), 7_000)).catch(() => "told");
    expect(await errorOf(collect(b.receiveBody({ maxBytes: 100_000 })))).toMatchObject({ code: "TOO_LONG" });
    await sending;

    const { channel, raw } = createChannelToRaw();
    await raw.write([
      ...dataFrame([bytesOf(10, 1)], 10),
      ...endFrame({ lengthBytes: 9, digest: bodyDigest(bytesOf(10, 1)) }),
    ]);
    const lied = errorOf(collect(channel.receiveBody({ maxBytes: 100 })));
    expect(await lied).toMatchObject({ code: "LENGTH_MISMATCH", status: "integrity" });
  });

  test("an endless one is cut at the first byte too many", async () => {
    const { channel, raw } = createChannelToRaw();
    let sent = 0;
    const flooding = errorOf(
      (async () => {
        for (;;) {
          await raw.write(piece(new Uint8Array(10_000)));
          sent += 10_000;
        }
      })(),
    );
    expect(await errorOf(collect(channel.receiveBody({ lengthBytes: 1_000_005 })))).toMatchObject({ code: "TOO_LONG" });
    channel.abort();
    await settle();
    expect(sent).toBeLessThan(1_000_005 + 3_000_000);
    raw.abort();
    await flooding;
  });

  test("an orderly end of the stream without END is TRUNCATED", async () => {
    const { channel, raw } = createChannelToRaw();
    await raw.write(piece(abc));
    await raw.close();
    expect(await errorOf(collect(channel.receiveBody({ lengthBytes: 3 })))).toMatchObject({ code: "TRUNCATED" });
  });

  test("a lost connection is TRUNCATED, wherever it happens", async () => {
    const whole = Buffer.concat([...piece(abc), ...piece(abc), ...end(Buffer.from("abcabc"))]);
    for (let cut = 0; cut < whole.length; cut += 1) {
      const { channel, raw } = createChannelToRaw();
      await raw.write([whole.subarray(0, cut)]);
      raw.abort();
      const error = await errorOf(collect(channel.receiveBody({ lengthBytes: 6 })));
      expect(error).toMatchObject({ code: "TRUNCATED", status: "unreachable", details: { peers: ["PEER"] } });
      expect(channel.failed.aborted).toBe(true);
    }
  });

  test("FAILURE instead of END is the peer's status", async () => {
    const { a, b } = createChannelPair();
    const error = new IntercloudError("DISK", "damaged", "our own text", { peers: ["12D3x"], requestId: "id-1" });
    const sending = errorOf(
      a.sendBody(
        (async function* () {
          yield Buffer.from("part");
          throw error;
        })(),
      ),
    );
    const received = await errorOf(collect(b.receiveBody({ lengthBytes: 8 })));
    expect(await sending).toBe(error);
    expect(received).toBeInstanceOf(RemoteError);
    expect(received).toMatchObject({ status: "damaged", peer: "A", details: { requestId: "id-1" } });
    expect((received as Error).message).not.toContain("text");
  });

  test("a source that fails with an error not of ours is told as internal", async () => {
    const { a, b } = createChannelPair();
    const bug = new TypeError("bug");
    const sending = errorOf(
      a.sendBody(
        (async function* () {
          yield Buffer.from("part");
          throw bug;
        })(),
      ),
    );
    expect(await errorOf(collect(b.receiveBody({ lengthBytes: 8 })))).toMatchObject({ status: "internal" });
    expect(await sending).toBe(bug);
  });
});

describe("failure and cancellation", () => {
  test("a FAILURE of the reader stops a sender that is blocked, and its source is told to return", async () => {
    const { a, b } = createChannelPair();
    let returned = false;
    const sending = errorOf(
      a.sendBody(
        (async function* () {
          try {
            for (;;) yield new Uint8Array(100_000);
          } finally {
            returned = true;
          }
        })(),
      ),
    );
    await settle();
    b.abort(new IntercloudError("FULL", "full", "no room"));
    expect(await sending).toMatchObject({ code: "REMOTE_FULL", status: "full" });
    await settle();
    expect(returned).toBe(true);
    expect(a.failed.aborted).toBe(true);
  });

  test("a FAILURE of the reader stops a sender whose source stands still", async () => {
    const { a, b } = createChannelPair();
    const sending = errorOf(
      a.sendBody(
        (async function* () {
          yield new Uint8Array(10);
          await never();
        })(),
      ),
    );
    await settle();
    b.abort(new IntercloudError("FULL", "full", "no room"));
    expect(await sending).toMatchObject({ code: "REMOTE_FULL" });
  });

  test("a FAILURE is noticed while nobody reads or sends, also behind one unread message", async () => {
    const { a, b } = createChannelPair();
    await b.sendMessage("unread");
    b.abort(new IntercloudError("STOP", "cancelled", "changed my mind"));
    await settle();
    expect(a.failed.aborted).toBe(true);
    expect(a.failed.reason).toMatchObject({ code: "REMOTE_CANCELLED" });
    expect(await a.receiveMessage()).toBe("unread");
    expect(await errorOf(a.receiveMessage())).toMatchObject({ code: "REMOTE_CANCELLED" });
    expect(await errorOf(a.sendMessage("x"))).toMatchObject({ code: "REMOTE_CANCELLED" });
  });

  test("a peer that vanishes is noticed while nobody reads or sends, also after its orderly end", async () => {
    const lost = createChannelToRaw();
    lost.raw.abort();
    await settle();
    expect(lost.channel.failed.aborted).toBe(true);

    const ended = createChannelToRaw();
    await ended.raw.close();
    await settle();
    expect(ended.channel.failed.aborted).toBe(false);
    ended.raw.abort();
    await settle();
    expect(ended.channel.failed.aborted).toBe(true);
  });

  test("a consumer that leaves a body cancels it, after its caller had time to say why, or closed", async () => {
    const leave = async (then: (b: OwnedChannel, clock: ManualClock) => void) => {
      const { a, b, clock } = createChannelPair();
      const sending = errorOf(
        a.sendBody(
          (async function* () {
            for (;;) yield new Uint8Array(1_000);
          })(),
        ),
      );
      for await (const _ of b.receiveBody({ lengthBytes: 1e9 })) break;
      await settle();
      expect(a.failed.aborted).toBe(false);
      then(b, clock);
      return await sending;
    };
    expect(await leave((_, clock) => clock.advance(2_000))).toMatchObject({ code: "REMOTE_CANCELLED" });
    expect(await leave((b) => b.close())).toMatchObject({ code: "REMOTE_CANCELLED" });
    expect(await leave((b) => b.finish())).toMatchObject({ code: "REMOTE_CANCELLED" });
    const full = new IntercloudError("FULL", "full", "no room");
    expect(await leave((b) => b.abort(full))).toMatchObject({ code: "REMOTE_FULL" });
  });

  test("abort without a reason of ours breaks the stream, and whoever waits gets CANCELLED", async () => {
    const { a, b } = createChannelPair();
    const waiting = errorOf(a.receiveMessage());
    a.abort();
    expect(await waiting).toMatchObject({ code: "CANCELLED" });
    expect(await errorOf(b.receiveMessage())).toMatchObject({ code: "TRUNCATED" });
  });

  test("a FAILURE that the peer does not take is broken off, and leaves nothing behind", async () => {
    const { channel, raw, clock } = createChannelToRaw();
    const sending = errorOf(
      channel.sendBody(
        (async function* () {
          for (;;) yield new Uint8Array(100_000);
        })(),
      ),
    );
    await settle();
    channel.abort(new IntercloudError("STOP", "cancelled", "enough"));
    expect(await sending).toMatchObject({ code: "STOP" });
    expect(raw.broken.aborted).toBe(false);
    await clock.advance(2_000);
    expect(raw.broken.aborted).toBe(true);
    expect(clock.pending()).toBe(0);
  });

  test("nonsense ends the channel, and the peer is told", async () => {
    const { channel, raw } = createChannelToRaw();
    await raw.write([Buffer.from("GET / HTTP/1.1\r\n\r\n")]);
    expect(await errorOf(channel.receiveMessage())).toMatchObject({ code: "BAD_FRAME" });
    const told = await readAll(raw);
    expect(told.includes("bad-request")).toBe(true);
  });

  test("a body where a message was due, and a message over the limit", async () => {
    const { a, b } = createChannelPair();
    const sending = errorOf(a.sendBody(sourceOf(new Uint8Array(10), 10)).then(() => a.receiveMessage()));
    expect(await errorOf(b.receiveMessage())).toMatchObject({ code: "UNEXPECTED_FRAME" });
    expect(await sending).toMatchObject({ code: "REMOTE_BAD_REQUEST" });

    const other = createChannelPair();
    const tooLong = other.a.sendMessage(new Uint8Array(256 * 1024));
    expect(await errorOf(tooLong)).toMatchObject({ code: "MESSAGE_TOO_LONG" });
    await other.a.sendMessage(new Uint8Array(256 * 1024 - 5));
    expect(await other.b.receiveMessage()).toHaveLength(256 * 1024 - 5);
  });

  test("two sends or two receives at a time are a mistake of ours", async () => {
    const { a } = createChannelPair();
    const first = errorOf(a.receiveMessage());
    expect(await errorOf(a.receiveMessage())).toMatchObject({ code: "CHANNEL_IN_USE" });
    const sending = errorOf(a.sendBody({ [Symbol.asyncIterator]: () => ({ next: never }) }));
    expect(await errorOf(a.sendMessage(1))).toMatchObject({ code: "CHANNEL_IN_USE" });
    a.abort();
    await Promise.all([first, sending]);
    const { a: closed } = createChannelPair();
    await closed.close();
    expect(await errorOf(closed.sendMessage(1))).toMatchObject({ code: "CHANNEL_CLOSED" });
  });
});

describe("deadlines", () => {
  test("a peer that sends nothing while we wait is a TIMEOUT, and is told so", async () => {
    const { a, b, clock } = createChannelPair();
    const waiting = errorOf(a.receiveMessage());
    await clock.advance(29_999);
    expect(a.failed.aborted).toBe(false);
    await clock.advance(1);
    expect(await waiting).toMatchObject({ code: "TIMEOUT", status: "timeout", details: { peers: ["B"] } });
    expect(await errorOf(b.receiveMessage())).toMatchObject({ code: "REMOTE_TIMEOUT" });
    await settle();
    expect(clock.pending()).toBe(0);
  });

  test("each piece of a body starts the time again, and time in which nobody waits does not count", async () => {
    const { channel, raw, clock } = createChannelToRaw();
    const body = channel.receiveBody({ lengthBytes: 200_000 });
    const pieces = body[Symbol.asyncIterator]();
    for (let i = 0; i < 5; i += 1) {
      const next = pieces.next();
      await clock.advance(20_000);
      await raw.write(dataFrame([new Uint8Array(25_000)], 25_000));
      expect((await next).value).toHaveLength(25_000);
      await clock.advance(100_000);
    }
    const last = errorOf(pieces.next());
    await clock.advance(30_000);
    expect(await last).toMatchObject({ code: "TIMEOUT" });
  });

  test.each([
    ["bytes one by one", dataFrame([new Uint8Array(1)], 1)],
    ["signs of life and nothing else", dataFrame([], 0)],
  ])("a peer that sends %s is a TIMEOUT, when it has said how long the body is", async (_, frame) => {
    const { channel, raw, clock } = createChannelToRaw();
    const receiving = errorOf(collect(channel.receiveBody({ lengthBytes: 1_000 })));
    const startedAtMs = clock.nowMs();
    while (!channel.failed.aborted) {
      await raw.write(frame).catch(() => {});
      await clock.advance(1_000);
    }
    expect(await receiving).toMatchObject({ code: "TIMEOUT", details: { peers: ["PEER"] } });
    expect(clock.nowMs() - startedAtMs).toBeLessThan(32_000);
  });

  test("a long body may come at the slowest rate from its beginning to its end", async () => {
    const { channel, raw, clock } = createChannelToRaw();
    const lengthBytes = 300 * MIN_BODY_BYTES_PER_SECOND;
    const body = channel.receiveBody({ lengthBytes });
    const pieces = body[Symbol.asyncIterator]();
    for (let second = 0; second < 300; second += 1) {
      const next = pieces.next();
      await clock.advance(1_000);
      await raw.write(dataFrame([new Uint8Array(MIN_BODY_BYTES_PER_SECOND)], MIN_BODY_BYTES_PER_SECOND));
      await next;
    }
    expect(channel.failed.aborted).toBe(false);
    channel.abort();
  });

  test("an answer that is always still to come is a TIMEOUT, however often that is said; one that comes in the end is not", async () => {
    for (const comes of [false, true]) {
      const { a, b, clock } = createChannelPair();
      const telling = tellProgress(clock, b, 2_000, () => ({ waiting: true }));
      const isProgress = (message: CborValue) => JSON.stringify(message) === JSON.stringify({ waiting: true });
      const receiving = receiveResult(clock, a, 600_000, isProgress).catch((error: unknown) => error);
      for (let second = 0; second < 590; second += 5) await clock.advance(5_000);
      expect(a.failed.aborted).toBe(false);
      if (comes) {
        await telling.stop();
        await b.sendMessage("here");
        expect(await receiving).toBe("here");
      } else {
        await clock.advance(10_000);
        expect(await receiving).toMatchObject({ code: "TIMEOUT", details: { peers: [a.peer] } });
        await telling.stop();
      }
      a.abort();
      b.abort();
      await settle();
      expect(clock.pending()).toBe(0);
    }
  });

  test("a sender whose source rests says that it is still there, when it is told to", async () => {
    const { a, b, clock } = createChannelPair();
    const more = Promise.withResolvers<void>();
    async function* resting(): AsyncIterable<Uint8Array> {
      yield Buffer.from("first");
      await more.promise;
      yield Buffer.from("second");
    }
    const sending = a.sendBody(resting(), { keepAliveMs: 10_000 });
    const receiving = collect(b.receiveBody({ maxBytes: 100 }));
    for (let i = 0; i < 30; i += 1) await clock.advance(10_000);
    more.resolve();
    expect(Buffer.from(await receiving).toString()).toBe("firstsecond");
    expect((await sending).lengthBytes).toBe(11);
    await Promise.all([a.close(), b.finish()]);
    expect(clock.pending()).toBe(0);

    const untold = createChannelPair();
    const failed = errorOf(untold.a.sendBody(silent()));
    const waiting = errorOf(collect(untold.b.receiveBody({ maxBytes: 100 })));
    await untold.clock.advance(30_000);
    expect(await waiting).toMatchObject({ code: "TIMEOUT" });
    expect(await failed).toMatchObject({ code: "REMOTE_TIMEOUT" });
  });

  test("a sender that says so fails as any other when its peer does, and leaves no timer", async () => {
    const { a, b, clock } = createChannelPair();
    const sending = errorOf(a.sendBody(silent(), { keepAliveMs: 10_000 }));
    await clock.advance(25_000);
    b.abort(new IntercloudError("FULL", "full", "no room"));
    expect(await sending).toMatchObject({ code: "REMOTE_FULL" });
    await settle();
    expect(clock.pending()).toBe(0);
  });

  test("a peer that takes nothing is a TIMEOUT; one that takes little by little is not", async () => {
    const { channel, raw, clock } = createChannelToRaw();
    const sending = errorOf(
      channel.sendBody(
        (async function* () {
          for (;;) yield new Uint8Array(1_000_000);
        })(),
      ),
    );
    await settle();
    for (let i = 0; i < 6; i += 1) {
      await clock.advance(25_000);
      for (let takenBytes = 0; takenBytes < 31_000; ) takenBytes += (await raw.read())!.length;
      expect(channel.failed.aborted).toBe(false);
    }
    await clock.advance(60_000);
    expect(await sending).toMatchObject({ code: "TIMEOUT", details: { peers: ["PEER"] } });
  });

  test("after our end, a peer that does not end its side does not keep the stream", async () => {
    const { channel, raw, clock } = createChannelToRaw();
    await channel.close();
    await clock.advance(29_999);
    expect(raw.broken.aborted).toBe(false);
    await clock.advance(1);
    expect(raw.broken.aborted).toBe(true);
    expect(clock.pending()).toBe(0);
  });

  test("finish drops what comes, for no longer than the idle time", async () => {
    const { channel, raw, clock } = createChannelToRaw();
    const flooding = errorOf(
      (async () => {
        for (;;) {
          await raw.write(dataFrame([new Uint8Array(1_000)], 1_000));
          await new Promise((resolve) => setImmediate(resolve));
        }
      })(),
    );
    const finished = channel.finish();
    await settle();
    await clock.advance(30_000);
    await finished;
    expect(await flooding).toMatchObject({ code: "UNREACHABLE" });
  });
});

describe("with it-pipe", () => {
  test("three nodes: in, layer, out; a slow last reader holds the first sender back, and the relay holds little", async () => {
    const first = createChannelPair();
    const second = createChannelPair();
    const lengthBytes = 20_000_000;
    let produced = 0;
    let relayed = 0;
    let consumed = 0;
    const sending = first.a.sendBody(
      (async function* () {
        for (let i = 0; produced < lengthBytes; i += 1, produced += 100_000) yield bytesOf(100_000, i);
      })(),
    );
    const relaying = pipe(
      first.b.receiveBody({ lengthBytes }),
      async function* layer(source) {
        for await (const piece of source) {
          for (let i = 0; i < piece.length; i += 1) piece[i] = (piece[i] as number) ^ 0x5a;
          relayed += piece.length;
          yield piece;
        }
      },
      (source) => second.a.sendBody(source),
    );
    const hash = createHash("sha256");
    for await (const piece of second.b.receiveBody({ lengthBytes })) {
      hash.update(piece);
      consumed += piece.length;
      if (consumed < 5_000_000) await settle();
      expect(relayed - consumed).toBeLessThan(2_000_000);
      expect(produced - relayed).toBeLessThan(2_000_000);
    }
    const expected = createHash("sha256");
    for (let i = 0; i < lengthBytes / 100_000; i += 1) expected.update(bytesOf(100_000, i).map((byte) => byte ^ 0x5a));
    expect(hash.digest()).toEqual(expected.digest());
    await Promise.all([sending, relaying]);
  });

  test("a failure at the end of the chain reaches its start, and one at the start its end", async () => {
    const run = async (fault: (pairs: ReturnType<typeof createChannelPair>[]) => void) => {
      const pairs = [createChannelPair(), createChannelPair()] as const;
      const [first, second] = pairs;
      const sending = errorOf(
        first.a.sendBody(
          (async function* () {
            for (;;) yield new Uint8Array(50_000);
          })(),
        ),
      );
      const relaying = errorOf(
        pipe(first.b.receiveBody({ lengthBytes: 1e9 }), (source) => second.a.sendBody(source)).catch((error) => {
          // as the wrapper of a handler does
          first.b.abort(error);
          throw error;
        }),
      );
      const reading = errorOf(
        (async () => {
          for await (const _ of second.b.receiveBody({ lengthBytes: 1e9 })) await settle();
        })(),
      );
      await settle();
      fault([...pairs]);
      return await Promise.all([sending, relaying, reading]);
    };
    const full = new IntercloudError("FULL", "full", "no room");
    const fromTheEnd = await run(([, second]) => second?.b.abort(full));
    expect(fromTheEnd.map((error) => (error as IntercloudError).status)).toEqual(["full", "full", "full"]);
    const fromTheStart = await run(([first]) => first?.streams[0].abort());
    expect(fromTheStart.map((error) => (error as IntercloudError).status)).toEqual(Array(3).fill("unreachable"));
  });
});
