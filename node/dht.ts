/**
 * The federation's private Kademlia DHT, as a libp2p service. Only members of the federation take part: a stranger's streams are
 * refused and its addresses are not taken into the routing table, so nobody from outside can fill it or our memory.
 */
import { type IdentifyComponents, identify } from "@libp2p/identify";
import type { Connection, Stream, StreamHandler } from "@libp2p/interface";
import { type KadDHT, type KadDHTComponents, kadDHT } from "@libp2p/kad-dht";
import type { Host, HostOptions } from "../protocols/wire/libp2p-host.ts";
import type { PeerName } from "../protocols/wire/transport.ts";

export const DHT_PROTOCOL = "/intercloud/kad/1.0.0";

/** Records are at `/intercloud/node/<peer>`; the first word chooses the validator. */
const RECORD_NAMESPACE = "intercloud";
const NODE_RECORD = "node";

/**
 * Who holds a ciphertext is kept in memory, about 600 bytes for each entry. Beyond this many new ones are refused: the DHT
 * is a hint, and finding a deposit without it costs one question to every provider.
 */
export const MAX_PROVIDER_ENTRIES = 50_000;

/** Our own entries are told again one after another: there is a day for it. */
const REPROVIDE_CONCURRENCY = 1;

export interface DhtOptions {
  readonly isMember: (peer: PeerName) => boolean;
  /** Checks a node's record before it is kept or used. @throws when it is not valid, or older than one that we know. */
  readonly checkNodeRecord: (peer: PeerName, value: Uint8Array) => void;
  /** Which of several valid records is the newest. */
  readonly newestNodeRecord: (records: readonly Uint8Array[]) => number;
}

export type Dht = KadDHT & { readonly routingTable: { readonly size: number } };

export function nodeRecordKey(peer: PeerName): Uint8Array {
  return Buffer.from(`/${RECORD_NAMESPACE}/${NODE_RECORD}/${peer}`, "utf8");
}

type Services = NonNullable<HostOptions["services"]>;
type ServiceFactory = Services[string];

/** The services that `createHost` starts for it; `dhtOf` finds the DHT there. */
export function dhtServices(options: DhtOptions): Services {
  return { identify: identifyService(options.isMember), dht: dhtService(options) };
}

/**
 * From this the DHT knows who takes part. Only members are asked: a client takes no part, and asking it costs both sides as much
 * as all the rest of a short command.
 */
function identifyService(isMember: DhtOptions["isMember"]): ServiceFactory {
  const createService = identify({ runOnConnectionOpen: false });
  return (untyped) => {
    const components = untyped as unknown as IdentifyComponents;
    const service = createService(components);
    components.events.addEventListener("connection:open", ({ detail: connection }) => {
      // It went away, or does not speak it: it is no peer for the DHT then.
      if (isMember(connection.remotePeer.toString())) service.identify(connection).catch(() => undefined);
    });
    return service;
  };
}

function dhtService({ isMember, checkNodeRecord, newestNodeRecord }: DhtOptions): ServiceFactory {
  const createService = kadDHT({
    protocol: DHT_PROTOCOL,
    // Told by hand: libp2p makes servers only of nodes with public addresses, and a federation may be on a private network.
    clientMode: false,
    // The default drops private addresses.
    peerInfoMapper: (peer) => (isMember(peer.id.toString()) ? peer : { ...peer, multiaddrs: [] }),
    validators: { [RECORD_NAMESPACE]: (key, value) => checkNodeRecord(peerOfKey(key), value) },
    selectors: { [RECORD_NAMESPACE]: (_key, records) => newestNodeRecord(records) },
    reprovide: { concurrency: REPROVIDE_CONCURRENCY },
  });
  return (untyped) => {
    // libp2p gives every service all components; its types cannot say so.
    const components = untyped as unknown as KadDHTComponents;
    const { registrar, datastore } = components;
    return createService(
      withOverrides(components, {
        registrar: withOverrides(registrar, {
          handle: (protocol, handler, options) => registrar.handle(protocol, membersOnly(handler, isMember), options),
        }),
        datastore: boundedDatastore(datastore),
      }),
    );
  };
}

export function dhtOf(host: Host): Dht {
  return (host.services as unknown as { readonly dht: Dht }).dht;
}

/** @throws when this is not the key of a node's record. */
function peerOfKey(key: Uint8Array): PeerName {
  const [empty, namespace, kind, peer, ...rest] = Buffer.from(key).toString("utf8").split("/");
  const right = empty === "" && namespace === RECORD_NAMESPACE && kind === NODE_RECORD && rest.length === 0;
  if (!right || peer === undefined) throw new Error("not the key of a node's record");
  return peer;
}

function membersOnly(handler: StreamHandler, isMember: DhtOptions["isMember"]): StreamHandler {
  return (stream: Stream, connection: Connection) => {
    if (isMember(connection.remotePeer.toString())) return handler(stream, connection);
    stream.abort(new Error("not a member of the federation"));
  };
}

type Datastore = KadDHTComponents["datastore"];

/** Refuses new provider entries when there are too many. libp2p deletes those that have expired every hour. */
function boundedDatastore(datastore: Datastore): Datastore {
  let entries = 0;
  const isProviderKey = (key: Parameters<Datastore["has"]>[0]) => key.toString().startsWith("/dht/provider/");
  return withOverrides(datastore, {
    async put(key, value, options) {
      if (isProviderKey(key) && !(await datastore.has(key, options))) {
        if (entries >= MAX_PROVIDER_ENTRIES) throw new Error("too many provider entries");
        entries += 1;
      }
      return await datastore.put(key, value, options);
    },
    async delete(key, options) {
      if (isProviderKey(key) && (await datastore.has(key, options))) entries -= 1;
      await datastore.delete(key, options);
    },
  });
}

/** `target` with some members replaced; what is not replaced runs on `target` itself. */
function withOverrides<T extends object>(target: T, overrides: Partial<T>): T {
  return new Proxy(target, {
    get(_, name) {
      if (Object.hasOwn(overrides, name)) return overrides[name as keyof T];
      const value = target[name as keyof T];
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
