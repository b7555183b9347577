/** The `Transport` of transport.ts over any host of byte streams: libp2p in a node, memory in a simulation. */
import { setMaxListeners } from "node:events";
import type { ByteStream, StreamHost } from "./byte-stream.ts";
import { unreachable } from "./byte-stream.ts";
import { createChannel } from "./channel.ts";
import { serveChannel } from "./channel-server.ts";
import type { Clock } from "./clock.ts";
import { encodeCanonical } from "./codec.ts";
import { type ControlClient, cancelled, createControlClient, timedOut } from "./control-client.ts";
import { refuseControl, serveControl } from "./control-server.ts";
import { IntercloudError, RemoteError } from "./errors.ts";
import { DEFAULT_LIMITS, RETRY_AFTER_MS, STREAM_COST, type TransportLimits } from "./limits.ts";
import { createQuota } from "./quota.ts";
import { createStreamPair } from "./stream-pair.ts";
import type { CallOptions, Handlers, PeerName, Transport } from "./transport.ts";

export const CONTROL_PROTOCOL = "/intercloud/control/1.0.0";

/** A peer that serves nothing is not there for us; one that does not serve this one protocol says so. */
export function notServed(peer: PeerName, streamProtocol: string): IntercloudError {
  return streamProtocol === CONTROL_PROTOCOL ? unreachable(peer) : new RemoteError(peer, "not-found");
}

/** Something that is about to be sent, for audits in tests. `bytes` is a copy. */
export interface Sent {
  readonly from: PeerName;
  readonly to: PeerName;
  readonly protocol: string;
  readonly method: string;
  /** `ask`, `answer`, `message`: canonical CBOR. `data`: bytes of a body. */
  readonly kind: "ask" | "answer" | "message" | "data";
  readonly bytes: Uint8Array;
}

export interface TransportOptions {
  readonly clock: Clock;
  readonly limits?: Partial<TransportLimits>;
  /** A handler failed in a way that is a bug or a fault of ours: called once, with the id that the peer was told. */
  readonly onFault?: (error: unknown, requestId: string) => void;
  readonly observe?: (sent: Sent) => void;
}

export function createStreamTransport(host: StreamHost, options: TransportOptions): Transport {
  const { clock, observe } = options;
  const self = host.peer;
  const limits: TransportLimits = { ...DEFAULT_LIMITS, ...options.limits };
  const onFault = options.onFault ?? (() => {});
  const quota = createQuota({ clock, ratePerSecond: limits.requestsPerSecond, burst: limits.requestBurst });
  const served = new Map<string, Handlers>();
  const clients = new Map<PeerName, ControlClient>();
  const held = { control: new Map<PeerName, number>(), channel: new Map<PeerName, number>() };
  const stop = new AbortController();
  // every stream listens to it
  setMaxListeners(0, stop.signal);
  const running = new Set<Promise<void>>();
  // unique within this process's life, and different after a restart
  const requestIdHead = clock.nowMs().toString(36);
  let requestCount = 0;
  const newRequestId = () => `${requestIdHead}-${(++requestCount).toString(36)}`;

  function tap(from: PeerName, to: PeerName, protocol: string, method: string) {
    if (!observe) return undefined;
    return (kind: Sent["kind"], bytes: Uint8Array) =>
      observe({ from, to, protocol, method, kind, bytes: new Uint8Array(bytes) });
  }

  function track(work: Promise<void>): void {
    const done = work.finally(() => running.delete(done));
    running.add(done);
  }

  /** Counts a stream of this peer for as long as it is served. */
  function hold(work: Promise<void>, peer: PeerName, counts: Map<PeerName, number>): void {
    counts.set(peer, (counts.get(peer) ?? 0) + 1);
    const release = () => {
      const left = (counts.get(peer) ?? 1) - 1;
      if (left === 0) counts.delete(peer);
      else counts.set(peer, left);
    };
    track(work.finally(release));
  }

  /** The refusal of a new stream of this peer, if it has to be refused. */
  function overLimit(peer: PeerName, counts: Map<PeerName, number>, most: number): IntercloudError | undefined {
    const retryAfterMs = (counts.get(peer) ?? 0) >= most ? RETRY_AFTER_MS : quota.take(peer, STREAM_COST);
    return retryAfterMs > 0 ? new IntercloudError("BUSY", "busy", "past a limit", { retryAfterMs }) : undefined;
  }

  function onControlStream(stream: ByteStream): void {
    const peer = stream.peer;
    const serverOptions = {
      clock,
      limits,
      quota,
      newRequestId,
      onFault,
      handlerOf: (protocol: string, method: string) => own(served.get(protocol)?.asks, method),
      ...(observe && {
        onAnswer: (protocol: string, method: string, body: Parameters<typeof encodeCanonical>[0]) =>
          tap(self, peer, protocol, method)?.("answer", encodeCanonical(body)),
      }),
    };
    const refusal = overLimit(peer, held.control, limits.controlStreamsPerPeer);
    if (refusal) track(refuseControl(stream, refusal, serverOptions));
    else hold(serveControl(stream, serverOptions, stop.signal), peer, held.control);
  }

  function onChannelStream(protocol: string, stream: ByteStream): void {
    const refusal = overLimit(stream.peer, held.channel, limits.channelsPerPeer);
    const work = serveChannel(stream, {
      clock,
      idleTimeoutMs: limits.idleTimeoutMs,
      requestId: newRequestId(),
      refusal,
      stop: stop.signal,
      handlerOf: (method) => own(served.get(protocol)?.channels, method),
      onFault,
      tapOf: (method) => tap(self, stream.peer, protocol, method),
    });
    if (refusal) track(work);
    else hold(work, stream.peer, held.channel);
  }

  /** A peer may ask itself: the same code on both sides, over a pair in memory. */
  function openToSelf(streamProtocol: string): ByteStream {
    const isControl = streamProtocol === CONTROL_PROTOCOL;
    if (isControl ? served.size === 0 : !served.get(streamProtocol)?.channels) throw notServed(self, streamProtocol);
    const [asking, answering] = createStreamPair(self, self);
    if (isControl) onControlStream(answering);
    else onChannelStream(streamProtocol, answering);
    return asking;
  }

  /** @throws UNREACHABLE, also when the dial takes too long; TIMEOUT or CANCELLED when the caller's patience ends first. */
  async function openStream(to: PeerName, streamProtocol: string, call?: CallOptions): Promise<ByteStream> {
    const deadline = new AbortController();
    const signal = call?.signal;
    const timeoutMs = Math.min(limits.dialTimeoutMs, call?.timeoutMs ?? Number.POSITIVE_INFINITY);
    const late = () => (timeoutMs === call?.timeoutMs ? timedOut(to, timeoutMs) : unreachable(to));
    const giveUp = () => deadline.abort(signal?.aborted ? cancelled(signal.reason) : late());
    const onStop = () => deadline.abort(stop.signal.reason);
    const disarm = clock.after(timeoutMs, giveUp);
    signal?.addEventListener("abort", giveUp, { once: true });
    stop.signal.addEventListener("abort", onStop, { once: true });
    try {
      if (signal?.aborted) giveUp();
      if (stop.signal.aborted) onStop();
      deadline.signal.throwIfAborted();
      return to === self ? openToSelf(streamProtocol) : await host.open(to, streamProtocol, deadline.signal);
    } catch (error) {
      throw deadline.signal.aborted ? deadline.signal.reason : error;
    } finally {
      disarm();
      signal?.removeEventListener("abort", giveUp);
      stop.signal.removeEventListener("abort", onStop);
    }
  }

  function clientOf(to: PeerName): ControlClient {
    let client = clients.get(to);
    if (!client) {
      client = createControlClient(to, {
        clock,
        idleTimeoutMs: limits.idleTimeoutMs,
        openStream: () => openStream(to, CONTROL_PROTOCOL),
      });
      clients.set(to, client);
    }
    return client;
  }

  return {
    peer: self,
    async ask(to, protocol, method, body, call) {
      stop.signal.throwIfAborted();
      tap(self, to, protocol, method)?.("ask", encodeCanonical(body));
      return await clientOf(to).ask(protocol, method, body, call);
    },
    async open(to, protocol, method, header, call) {
      const stream = await openStream(to, protocol, call);
      const onSend = tap(self, to, protocol, method);
      const channel = createChannel(stream, {
        clock,
        idleTimeoutMs: limits.idleTimeoutMs,
        ...(onSend && { onSend }),
      });
      const onStop = () => channel.abort(stop.signal.reason);
      stop.signal.addEventListener("abort", onStop, { once: true });
      void channel.over.then(() => stop.signal.removeEventListener("abort", onStop));
      await channel.sendMessage({ method, header });
      return channel;
    },
    async serve(protocol, handlers) {
      stop.signal.throwIfAborted();
      if (served.has(protocol)) throw new IntercloudError("SERVED_TWICE", "internal", `${protocol} is served already`);
      const first = served.size === 0;
      served.set(protocol, handlers);
      if (first) await host.handle(CONTROL_PROTOCOL, onControlStream);
      if (handlers.channels) await host.handle(protocol, (stream) => onChannelStream(protocol, stream));
    },
    async close() {
      if (stop.signal.aborted) return;
      stop.abort(new IntercloudError("CLOSED", "unreachable", "this peer is shutting down", { peers: [self] }));
      for (const client of clients.values()) client.close(cancelled(stop.signal.reason));
      await new Promise<void>((resolve) => {
        const disarm = clock.after(limits.shutdownMs, resolve);
        void Promise.all(running).then(() => {
          disarm();
          resolve();
        });
      });
      // only now: a peer that comes meanwhile is told that we go, and not that we do not know the protocol
      if (served.size > 0) await host.unhandle(CONTROL_PROTOCOL);
      for (const [protocol, { channels }] of served) if (channels) await host.unhandle(protocol);
    },
  };
}

/** A peer names the method: what an object inherits must not be reachable that way. */
function own<T>(methods: Readonly<Record<string, T>> | undefined, name: string): T | undefined {
  return methods && Object.hasOwn(methods, name) ? methods[name] : undefined;
}
