/** What lies are made with: handlers of which some answer in another way, channels on which something else is sent. */
import type { Entropy } from "../../protocols/crypto/entropy.ts";
import type { CborValue } from "../../protocols/wire/codec.ts";
import type {
  AskHandler,
  Channel,
  ChannelHandler,
  Handlers,
  PeerName,
  Transport,
} from "../../protocols/wire/transport.ts";
import { isBytes, mapped } from "./asked.ts";

/** Undefined leaves the handler as it is. */
export interface Bend {
  ask?(honest: AskHandler, method: string): AskHandler | undefined;
  channel?(honest: ChannelHandler, method: string): ChannelHandler | undefined;
}

export function bent({ asks, channels }: Handlers, { ask, channel }: Bend): Handlers {
  return {
    asks: mapped(asks, (honest, method) => ask?.(honest, method) ?? honest),
    channels: mapped(channels, (honest, method) => channel?.(honest, method) ?? honest),
  };
}

/** Handlers of which some answer otherwise. */
export function answering(
  made: Handlers,
  lies: Readonly<Record<string, (honest: AskHandler) => AskHandler>>,
): Handlers {
  return bent(made, { ask: (honest, method) => lies[method]?.(honest) });
}

/** By this question users find out who is there: a liar that does not answer it never has a part in anything. */
export function isFirstWord(method: string): boolean {
  return method === "hello";
}

export interface Sent {
  /** In the place of a message. */
  readonly message?: (message: CborValue) => CborValue;
  /** In the place of a body. */
  readonly body?: (source: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>;
}

/** The channel, on which something else is sent than what is given to it. */
export function bentChannel(channel: Channel, { message, body }: Sent): Channel {
  return {
    ...channel,
    ...(message && { sendMessage: (honest) => channel.sendMessage(message(honest)) }),
    ...(body && { sendBody: (source, options) => channel.sendBody(body(source), options) }),
  };
}

/** A transport whose channels to others are bent. */
export function bentOpen(
  transport: Transport,
  bend: (to: PeerName, method: string, header: CborValue, signal: AbortSignal | undefined) => Sent | undefined,
): Transport {
  return {
    ...transport,
    async open(to, protocol, method, header, options) {
      const channel = await transport.open(to, protocol, method, header, options);
      const sent = bend(to, method, header, options.signal);
      return sent === undefined ? channel : bentChannel(channel, sent);
    },
  };
}

/** Links on their way: the last of those that a provider passes on is its own. */
export function isLinks(value: CborValue | undefined): value is readonly Uint8Array[] {
  return Array.isArray(value) && value.length > 0 && value.every(isBytes);
}

/** One time in three: whoever lies in everything is left out at the first step, and never gets to the others. */
export function nowAndThen(entropy: Entropy): boolean {
  return entropy(1)[0]! % 3 === 0;
}

/** Changes the end of it: so that two liars who do the same do not undo each other's lie, each by other bits. */
export function spoil(bytes: Uint8Array, entropy: Entropy): void {
  const noise = entropy(Math.min(NOISE_BYTES, bytes.length));
  const start = bytes.length - noise.length;
  for (const [i, each] of noise.entries()) bytes[start + i]! ^= i === 0 ? each | 1 : each;
}

const NOISE_BYTES = 8;

/** The first chunk of a body, changed. */
export async function* spoilt(source: AsyncIterable<Uint8Array>, entropy: Entropy): AsyncGenerator<Uint8Array> {
  let isFirst = true;
  for await (const chunk of source) {
    // the same memory may be on its way to somebody else
    const bytes = isFirst ? chunk.slice() : chunk;
    if (isFirst) spoil(bytes, entropy);
    isFirst = false;
    yield bytes;
  }
}

/** Until whoever asked gives up, or we are stopped. */
export function untilStopped(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
