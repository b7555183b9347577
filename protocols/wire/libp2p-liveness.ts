/**
 * Finds peers that are gone without a word (no power, no network, stopped): a connection from which nothing has come for a
 * while is pinged, and is broken only if the ping fails and still nothing has come. A slow peer that sends is alive.
 */
import type { Connection } from "@libp2p/interface";
import type { Clock } from "./clock.ts";
import type { Host } from "./libp2p-host.ts";
import type { PeerName } from "./transport.ts";

/** How often connections with streams are looked at. */
const CHECK_MS = 5_000;
/** Silence after which a connection is asked, and time for it to answer: a peer is given up after 15 to 20 seconds. */
const SILENCE_MS = 5_000;
const PING_MS = 10_000;

export interface Liveness {
  /** Bytes came from this peer. */
  heard(peer: PeerName): void;
  stop(): void;
}

export function watchLiveness(host: Host, clock: Clock): Liveness {
  const heardMs = new Map<PeerName, number>();
  const asked = new Set<Connection>();
  let disarm = () => {};
  let stopped = false;

  const silentMs = (peer: PeerName) => clock.nowMs() - (heardMs.get(peer) ?? 0);

  async function ask(connection: Connection): Promise<void> {
    const peer = connection.remotePeer.toString();
    asked.add(connection);
    const deadline = new AbortController();
    const disarmPing = clock.after(PING_MS, () => {
      // if it was us who stood still, the answer waits to be read: let that happen first
      setImmediate(() => setImmediate(() => deadline.abort()));
    });
    try {
      await pingOf(host).ping(connection.remotePeer, { signal: deadline.signal });
      heardMs.set(peer, clock.nowMs());
    } catch {
      if (!stopped && silentMs(peer) >= SILENCE_MS + PING_MS) {
        connection.abort(new Error("nothing came from this peer, not even the answer to a ping"));
      }
    } finally {
      disarmPing();
      asked.delete(connection);
    }
  }

  function check(): void {
    const connections = host.getConnections();
    const peers = new Set(connections.map(({ remotePeer }) => remotePeer.toString()));
    for (const peer of heardMs.keys()) if (!peers.has(peer)) heardMs.delete(peer);
    for (const connection of connections) {
      const peer = connection.remotePeer.toString();
      if (!heardMs.has(peer)) heardMs.set(peer, clock.nowMs());
      if (silentMs(peer) >= SILENCE_MS && connection.streams.length > 0 && !asked.has(connection)) void ask(connection);
    }
    disarm = clock.after(CHECK_MS, check);
  }

  disarm = clock.after(CHECK_MS, check);
  return {
    heard: (peer) => void heardMs.set(peer, clock.nowMs()),
    stop() {
      stopped = true;
      disarm();
    },
  };
}

interface Pinger {
  ping(peer: Connection["remotePeer"], options: { signal: AbortSignal }): Promise<number>;
}

const pingOf = (host: Host) => (host.services as unknown as { ping: Pinger }).ping;
