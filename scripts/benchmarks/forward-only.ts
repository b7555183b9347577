/**
 * What the transfers are held against: the same bytes over the same hops between the same processes, with handlers that only
 * forward. They use the product's own channels, bodies with END digests included, and compute and keep nothing.
 */
import { pipe } from "it-pipe";
import * as v from "valibot";
import { releasePassed } from "../../protocols/crypto/release.ts";
import { tee } from "../../protocols/custody/server/tee.ts";
import type { CborValue } from "../../protocols/wire/codec.ts";
import { integer, parseShape, text } from "../../protocols/wire/shape.ts";
import type { Channel, Handlers, PeerName, Transport } from "../../protocols/wire/transport.ts";

export const BENCH_PROTOCOL = "/intercloud/bench/1.0.0";

const CHUNK_BYTES = 256 * 1024;
/** A part of its memory, so that nobody gives that back; never changed, for the connection encrypts into memory of its own. */
const CHUNK = new Uint8Array(CHUNK_BYTES + 1).subarray(0, CHUNK_BYTES);
const OPEN_TIMEOUT_MS = 10_000;
const ASK_TIMEOUT_MS = 600_000;

const transferShape = v.strictObject({
  lengthBytes: integer(1, Number.MAX_SAFE_INTEGER),
  /** Who comes after the one that is asked. */
  path: v.array(text(64)),
  /** To whom the last of a `push` passes copies while it takes the bytes. */
  copyTo: v.array(text(64)),
});

type Transfer = v.InferOutput<typeof transferShape>;

const read = (value: CborValue) => parseShape(transferShape, value, "transfer");

export function forwardOnlyHandlers(transport: Transport): Handlers {
  return {
    asks: {
      /** Sends the length to all of `path` at once. */
      async scatter(body) {
        const { lengthBytes, path } = read(body);
        await Promise.all(path.map((peer) => push(transport, [peer], lengthBytes)));
        return {};
      },
    },
    channels: {
      /** Takes the length and passes it along `path`. The answer comes back when it has arrived at the end, and the copies too. */
      async push(channel, header) {
        const { lengthBytes, path, copyTo } = read(header);
        const body = channel.receiveBody({ lengthBytes });
        const [next, ...rest] = path;
        if (next === undefined) {
          const [own, ...copies] = tee(body, 1 + copyTo.length);
          const parts = copies.map((copy, i) => pass(transport, copy, [copyTo[i] as PeerName], lengthBytes, []));
          await Promise.all([drain(own as AsyncIterable<Uint8Array>), ...parts]);
        } else {
          await pass(transport, body, [next, ...rest], lengthBytes, copyTo);
        }
        await channel.sendMessage({});
        await channel.close();
      },
      /** Gives the length, taken from the next of `path` if there is one. */
      async pull(channel, header) {
        const { lengthBytes, path } = read(header);
        const [next, ...rest] = path;
        if (next === undefined) {
          await channel.sendBody(chunksOf(lengthBytes));
        } else {
          const before = await open(transport, next, "pull", { lengthBytes, path: rest, copyTo: [] });
          await pipe(before.receiveBody({ lengthBytes }), (source: AsyncIterable<Uint8Array>) =>
            channel.sendBody(source),
          );
          await before.close();
        }
        await channel.close();
      },
    },
  };
}

/** From us to the first of `path`, from it to the second, and so on; from the last to all of `copyTo` at once. */
export async function push(
  transport: Transport,
  path: readonly PeerName[],
  lengthBytes: number,
  copyTo: readonly PeerName[] = [],
): Promise<void> {
  await pass(transport, chunksOf(lengthBytes), path, lengthBytes, copyTo);
}

async function pass(
  transport: Transport,
  body: AsyncIterable<Uint8Array>,
  [first, ...rest]: readonly PeerName[],
  lengthBytes: number,
  copyTo: readonly PeerName[],
): Promise<void> {
  const channel = await open(transport, first as PeerName, "push", { lengthBytes, path: rest, copyTo: [...copyTo] });
  await pipe(body, (source: AsyncIterable<Uint8Array>) => channel.sendBody(source));
  await channel.receiveMessage();
  await channel.close();
}

/** From the last of `path` to the one before it, and so on to us. */
export async function pull(transport: Transport, path: readonly PeerName[], lengthBytes: number): Promise<void> {
  const [first, ...rest] = path;
  const channel = await open(transport, first as PeerName, "pull", { lengthBytes, path: rest, copyTo: [] });
  await drain(channel.receiveBody({ lengthBytes }));
  await channel.close();
}

/** `from` sends the length to each of `to` at once. */
export async function scatter(
  transport: Transport,
  from: PeerName,
  to: readonly PeerName[],
  lengthBytes: number,
): Promise<void> {
  const body: Transfer = { lengthBytes, path: [...to], copyTo: [] };
  await transport.ask(from, BENCH_PROTOCOL, "scatter", body, { timeoutMs: ASK_TIMEOUT_MS });
}

/** @returns how many bytes there were. */
export async function drain(source: AsyncIterable<Uint8Array>): Promise<number> {
  let lengthBytes = 0;
  for await (const chunk of source) {
    lengthBytes += chunk.length;
    releasePassed(chunk);
  }
  return lengthBytes;
}

async function* chunksOf(lengthBytes: number): AsyncIterable<Uint8Array> {
  for (let done = 0; done < lengthBytes; done += CHUNK_BYTES) yield CHUNK.subarray(0, lengthBytes - done);
}

async function open(transport: Transport, peer: PeerName, method: string, header: Transfer): Promise<Channel> {
  return await transport.open(peer, BENCH_PROTOCOL, method, header, { timeoutMs: OPEN_TIMEOUT_MS });
}
