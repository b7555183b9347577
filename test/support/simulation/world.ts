/**
 * Providers, a dealer and users in a simulation: the real protocol code, put together as node/wiring.ts does, on a network, disks, clocks and
 * randomness that all follow from one seed.
 */
import { newAgreementKey } from "../../../protocols/crypto/key-agreement.ts";
import { aesKeystream } from "../../../protocols/crypto/keystream.ts";
import { peerNameOf } from "../../../protocols/crypto/peer-name.ts";
import { newSigner, type Signer } from "../../../protocols/crypto/signing.ts";
import type { CustodyUser } from "../../../protocols/custody/client/index.ts";
import { CUSTODY_PROTOCOL } from "../../../protocols/custody/constants.ts";
import {
  type CustodyEvent,
  type CustodyProvider,
  custodyHandlers,
  settleCustody,
  sweepDeposits,
} from "../../../protocols/custody/server/index.ts";
import {
  createDealKeeper,
  createDealServer,
  DEAL_LIFETIME_MS,
  DEALING_PROTOCOL,
  sweepDeals,
} from "../../../protocols/dealing/index.ts";
import type { DealServerOptions } from "../../../protocols/dealing/server.ts";
import { simdKernel } from "../../../protocols/field/index.ts";
import { createReplayGuard, identityOfKey, openSession, PURPOSES } from "../../../protocols/identity/index.ts";
import { userKeyOf } from "../../../protocols/identity/user-key.ts";
import type { Clock } from "../../../protocols/wire/clock.ts";
import type { Handlers, PeerName } from "../../../protocols/wire/transport.ts";
import { createMemoryStore, type MemoryStore } from "../memory-store.ts";
import { type Conditions, calm } from "./conditions.ts";
import { createDisk } from "./disk.ts";
import { disturbed } from "./disturbed.ts";
import { createSimulatedNetwork, type SimulatedNetwork } from "./network.ts";
import { createProcess, type Process } from "./process.ts";
import { createRandom, type Random } from "./random.ts";
import { createTimeline, type Timeline } from "./timeline.ts";

/** What a provider or dealer is put together with instead of the real parts; see testnet/liars. */
export interface Parts {
  provider?(honest: CustodyProvider): CustodyProvider;
  handlers?(honest: Handlers, protocol: string): Handlers;
  dealer?(honest: DealServerOptions): DealServerOptions;
}

export interface SimulatedWorld {
  readonly time: Timeline;
  readonly conditions: Conditions;
  readonly network: SimulatedNetwork;
  /** Of the providers, in their order. */
  readonly peers: readonly PeerName[];
  readonly dealer: PeerName;
  readonly disks: readonly MemoryStore[];
  /** What went wrong inside of handlers: bugs. */
  readonly faults: unknown[];
  nameOf(peer: PeerName): string;
  agreementKeyOf(peer: PeerName): Uint8Array | undefined;
  identityOf(who: string): string;
  /** Kills the process of a provider (by its place, from 0) or of the dealer (by the number of providers). */
  kill(i: number): void;
  /** Starts it again, with other parts if that is asked for. */
  start(i: number, parts?: Parts): Promise<void>;
  isDown(i: number): boolean;
  /** Kills and starts again all providers, as they are. */
  reboot(): Promise<void>;
  /** The process that asks for somebody; a new one after `killUser`. */
  user(who: string): CustodyUser;
  killUser(who: string): void;
  /** From here on providers do nothing by themselves, because a day of it takes long: `housekeep` does it for them. */
  rest(): void;
  /** What each provider does for itself now and then, once, now. */
  housekeep(): Promise<void>;
  stop(): void;
}

export interface SimulatedWorldOptions {
  readonly seed: number;
  readonly providers: number;
  readonly onEvent?: (provider: string, event: CustodyEvent) => void;
  /** At each write of a provider, by its place: it can be killed there. */
  readonly onWrite?: (i: number, when: "before" | "after") => void;
  /** What a provider gave away in a round of a retrieval. */
  readonly onPart?: (provider: string, part: Uint8Array) => void;
}

const START_MS = 1_700_000_000_000;
const HOUSEKEEPING_MS = 60_000;
const LIMITS = { idleTimeoutMs: 5_000, dialTimeoutMs: 5_000, shutdownMs: 100 };
const MAX_BYTES = 2 ** 40;

export async function createSimulatedWorld(options: SimulatedWorldOptions): Promise<SimulatedWorld> {
  const { seed, providers: count } = options;
  const randomFor = (label: string): Random => createRandom(seed, label);
  const time = createTimeline(START_MS);
  const conditions = calm();
  const network = createSimulatedNetwork({
    ...{ clock: time, conditions },
    randomOf: (from, to) => randomFor(`link ${nameOf(from)} ${nameOf(to)}`),
  });
  const faults: unknown[] = [];
  const keys = Array.from({ length: count }, (_, i) => {
    const { bytes } = randomFor(`keys of provider ${i}`);
    return { signer: newSigner(bytes), agreementKey: newAgreementKey(bytes) };
  });
  const dealerSigner = newSigner(randomFor("keys of the dealer").bytes);
  const peers = keys.map(({ signer }) => peerNameOf(signer.publicKey));
  const dealer = peerNameOf(dealerSigner.publicKey);
  const names = new Map([...peers.map((peer, i) => [peer, `provider-${i + 1}`] as const), [dealer, "dealer-1"]]);
  const nameOf = (peer: PeerName) => names.get(peer) ?? peer;
  const agreementKeyOf = (peer: PeerName) => keys[peers.indexOf(peer)]?.agreementKey.publicKey;
  const isDealer = (peer: PeerName) => peer === dealer;
  const disks = peers.map(() => createMemoryStore());
  const lives = new Map<string, number>();
  /** Another stream of numbers in each life. */
  const nextLife = (name: string): Random => {
    const life = (lives.get(name) ?? 0) + 1;
    lives.set(name, life);
    return randomFor(`life ${life} of ${name}`);
  };

  function newProcess(peer: PeerName, name: string) {
    const random = nextLife(name);
    const process = createProcess(
      time,
      () => conditions.clockOffsetsMs.get(peer) ?? 0,
      () => network.leave(peer),
    );
    const onFault = (error: unknown) => {
      if (!process.isDead) faults.push(error);
    };
    const transport = network.transport(peer, { clock: process.clock, limits: LIMITS, onFault });
    return { process, random, transport };
  }

  function servedBy(peer: PeerName, clock: Clock, random: Random, handlers: Handlers): Handlers {
    return disturbed(handlers, {
      ...{ clock, random },
      isReordered: () => conditions.reorders.has(peer),
      isDuplicated: () => conditions.duplicates.has(peer),
      isLossy: () => conditions.losses.has(peer),
    });
  }

  function watchedParts(peer: PeerName, handlers: Handlers): Handlers {
    const { read } = handlers.asks ?? {};
    if (read === undefined) return handlers;
    const watched: typeof read = async (body, context) => {
      const answer = await read(body, context);
      const { bytes } = (answer ?? {}) as { readonly bytes?: unknown };
      if (bytes instanceof Uint8Array) options.onPart?.(nameOf(peer), bytes);
      return answer;
    };
    return { ...handlers, asks: { ...handlers.asks, read: watched } };
  }

  interface Node {
    readonly process: Process;
    readonly custody: CustodyProvider | undefined;
    readonly parts: Parts;
  }
  const nodes: (Node | undefined)[] = [];
  let isResting = false;

  async function startProvider(i: number, parts: Parts): Promise<void> {
    const { signer, agreementKey } = keys[i]!;
    const peer = peers[i]!;
    const { process, random, transport } = newProcess(peer, nameOf(peer));
    const { clock } = process;
    const store = createDisk({
      ...{ disk: disks[i]!, clock, random },
      isSlow: () => conditions.slowDisks.has(peer),
      isFull: () => conditions.fullDisks.has(peer),
      isDead: () => process.isDead,
      onWrite: (when) => options.onWrite?.(i, when),
    });
    const honest: CustodyProvider = {
      ...{ transport, store, clock, entropy: random.bytes, signer, agreementKey, isDealer, agreementKeyOf },
      tools: { keystream: aesKeystream, kernel: simdKernel },
      replayGuard: createReplayGuard(clock.nowMs()),
      freeBytes: async () => (conditions.fullDisks.has(peer) ? 0 : MAX_BYTES),
      locate: async () => [],
      announce: () => {},
      limits: { maxOwnerBytes: MAX_BYTES, maxMessageBytes: MAX_BYTES },
      observe: (event) => options.onEvent?.(nameOf(peer), event),
    };
    const custody = parts.provider?.(honest) ?? honest;
    nodes[i] = { process, custody, parts };
    await sweepDeposits(custody, true);
    await sweepDeals(custody.store, clock.nowMs());
    const { keystream } = custody.tools;
    const keeper = createDealKeeper({ peer, agreementKey, store: custody.store, clock, keystream, isDealer });
    for (const [protocol, handlers] of [
      [DEALING_PROTOCOL, keeper],
      [CUSTODY_PROTOCOL, custodyHandlers(custody)],
    ] as const) {
      const served = parts.handlers?.(handlers, protocol) ?? handlers;
      await transport.serve(protocol, servedBy(peer, clock, random, watchedParts(peer, served)));
    }
    const again = () =>
      void clock.after(HOUSEKEEPING_MS + random.below(HOUSEKEEPING_MS), () => {
        if (!isResting) void housekeepOne(i).then(again);
      });
    again();
  }

  async function startDealer(parts: Parts): Promise<void> {
    const { process, random, transport } = newProcess(dealer, nameOf(dealer));
    const { clock } = process;
    nodes[count] = { process, custody: undefined, parts };
    const honest: DealServerOptions = {
      ...{ transport, entropy: random.bytes, keystream: aesKeystream, kernel: simdKernel },
      ...{ signer: dealerSigner, clock, providers: { agreementKeyOf } },
      replayGuard: createReplayGuard(clock.nowMs()),
      limits: {
        ...{ maxDeals: 64, maxDealsPerIdentity: 64, maxLengthBytes: MAX_BYTES },
        dealLifetimeMs: DEAL_LIFETIME_MS,
      },
    };
    const server = createDealServer(parts.dealer?.(honest) ?? honest);
    const served = parts.handlers?.(server, DEALING_PROTOCOL) ?? server;
    await transport.serve(DEALING_PROTOCOL, servedBy(dealer, clock, random, served));
  }

  async function housekeepOne(i: number): Promise<void> {
    const custody = nodes[i]?.custody;
    if (custody === undefined || nodes[i]?.process.isDead) return;
    try {
      await sweepDeposits(custody, false);
      await sweepDeals(custody.store, custody.clock.nowMs());
      await settleCustody(custody, new AbortController().signal);
    } catch {
      // A full disk, for one: it is tried again the next time, as a node does.
    }
  }

  interface Client {
    readonly process: Process;
    readonly user: CustodyUser;
  }
  const clients = new Map<string, Client>();
  const identities = new Map<string, Signer>();
  const identityKeyOf = (who: string): Signer => {
    const key = identities.get(who) ?? newSigner(randomFor(`identity of ${who}`).bytes);
    identities.set(who, key);
    return key;
  };

  function newClient(who: string): Client {
    const identityKey = identityKeyOf(who);
    const label = `user ${who}`;
    const peer = peerNameOf(newSigner(randomFor(`peer ${lives.get(label) ?? 0} of ${who}`).bytes).publicKey);
    names.set(peer, `${who}-${(lives.get(label) ?? 0) + 1}`);
    const { process, random, transport } = newProcess(peer, label);
    const { clock } = process;
    const entropy = random.bytes;
    const openedAtMs = clock.nowMs();
    const lifetimeMs = 60 * 60_000;
    const open = () =>
      openSession({
        ...{ identity: identityOfKey(identityKey.publicKey), identityKey, purposes: PURPOSES, entropy, lifetimeMs },
        nowMs: clock.nowMs(),
      });
    let session = open();
    let renewAtMs = openedAtMs + lifetimeMs / 2;
    const user: CustodyUser = {
      ...{ transport, clock, entropy, tools: { keystream: aesKeystream, kernel: simdKernel } },
      userKey: userKeyOf(identityKey),
      identityKey,
      get session() {
        if (clock.nowMs() >= renewAtMs) {
          session = open();
          renewAtMs = clock.nowMs() + lifetimeMs / 2;
        }
        return session;
      },
      directory: { providers: peers, dealers: [dealer], agreementKeyOf, nameOf },
    };
    return { process, user };
  }

  const clientOf = (who: string): Client => {
    const found = clients.get(who);
    if (found !== undefined && !found.process.isDead) return found;
    const made = newClient(who);
    clients.set(who, made);
    return made;
  };

  const start = async (i: number, parts: Parts = {}) => {
    await (i === count ? startDealer(parts) : startProvider(i, parts));
  };
  for (let i = 0; i <= count; i += 1) {
    let isUp = false;
    void start(i).then(() => {
      isUp = true;
    });
    await time.run(() => isUp, HOUSEKEEPING_MS);
  }

  return {
    ...{ time, conditions, network, peers, dealer, disks, faults, nameOf, agreementKeyOf, start },
    identityOf: (who) => identityOfKey(identityKeyOf(who).publicKey),
    kill: (i) => nodes[i]?.process.kill(),
    async reboot() {
      for (const i of peers.keys()) {
        nodes[i]?.process.kill();
        await start(i, nodes[i]?.parts);
      }
    },
    isDown: (i) => nodes[i]?.process.isDead === true,
    user: (who) => clientOf(who).user,
    killUser: (who) => clients.get(who)?.process.kill(),
    rest() {
      isResting = true;
    },
    async housekeep() {
      for (const i of peers.keys()) await housekeepOne(i);
    },
    stop() {
      time.stop();
      for (const node of nodes) node?.process.kill();
      for (const { process } of clients.values()) process.kill();
    },
  };
}
