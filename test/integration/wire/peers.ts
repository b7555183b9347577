/** Real libp2p peers on the loopback interface of this process, stopped after the test. */
import { createHash } from "node:crypto";
import { afterEach } from "vitest";
import type { ByteStream } from "../../../protocols/wire/byte-stream.ts";
import { createHost, type Host, type HostLimits } from "../../../protocols/wire/libp2p-host.ts";
import { createLibp2pStream } from "../../../protocols/wire/libp2p-stream.ts";
import { createLibp2pTransport } from "../../../protocols/wire/libp2p-transport.ts";
import type { TransportLimits } from "../../../protocols/wire/limits.ts";
import type { Transport } from "../../../protocols/wire/transport.ts";
import { systemClock } from "../../../runtime/clock.ts";

export const PROTOCOL = "/intercloud/test/1.0.0";
export const RAW = "/intercloud/raw/1.0.0";
export const soon = { timeoutMs: 15_000 };

export interface Peer {
  readonly name: string;
  readonly host: Host;
  readonly transport: Transport;
  readonly addresses: readonly string[];
  stop(): Promise<void>;
}

/** Where everybody finds everybody; a test may change it. */
export const addressBook = new Map<string, readonly string[]>();

const running = new Set<Peer>();
let made = 0;

afterEach(async () => {
  await Promise.all(Array.from(running, (peer) => peer.stop()));
  addressBook.clear();
});

interface PeerOptions {
  /** The same name is the same key. */
  readonly key?: string;
  readonly port?: number;
  readonly limits?: Partial<TransportLimits>;
  readonly hostLimits?: Partial<HostLimits>;
  readonly onFault?: (error: unknown, requestId: string) => void;
}

export const seedOf = (key: string) => new Uint8Array(createHash("sha256").update(key).digest());

export async function startPeer(options: PeerOptions = {}): Promise<Peer> {
  const host = await createHost({
    privateKeySeed: seedOf(options.key ?? `peer ${++made}`),
    listen: [`/ip4/127.0.0.1/tcp/${options.port ?? 0}`],
    limits: options.hostLimits ?? {},
  });
  const transport = createLibp2pTransport(host, {
    clock: systemClock,
    limits: options.limits ?? {},
    addressBook: { addressesOf: (peer) => addressBook.get(peer) ?? [] },
    ...(options.onFault && { onFault: options.onFault }),
  });
  const addresses = host.getMultiaddrs().map(String);
  addressBook.set(transport.peer, addresses);
  const peer: Peer = {
    name: transport.peer,
    host,
    transport,
    addresses,
    async stop() {
      running.delete(peer);
      await transport.close();
      await host.stop();
    },
  };
  running.add(peer);
  return peer;
}

/** A bare stream between two peers, as both see it: for tests below the framing. */
export async function openRaw(from: Peer, to: Peer): Promise<{ asking: ByteStream; answering: ByteStream }> {
  const answering = new Promise<ByteStream>((resolve, reject) => {
    to.host.handle(RAW, (stream) => resolve(createLibp2pStream(stream, from.name)), { force: true }).catch(reject);
  });
  const stream = await from.host.dialProtocol(to.host.getMultiaddrs(), RAW);
  return { asking: createLibp2pStream(stream, to.name), answering: await answering };
}
