/**
 * A network with delays, in the time of a simulation: the same transports as over libp2p, on streams whose bytes arrive later and in order. As
 * with TCP, what a partition holds up arrives when it is over, unless somebody has given up before.
 */
import { type ByteStream, type StreamHost, unreachable } from "../../../protocols/wire/byte-stream.ts";
import type { Clock } from "../../../protocols/wire/clock.ts";
import { createStreamPair } from "../../../protocols/wire/stream-pair.ts";
import { createStreamTransport, notServed, type TransportOptions } from "../../../protocols/wire/stream-transport.ts";
import type { PeerName, Transport } from "../../../protocols/wire/transport.ts";
import { type Conditions, delayMs, isCut } from "./conditions.ts";
import type { Random } from "./random.ts";

export interface SimulatedNetwork {
  /** Of a new process of that peer, which takes the place of the one before. */
  transport(peer: PeerName, options: TransportOptions): Transport;
  /** Nobody reaches it, and its connections break. */
  leave(peer: PeerName): void;
  /** All connections between it and others break. */
  reset(peer: PeerName): void;
  /** To be called when a partition is over: what it held up goes on. */
  heal(): void;
}

/** So much of one stream is on its way at a time. */
const WINDOW_BYTES = 256 * 1024;

interface Link {
  readonly ends: readonly [PeerName, PeerName];
  break(reason: Error): void;
}

export interface SimulatedNetworkOptions {
  readonly clock: Clock;
  readonly conditions: Conditions;
  randomOf(from: PeerName, to: PeerName): Random;
}

export function createSimulatedNetwork({ clock, conditions, randomOf }: SimulatedNetworkOptions): SimulatedNetwork {
  const hosts = new Map<PeerName, Map<string, (stream: ByteStream) => void>>();
  const links = new Set<Link>();
  let held: (() => void)[] = [];
  const randoms = new Map<string, Random>();
  const random = (from: PeerName, to: PeerName): Random => {
    const key = `${from} ${to}`;
    let found = randoms.get(key);
    if (found === undefined) {
      found = randomOf(from, to);
      randoms.set(key, found);
    }
    return found;
  };

  /** Each after the one before it. */
  function createLine(from: PeerName, to: PeerName): (deliver: () => void) => void {
    let lastMs = 0;
    const waiting: (() => void)[] = [];
    const flush = () => {
      while (waiting.length > 0) {
        if (isCut(conditions, from, to)) {
          held.push(flush);
          return;
        }
        waiting.shift()?.();
      }
    };
    return (deliver) => {
      const atMs = Math.max(lastMs, clock.nowMs() + delayMs(conditions, from, to, random(from, to)));
      lastMs = atMs;
      clock.after(atMs - clock.nowMs(), () => {
        waiting.push(deliver);
        if (waiting.length === 1) flush();
      });
    };
  }

  /** Hands on what comes out of one stream to the other, later. */
  function relay(
    source: ByteStream,
    target: ByteStream,
    line: (deliver: () => void) => void,
    fail: (reason: Error) => void,
  ) {
    let underWayBytes = 0;
    let wake = () => {};
    const pump = async () => {
      for (;;) {
        const bytes = await source.read();
        if (bytes === null) break;
        underWayBytes += bytes.length;
        line(() => {
          underWayBytes -= bytes.length;
          wake();
          void target.write([bytes]).catch(() => {});
        });
        while (underWayBytes > WINDOW_BYTES && !target.broken.aborted) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      }
      line(() => void target.close().catch(() => {}));
    };
    pump().catch((error: Error) => line(() => fail(error)));
  }

  function connect(from: PeerName, to: PeerName): [ByteStream, ByteStream] {
    const [asking, near] = createStreamPair(from, to);
    const [far, answering] = createStreamPair(from, to);
    const abort = (reason: Error) => {
      links.delete(link);
      near.abort(reason);
      far.abort(reason);
    };
    const link: Link = { ends: [from, to], break: abort };
    links.add(link);
    relay(near, far, createLine(from, to), abort);
    relay(far, near, createLine(to, from), abort);
    return [asking, answering];
  }

  async function arrive(from: PeerName, to: PeerName, signal: AbortSignal): Promise<void> {
    const line = createLine(from, to);
    await new Promise<void>((resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      line(resolve);
    });
  }

  const breakAll = (peer: PeerName) => {
    for (const link of [...links]) if (link.ends.includes(peer)) link.break(unreachable(peer));
  };

  return {
    transport(peer, options) {
      const handlers = new Map<string, (stream: ByteStream) => void>();
      hosts.set(peer, handlers);
      const host: StreamHost = {
        peer,
        async open(to, streamProtocol, signal) {
          await arrive(peer, to, signal);
          const there = hosts.get(to);
          const onStream = there?.get(streamProtocol);
          await arrive(to, peer, signal);
          // somebody else by now, or nobody
          if (hosts.get(peer) !== handlers) throw unreachable(peer);
          if (there === undefined || hosts.get(to) !== there || there.size === 0) throw unreachable(to);
          if (onStream === undefined) throw notServed(to, streamProtocol);
          const [asking, answering] = connect(peer, to);
          onStream(answering);
          return asking;
        },
        async handle(streamProtocol, onStream) {
          handlers.set(streamProtocol, onStream);
        },
        async unhandle(streamProtocol) {
          handlers.delete(streamProtocol);
        },
      };
      return createStreamTransport(host, options);
    },
    leave(peer) {
      hosts.delete(peer);
      breakAll(peer);
    },
    reset: breakAll,
    heal() {
      const going = held;
      held = [];
      for (const go of going) go();
    },
  };
}
