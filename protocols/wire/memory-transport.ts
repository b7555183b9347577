/** A network in memory: the same transports as over libp2p, on pairs of streams, with peers that can be killed. */
import { type ByteStream, type StreamHost, unreachable } from "./byte-stream.ts";
import { createStreamPair } from "./stream-pair.ts";
import { createStreamTransport, notServed, type Sent, type TransportOptions } from "./stream-transport.ts";
import type { PeerName, Transport } from "./transport.ts";

export interface MemoryNetworkOptions {
  /** Sees every ask, answer, message and piece of a body of every peer, when it is sent. */
  readonly observe?: (sent: Sent) => void;
}

export interface MemoryNetwork {
  /** A second transport of the same peer takes the place of the first, as a restarted process does. */
  transport(peer: PeerName, options: Omit<TransportOptions, "observe">): Transport;
  /** As a crash: all streams of the peer break without an end, and nobody reaches it until `revive`. */
  kill(peer: PeerName): void;
  revive(peer: PeerName): void;
}

interface Host {
  readonly handlers: Map<string, (stream: ByteStream) => void>;
}

export function createMemoryNetwork({ observe }: MemoryNetworkOptions = {}): MemoryNetwork {
  const hosts = new Map<PeerName, Host>();
  const dead = new Set<PeerName>();
  const streams = new Map<ByteStream, readonly [PeerName, PeerName]>();

  function open(from: PeerName, to: PeerName, streamProtocol: string): ByteStream {
    const handlers = hosts.get(to)?.handlers;
    if (dead.has(from) || dead.has(to) || !handlers || handlers.size === 0) throw unreachable(to);
    const onStream = handlers.get(streamProtocol);
    if (!onStream) throw notServed(to, streamProtocol);
    const [asking, answering] = createStreamPair(from, to, () => streams.delete(asking));
    streams.set(asking, [from, to]);
    onStream(answering);
    return asking;
  }

  return {
    transport(peer, options) {
      const handlers: Host["handlers"] = new Map();
      hosts.set(peer, { handlers });
      const host: StreamHost = {
        peer,
        async open(to, streamProtocol) {
          // a real network never answers at once
          await new Promise((resolve) => setImmediate(resolve));
          return open(peer, to, streamProtocol);
        },
        async handle(streamProtocol, onStream) {
          handlers.set(streamProtocol, onStream);
        },
        async unhandle(streamProtocol) {
          handlers.delete(streamProtocol);
        },
      };
      return createStreamTransport(host, { ...options, ...(observe && { observe }) });
    },
    kill(peer) {
      dead.add(peer);
      for (const [stream, ends] of streams) {
        if (ends.includes(peer)) stream.abort(unreachable(peer));
      }
    },
    revive(peer) {
      dead.delete(peer);
    },
  };
}
