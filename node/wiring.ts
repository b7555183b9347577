/** A provider's node, put together: what it consists of, in the order in which it starts. It stops in reverse. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { auditChange } from "../protocols/audit/index.ts";
import { aesKeystream } from "../protocols/crypto/keystream.ts";
import { peerNameOf } from "../protocols/crypto/peer-name.ts";
import { CUSTODY_PROTOCOL, RESERVED_DISK_BYTES } from "../protocols/custody/constants.ts";
import { custodyHandlers, type RestoreReport, restoreAll, sweepDeposits } from "../protocols/custody/server/index.ts";
import type { CustodyProvider } from "../protocols/custody/server/provider.ts";
import {
  createDealKeeper,
  createUnbound,
  DEALING_PROTOCOL,
  sweepDeals,
  type Unbound,
} from "../protocols/dealing/index.ts";
import { simdKernel } from "../protocols/field/index.ts";
import type { SignedDescriptor } from "../protocols/identity/descriptor.ts";
import type { SignedFederation } from "../protocols/identity/federation.ts";
import { createReplayGuard } from "../protocols/identity/replay-guard.ts";
import type { Store } from "../protocols/storage/index.ts";
import { createHost, type Host } from "../protocols/wire/libp2p-host.ts";
import { createLibp2pTransport } from "../protocols/wire/libp2p-transport.ts";
import type { Handlers, PeerName, Transport } from "../protocols/wire/transport.ts";
import { type AdminServer, startAdminServer } from "../runtime/admin-server.ts";
import { systemClock } from "../runtime/clock.ts";
import { systemEntropy } from "../runtime/entropy.ts";
import { createGarbageCollector } from "../runtime/garbage.ts";
import { createHeapPolicy } from "../runtime/heap-policy.ts";
import { createLifecycle, type Lifecycle, type Step } from "../runtime/lifecycle.ts";
import type { Log } from "../runtime/log.ts";
import { createMetrics } from "../runtime/metrics.ts";
import { createAddressBook, type NodeAddressBook } from "./address-book.ts";
import { auditQuestions } from "./audit/admin.ts";
import { DESCRIPTOR_FILE, type NodeConfig } from "./config.ts";
import { type Connections, keepConnections } from "./connections.ts";
import { dhtOf, dhtServices } from "./dht.ts";
import { type Discovery, startDiscovery } from "./discovery.ts";
import { createNodeEvents } from "./events.ts";
import { decodeDescriptor, encodeDescriptor, openFederation } from "./federation.ts";
import { startHousekeeping } from "./housekeeping.ts";
import { keptCiphertexts } from "./kept-ciphertexts.ts";
import type { NodeKeys } from "./keys.ts";
import { meteredHandlers, meteredStore } from "./metered.ts";
import { causesAgainst, tellsOfDamage } from "./readiness.ts";
import { currentDescriptor } from "./self.ts";
import { createSlot } from "./slot.ts";
import { type OpenStore, openStore } from "./store/index.ts";

const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
  version: string;
};

/** Longer than from one message of a deposit to its next, also to a peer far away. */
const BUSY_AFTER_ANSWER_MS = 1_000;

/** Handlers that were told to stop get this long, of the five seconds that a supervisor may wait for the process. */
const HANDLERS_STOP_MS = 500;

export interface NodeOptions {
  readonly directory: string;
  readonly config: NodeConfig;
  readonly keys: NodeKeys;
  readonly log: Log;
  /** Protocols to serve beside ours, over the same connections; the benchmarks measure with one. */
  readonly alsoServe?: ((transport: Transport) => Readonly<Record<string, Handlers>>) | undefined;
}

export interface Node {
  readonly peer: PeerName;
  readonly lifecycle: Lifecycle;
  /** Only while it runs. */
  adminUrl(): string | undefined;
  /** Gets back from the other providers whatever is missing here. Only while it runs. */
  restore(signal: AbortSignal, onProgress: (done: number) => void): Promise<RestoreReport>;
  /** What the federation calls a peer. */
  nameOf(peer: PeerName): string;
}

/** `lifecycle.start()` starts it. */
export function createNode({ directory, config, keys, log, alsoServe }: NodeOptions): Node {
  const peer = peerNameOf(keys.signer.publicKey);
  const clock = systemClock;
  const entropy = systemEntropy;
  const metrics = createMetrics();

  // Filled by the steps below, each of which uses what the earlier ones made.
  const membership = createSlot<{ federation: SignedFederation; member: SignedDescriptor }>("federation");
  const addressBook = createSlot<NodeAddressBook>("federation");
  const admin = createSlot<AdminServer>("admin");
  const openedStore = createSlot<OpenStore>("store");
  const store = createSlot<Store>("store");
  const host = createSlot<Host>("host");
  const transport = createSlot<Transport>("transport");
  const provider = createSlot<CustodyProvider>("custody");
  const unbound = createSlot<Unbound>("custody");
  const discovery = createSlot<Discovery>("discovery");
  const connections = createSlot<Connections>("discovery");

  let startedAtMs: number | undefined;
  let stopping = false;
  let storeDamaged = false;
  // What was burnt before a crash may still be in the store's files.
  let burnt = true;
  const onRemove = () => {
    burnt = true;
  };

  const events = createNodeEvents(log, metrics, version, {
    connectedPeers: () => connections.found?.connected() ?? 0,
    dhtPeers: () => (host.found === undefined ? 0 : dhtOf(host.found).routingTable.size),
    storeRecords: () => openedStore.found?.recordCount ?? 0,
    auditEntries: () => openedStore.found?.log.count ?? 0,
    unbound: () => unbound.found?.waiting() ?? { deals: 0, bytes: 0 },
  });
  let answeredAtMs = Number.NEGATIVE_INFINITY;
  const onAnswer: typeof events.onAnswer = (...answer) => {
    answeredAtMs = clock.nowMs();
    events.onAnswer(...answer);
  };
  const onError = (error: unknown) => {
    storeDamaged ||= tellsOfDamage(error);
  };
  const membersOf = ({ providers, dealers }: SignedFederation) => [...providers, ...dealers];
  const otherMembers = () => membersOf(membership.get().federation).filter((member) => member.peer !== peer);
  const isProvider = (name: PeerName) => membership.get().federation.providers.some((member) => member.peer === name);
  const isDealer = (name: PeerName) => membership.get().federation.dealers.some((member) => member.peer === name);

  async function readiness() {
    const freeBytes = await openedStore.found?.freeBytes();
    if (freeBytes !== undefined) events.onDisk(freeBytes);
    return causesAgainst({
      ...{ startedAtMs, stopping, storeDamaged, freeBytes, minFreeBytes: config.minFreeBytes, nowMs: clock.nowMs() },
      otherMembers: membership.found === undefined ? 0 : otherMembers().length,
      everConnected: connections.found?.everConnected() ?? false,
    });
  }

  const questions = auditQuestions(() => openedStore.found?.log);

  const steps: Step[] = [
    {
      name: "federation",
      async start() {
        const opened = membership.set(await openFederation(config, peer));
        addressBook.set(createAddressBook({ members: membersOf(opened.federation), readRecord: decodeDescriptor }));
      },
      async stop() {},
    },
    {
      name: "admin",
      async start() {
        const { adminHost, adminPort } = config;
        const { url } = admin.set(
          await startAdminServer({ host: adminHost, port: adminPort, readiness, metrics, log, questions }),
        );
        log.info("admin-listening", { url });
      },
      stop: () => admin.get().close(),
    },
    {
      name: "store",
      async start() {
        const opened = await openStore({
          directory: config.storeDirectory,
          key: keys.storeKey,
          audit: { key: keys.auditKey, signer: keys.signer, clock },
          onWarning: (event, fields) => log.warn(event, fields),
        });
        openedStore.set(opened);
        events.onDisk(await opened.freeBytes());
        store.set(meteredStore(opened, events, onRemove));
        try {
          await opened.commit([auditChange({ kind: "started", version, peer })]);
        } catch (error) {
          await opened.close();
          throw error;
        }
        log.info("store-opened", { records: opened.recordCount });
      },
      async stop() {
        // The transport is closed, so nothing comes behind it.
        try {
          await openedStore.get().commit([auditChange({ kind: "stopped" })]);
        } finally {
          await openedStore.get().close();
        }
      },
    },
    {
      name: "host",
      async start() {
        const book = addressBook.get();
        const services = dhtServices({
          ...{ isMember: isProvider, checkNodeRecord: book.learn, newestNodeRecord: book.newestOf },
        });
        const { listen, maxConnections } = config;
        const limits = { maxConnections };
        host.set(await createHost({ privateKeySeed: keys.peerSeed, listen, limits, services }));
      },
      stop: async () => await host.get().stop(),
    },
    {
      name: "transport",
      async start() {
        const { channelsPerPeer, asksInFlight, requestsPerSecond, requestBurst } = config;
        const limits = { channelsPerPeer, asksInFlight, requestsPerSecond, requestBurst, shutdownMs: HANDLERS_STOP_MS };
        const { onFault } = events;
        const onTraffic = createGarbageCollector();
        transport.set(
          createLibp2pTransport(host.get(), { clock, limits, onFault, addressBook: addressBook.get(), onTraffic }),
        );
      },
      stop: () => transport.get().close(),
    },
    {
      name: "protocols",
      async start() {
        const custody = provider.set({
          ...{ transport: transport.get(), store: store.get(), clock, entropy, isDealer },
          ...{ signer: keys.signer, agreementKey: keys.agreementKey },
          agreementKeyOf: (name) =>
            membership.get().federation.providers.find((member) => member.peer === name)?.agreementKey,
          tools: { keystream: aesKeystream, kernel: simdKernel },
          replayGuard: createReplayGuard(clock.nowMs()),
          // Custody stops taking deposits at RESERVED_DISK_BYTES; seen from there, what we want to keep free is not.
          freeBytes: async () => (await openedStore.get().freeBytes()) - (config.minFreeBytes - RESERVED_DISK_BYTES),
          locate: async (tokenId, signal) => (await discovery.found?.locate(tokenId, signal)) ?? [],
          announce: (tokenId) => discovery.found?.announce(tokenId),
          limits: config,
          observe(event) {
            const gone = event.kind === "burnt" || event.kind === "destroyed" || event.kind === "moved-away";
            if (gone) discovery.found?.withdraw(event.tokenId);
            events.onCustodyEvent(event);
          },
        });
        // Before anybody is served: what a crash left half done must not be gone on with.
        await sweepDeposits(custody, true);
        await sweepDeals(custody.store, clock.nowMs());
        const { agreementKey } = keys;
        const { keystream } = custody.tools;
        const dealing = { peer, store: custody.store, clock, isDealer };
        const counting = unbound.set(createUnbound({ ...dealing, limits: config }));
        const keeper = createDealKeeper({ ...dealing, agreementKey, keystream, unbound: counting });
        const served = { [DEALING_PROTOCOL]: keeper, [CUSTODY_PROTOCOL]: custodyHandlers(custody) };
        const watched = createHeapPolicy(clock);
        for (const [protocol, handlers] of Object.entries(served)) {
          const metered = meteredHandlers(protocol, handlers, { ...events, onAnswer }, onError);
          await transport.get().serve(protocol, watched(metered));
        }
        for (const [protocol, handlers] of Object.entries(alsoServe?.(transport.get()) ?? {})) {
          await transport.get().serve(protocol, watched(handlers));
        }
      },
      async stop() {},
    },
    {
      name: "discovery",
      async start() {
        const descriptor = await currentDescriptor({
          file: path.join(directory, DESCRIPTOR_FILE),
          ...{ config, keys, member: membership.get().member, nowMs: clock.nowMs() },
          listening: host
            .get()
            .getMultiaddrs()
            .map((address) => address.decapsulate("/p2p").toString()),
        });
        const others = otherMembers();
        const started = discovery.set(
          startDiscovery({
            ...{ dht: dhtOf(host.get()), self: peer, addressBook: addressBook.get(), clock, entropy },
            descriptor: encodeDescriptor(descriptor),
            alone: !others.some((member) => isProvider(member.peer)),
            isBusy: () => clock.nowMs() - answeredAtMs < BUSY_AFTER_ANSWER_MS,
            keptCiphertexts: () => keptCiphertexts(store.get()),
          }),
        );
        connections.set(
          keepConnections({
            ...{ host: host.get(), addressBook: addressBook.get(), clock, entropy },
            members: others.map((member) => member.peer),
            refresh: started.refresh,
          }),
        );
      },
      async stop() {
        await Promise.all([connections.get().stop(), discovery.get().stop()]);
      },
    },
    housekeepingStep(),
    {
      name: "ready",
      async start() {
        startedAtMs = clock.nowMs();
        log.info("node-started", { peer, addresses: host.get().getMultiaddrs().map(String) });
      },
      async stop() {
        stopping = true;
      },
    },
  ];

  function housekeepingStep(): Step {
    let stop = async () => {};
    return {
      name: "housekeeping",
      async start() {
        const takeBurnt = () => {
          const was = burnt;
          burnt = false;
          return was;
        };
        const parts = {
          provider: provider.get(),
          unbound: unbound.get(),
          store: openedStore.get(),
          clock,
          config,
          events,
          log,
          onError,
        };
        stop = startHousekeeping({ ...parts, takeBurnt }).stop;
      },
      stop: () => stop(),
    };
  }

  return {
    peer,
    lifecycle: createLifecycle(steps),
    adminUrl: () => admin.found?.url,
    async restore(signal, onProgress) {
      const others = otherMembers().map((member) => member.peer);
      return await restoreAll(provider.get(), others.filter(isProvider), signal, onProgress);
    },
    nameOf: (name) => membersOf(membership.get().federation).find((member) => member.peer === name)?.name ?? name,
  };
}
