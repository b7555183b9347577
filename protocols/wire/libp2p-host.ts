/** A libp2p node as we need it: TCP, Noise, Yamux, and limits that fit long transfers and many peers behind one address. */
import { privateKeyFromRaw } from "@libp2p/crypto/keys";
import type { Libp2p, StreamMuxerFactory } from "@libp2p/interface";
import { ping } from "@libp2p/ping";
import { yamux } from "@libp2p/yamux";
import { createLibp2p, type Libp2pOptions } from "libp2p";
import { signerFromSeed } from "../crypto/signing.ts";
import { IntercloudError } from "./errors.ts";
import { quietNoise } from "./libp2p-noise.ts";
import { tcpAtOnce } from "./libp2p-tcp.ts";
import { guardYamux } from "./yamux-guard.ts";

export interface HostLimits {
  /** Beyond this, new connections are refused. */
  readonly maxConnections: number;
  /**
   * New connections per second from one IP address. libp2p's own 5 is less than a testnet on one machine, or an office behind
   * one address, opens at its start; the cost of a handshake, about 2 ms of a core, sets the upper end.
   */
  readonly inboundConnectionsPerSecond: number;
  /** Handshakes going on at once; libp2p's own 10 refuses the eleventh node of a testnet that starts together. */
  readonly maxPendingConnections: number;
}

export const DEFAULT_HOST_LIMITS: HostLimits = {
  maxConnections: 1_000,
  inboundConnectionsPerSecond: 100,
  maxPendingConnections: 100,
};

/**
 * A stream's window. Must stay under libp2p's read buffer (4 MiB), or a paused stream is reset when its window has grown;
 * 1 MiB carries 20 MB/s over 50 ms, and is what a slow reader costs us in memory.
 */
const STREAM_WINDOW_BYTES = 1024 * 1024;

const muxerOptions = {
  streamOptions: { maxStreamWindowSize: STREAM_WINDOW_BYTES },
  // an eleventh stream that comes before the other side has set up the connection would break it, with libp2p's own 10
  maxEarlyStreams: 1_000,
};

function guardedYamux(): StreamMuxerFactory {
  const factory = yamux(muxerOptions)();
  return {
    protocol: factory.protocol,
    createStreamMuxer(connection) {
      guardYamux(connection, STREAM_WINDOW_BYTES);
      return factory.createStreamMuxer(connection);
    },
  };
}

type ServiceFactories = NonNullable<Libp2pOptions["services"]>;

export interface HostOptions {
  /** 32 bytes: the Ed25519 private key of this peer. */
  readonly privateKeySeed: Uint8Array;
  /** Multiaddrs; none for a peer that only asks. */
  readonly listen: readonly string[];
  /** More libp2p services, the DHT for one. */
  readonly services?: ServiceFactories;
  readonly limits?: Partial<HostLimits>;
}

export type Host = Libp2p;

/**
 * Starts listening. The owner stops it with `host.stop()`, after the transports on it are closed.
 * @throws IntercloudError PORT_IN_USE, LISTEN_FAILED.
 */
export async function createHost(options: HostOptions): Promise<Host> {
  try {
    return await createLibp2pHost(options);
  } catch (error) {
    throw error instanceof Error && error.name === "UnsupportedListenAddressesError"
      ? listenFailed(options.listen, error)
      : error;
  }
}

/** libp2p's own text is ten lines with the stacks of the system's errors in it. */
function listenFailed(listen: readonly string[], error: Error): IntercloudError {
  const addresses = listen.join(", ");
  if (error.message.includes("EADDRINUSE")) {
    const message = `${addresses} is in use; stop what uses it, or listen on another port`;
    return new IntercloudError("PORT_IN_USE", "conflict", message, {}, error);
  }
  const reason = /\b(E[A-Z]{4,})\b/.exec(error.message)?.[1] ?? "libp2p knows no way";
  const message = `${addresses} cannot be listened on (${reason}); name an address of this machine`;
  return new IntercloudError("LISTEN_FAILED", "conflict", message, {}, error);
}

async function createLibp2pHost({ privateKeySeed, listen, services, limits }: HostOptions): Promise<Host> {
  const { maxConnections, inboundConnectionsPerSecond, maxPendingConnections } = { ...DEFAULT_HOST_LIMITS, ...limits };
  return (await createLibp2p({
    // With the public key in it: libp2p would take ten times as long to find it as the system does.
    privateKey: privateKeyFromRaw(Buffer.concat([privateKeySeed, signerFromSeed(privateKeySeed).publicKey])),
    addresses: { listen: [...listen] },
    transports: [tcpAtOnce()],
    connectionEncrypters: [quietNoise()],
    streamMuxers: [guardedYamux],
    connectionManager: {
      maxConnections,
      inboundConnectionThreshold: inboundConnectionsPerSecond,
      maxIncomingPendingConnections: maxPendingConnections,
    },
    // libp2p's monitor kills a connection after one slow ping, with every transfer on it; libp2p-liveness.ts looks first
    connectionMonitor: { enabled: false },
    services: { ...services, ping: ping() },
  })) as unknown as Host;
}
