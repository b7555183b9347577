/**
 * Keeps a connection to every member of the federation, so that the DHT has somebody to talk to and members that came back on
 * another address are known to all. Only a convenience: a protocol that needs a peer dials it itself.
 */
import { peerIdFromString } from "@libp2p/peer-id";
import { multiaddr } from "@multiformats/multiaddr";
import type { Entropy } from "../protocols/crypto/entropy.ts";
import type { Clock } from "../protocols/wire/clock.ts";
import type { Host } from "../protocols/wire/libp2p-host.ts";
import { jittered, pause, withDeadline } from "../protocols/wire/pause.ts";
import type { PeerName } from "../protocols/wire/transport.ts";
import type { NodeAddressBook } from "./address-book.ts";

/** A connection costs both sides a few milliseconds of a core: few at a time leaves room for the real work. */
const PARALLEL_DIALS = 4;
const DIAL_TIMEOUT_MS = 5_000;

/** Of two members that start together, one waits this long for the other, or they would dial each other at once. */
const YIELD_MS = 1_000;
/** Spreads the first dials of many members that start together. */
const FIRST_SPREAD_MS = 300;

const FIRST_RETRY_MS = 1_000;
/** A member that is away for long is still found within a minute of its return, if it does not dial us first. */
const LAST_RETRY_MS = 60_000;
/** How often a connection that stands is looked at. */
const CHECK_MS = 10_000;

export interface ConnectionsOptions {
  readonly host: Host;
  readonly clock: Clock;
  readonly entropy: Entropy;
  /** All members but ourselves. */
  readonly members: readonly PeerName[];
  readonly addressBook: NodeAddressBook;
  /** Looks for a newer record of a member whose known addresses do not answer; whatever it finds is in the book then. */
  readonly refresh: (peer: PeerName, signal: AbortSignal) => Promise<void>;
}

export interface Connections {
  /** Members that we are connected to now. */
  connected(): number;
  /** Whether any other member was ever connected since the start. */
  everConnected(): boolean;
  stop(): Promise<void>;
}

export function keepConnections(options: ConnectionsOptions): Connections {
  const { host, clock, entropy, members, addressBook } = options;
  const stopping = new AbortController();
  const { signal } = stopping;
  const slots = createSlots(PARALLEL_DIALS);
  const self = host.peerId.toString();
  let ever = false;

  const isConnected = (peer: PeerName) => host.getConnections(peerIdFromString(peer)).length > 0;

  async function dial(peer: PeerName): Promise<boolean> {
    const addresses = addressBook.addressesOf(peer).map((address) => withPeer(address, peer));
    if (addresses.length === 0) return false;
    try {
      await withDeadline(clock, DIAL_TIMEOUT_MS, signal, (either) => host.dial(addresses, { signal: either }));
      return true;
    } catch {
      return false; // it is away; whoever needs it gets the error from its own dial
    }
  }

  async function dialOrRefresh(peer: PeerName): Promise<boolean> {
    if (isConnected(peer) || (await dial(peer))) return true;
    const before = addressBook.addressesOf(peer);
    await options.refresh(peer, signal);
    const after = addressBook.addressesOf(peer);
    return before.join() !== after.join() && (await dial(peer));
  }

  async function keep(peer: PeerName): Promise<void> {
    await pause(clock, (self < peer ? YIELD_MS : 0) + jittered(FIRST_SPREAD_MS, entropy), signal);
    let retryMs = FIRST_RETRY_MS;
    while (!signal.aborted) {
      if (await slots.run(() => dialOrRefresh(peer))) {
        ever = true;
        retryMs = FIRST_RETRY_MS;
        await pause(clock, jittered(CHECK_MS, entropy), signal);
      } else {
        await pause(clock, jittered(retryMs, entropy), signal);
        retryMs = Math.min(2 * retryMs, LAST_RETRY_MS);
      }
    }
  }

  const done = Promise.all(members.map(keep));
  return {
    connected: () => members.filter(isConnected).length,
    everConnected: () => ever || members.some(isConnected),
    async stop() {
      stopping.abort();
      await done;
    },
  };
}

function withPeer(address: string, peer: PeerName) {
  const parsed = multiaddr(address);
  return parsed.getComponents().some(({ name }) => name === "p2p") ? parsed : parsed.encapsulate(`/p2p/${peer}`);
}

/** Runs at most so many actions at once; the others wait in line. */
function createSlots(count: number) {
  const waiting: (() => void)[] = [];
  let free = count;
  return {
    async run<T>(action: () => Promise<T>): Promise<T> {
      if (free > 0) free -= 1;
      else await new Promise<void>((resolve) => waiting.push(resolve));
      try {
        return await action();
      } finally {
        const next = waiting.shift();
        if (next === undefined) free += 1;
        else next();
      }
    },
  };
}
