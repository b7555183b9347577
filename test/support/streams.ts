/** Byte streams for tests of framing: a pair in memory, raw bytes, and channels on both ends. */
import type { ByteStream } from "../../protocols/wire/byte-stream.ts";
import { type ChannelOptions, createChannel, type OwnedChannel } from "../../protocols/wire/channel.ts";
import { createStreamPair } from "../../protocols/wire/stream-pair.ts";
import { createManualClock, type ManualClock } from "./manual-clock.ts";

/** A stream on which a peer sent these chunks and finished. */
export async function streamOf(...chunks: readonly Uint8Array[]): Promise<ByteStream> {
  const [sender, receiver] = createStreamPair("SENDER", "RECEIVER");
  // not waited for: it resolves when the reader has made room
  void sender.write(chunks).then(() => sender.close());
  return receiver;
}

export async function readAll(stream: ByteStream): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for (let part = await stream.read(); part !== null; part = await stream.read()) parts.push(part);
  return Buffer.concat(parts);
}

export interface ChannelPair {
  readonly clock: ManualClock;
  readonly a: OwnedChannel;
  readonly b: OwnedChannel;
  /** What is under them. */
  readonly streams: readonly [a: ByteStream, b: ByteStream];
}

export function createChannelPair(options: Partial<ChannelOptions> = {}): ChannelPair {
  const clock = createManualClock();
  const streams = createStreamPair("A", "B");
  const make = (stream: ByteStream) => createChannel(stream, { clock, idleTimeoutMs: 30_000, ...options });
  return { clock, a: make(streams[0]), b: make(streams[1]), streams };
}

/** A channel whose other end is a raw stream: for peers that do not keep to the rules. */
export function createChannelToRaw(options: Partial<ChannelOptions> = {}) {
  const clock = createManualClock();
  const [held, raw] = createStreamPair("US", "PEER");
  return { clock, channel: createChannel(held, { clock, idleTimeoutMs: 30_000, ...options }), raw };
}
