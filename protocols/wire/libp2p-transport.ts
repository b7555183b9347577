/** The transport over a libp2p node: who is dialled where, and streams as byte streams. */
import type { Connection, Stream } from "@libp2p/interface";
import { peerIdFromString } from "@libp2p/peer-id";
import { multiaddr } from "@multiformats/multiaddr";
import { publicKeyOfPeer } from "../crypto/peer-name.ts";
import { type ByteStream, type StreamHost, unreachable } from "./byte-stream.ts";
import type { Host } from "./libp2p-host.ts";
import { watchLiveness } from "./libp2p-liveness.ts";
import { createLibp2pStream } from "./libp2p-stream.ts";
import { DEFAULT_LIMITS } from "./limits.ts";
import { createStreamTransport, notServed, type TransportOptions } from "./stream-transport.ts";
import type { PeerName, Transport } from "./transport.ts";

export interface AddressBook {
  /** Multiaddrs where this peer may be dialled; empty when none is known. */
  addressesOf(peer: PeerName): readonly string[];
}

export interface Libp2pTransportOptions extends TransportOptions {
  readonly addressBook: AddressBook;
  /** Told of every piece that was read from or given to the network. */
  readonly onTraffic?: ((lengthBytes: number) => void) | undefined;
}

export interface Libp2pTransport extends Transport {
  /** Begins to connect, so that the first ask finds a connection. */
  reach(peer: PeerName): void;
}

/** Streams of one protocol on one connection, past which libp2p itself resets them: over our own limits, which say "busy". */
const MAX_STREAMS = 256;

/** When the addresses we know fail, how long a search may take before the peer counts as unreachable. */
const SEARCH_MS = 1_500;

export function createLibp2pTransport(host: Host, options: Libp2pTransportOptions): Libp2pTransport {
  const { clock, addressBook, onTraffic = () => {} } = options;
  const dialTimeoutMs = options.limits?.dialTimeoutMs ?? DEFAULT_LIMITS.dialTimeoutMs;
  const liveness = watchLiveness(host, clock);
  const dials = new Map<PeerName, Promise<Connection>>();

  async function within<T>(timeoutMs: number, action: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const deadline = new AbortController();
    const disarm = clock.after(timeoutMs, () => deadline.abort(new Error(`took longer than ${timeoutMs} ms`)));
    try {
      return await action(deadline.signal);
    } finally {
      disarm();
    }
  }

  /** First where the address book says, then wherever libp2p knows or finds the peer. */
  async function dial(peer: PeerName): Promise<Connection> {
    const addresses = addressBook.addressesOf(peer).map((address) => {
      const parsed = multiaddr(address);
      return parsed.getComponents().some(({ name }) => name === "p2p") ? parsed : parsed.encapsulate(`/p2p/${peer}`);
    });
    const peerId = peerIdFromString(peer);
    if (addresses.length === 0) return await within(dialTimeoutMs, (signal) => host.dial(peerId, { signal }));
    try {
      return await within(dialTimeoutMs, (signal) => host.dial(addresses, { signal }));
    } catch {
      return await within(SEARCH_MS, (signal) => host.dial(peerId, { signal }));
    }
  }

  /** Asks at the same time share one dial, which none of them can cancel for the others. */
  function connectionTo(peer: PeerName): Promise<Connection> {
    const open = host.getConnections(peerIdFromString(peer)).find(({ status, limits }) => status === "open" && !limits);
    if (open) return Promise.resolve(open);
    let dialling = dials.get(peer);
    if (!dialling) {
      dialling = dial(peer).finally(() => dials.delete(peer));
      dials.set(peer, dialling);
    }
    return dialling;
  }

  async function open(peer: PeerName, protocol: string, signal: AbortSignal): Promise<Stream> {
    const connection = await orAborted(connectionTo(peer), signal);
    return await connection.newStream(protocol, { signal, maxOutboundStreams: MAX_STREAMS });
  }

  const streamHost: StreamHost = {
    peer: host.peerId.toString(),
    async open(to, protocol, signal) {
      publicKeyOfPeer(to);
      try {
        // a connection that died a moment ago is still listed: the second try dials
        const stream = await open(to, protocol, signal).catch((error) => {
          if (signal.aborted || !isStaleConnection(error)) throw error;
          return open(to, protocol, signal);
        });
        return counted(
          createLibp2pStream(stream, to, () => liveness.heard(to)),
          onTraffic,
        );
      } catch (error) {
        throw hasName(error, "UnsupportedProtocolError") ? notServed(to, protocol) : unreachable(to, error);
      }
    },
    async handle(protocol, onStream) {
      const onLibp2pStream = (stream: Stream, connection: Connection) => {
        const peer = connection.remotePeer.toString();
        try {
          publicKeyOfPeer(peer);
        } catch (error) {
          stream.abort(error as Error);
          return;
        }
        onStream(
          counted(
            createLibp2pStream(stream, peer, () => liveness.heard(peer)),
            onTraffic,
          ),
        );
      };
      await host.handle(protocol, onLibp2pStream, { maxInboundStreams: MAX_STREAMS, maxOutboundStreams: MAX_STREAMS });
    },
    unhandle: async (protocol) => await host.unhandle(protocol),
  };

  const transport = createStreamTransport(streamHost, options);
  return {
    ...transport,
    reach(peer) {
      connectionTo(peer).catch(() => undefined); // who asks it is told
    },
    async close() {
      await transport.close();
      liveness.stop();
    },
  };
}

function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

const hasName = (error: unknown, ...names: string[]) => error instanceof Error && names.includes(error.name);

/** What libp2p throws when the connection went away under a new stream, before anything of ours was sent; events included. */
const isStaleConnection = (error: unknown) =>
  !(error instanceof Error) ||
  hasName(
    error,
    "ConnectionClosedError",
    "MuxerClosedError",
    "StreamStateError",
    "StreamResetError",
    "StreamClosedError",
  ) ||
  hasName(error, "UnexpectedEOFError");

/** The same stream; what passes is counted. */
function counted(stream: ByteStream, onTraffic: (lengthBytes: number) => void): ByteStream {
  return {
    ...stream,
    async read() {
      const bytes = await stream.read();
      if (bytes !== null) onTraffic(bytes.length);
      return bytes;
    },
    async write(pieces) {
      for (const piece of pieces) onTraffic(piece.length);
      await stream.write(pieces);
    },
  };
}
