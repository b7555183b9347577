/**
 * Providers, a dealer and users over the network in memory, each of which can be killed and started again on what it had on
 * disk, in a time that moves only when nothing else does. The real protocol code everywhere; put together as node/wiring.ts does.
 */
import { randomBytes } from "node:crypto";
import type { Entropy } from "../../../protocols/crypto/entropy.ts";
import { type AgreementKey, newAgreementKey } from "../../../protocols/crypto/key-agreement.ts";
import { aesKeystream } from "../../../protocols/crypto/keystream.ts";
import { peerNameOf } from "../../../protocols/crypto/peer-name.ts";
import { newSigner, type Signer } from "../../../protocols/crypto/signing.ts";
import type { CustodyUser } from "../../../protocols/custody/client/index.ts";
import { CUSTODY_PROTOCOL } from "../../../protocols/custody/constants.ts";
import {
  type CustodyProvider,
  custodyHandlers,
  type RestoreReport,
  restoreAll,
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
import { simdKernel } from "../../../protocols/field/index.ts";
import { createReplayGuard, identityOfKey, openSession, PURPOSES } from "../../../protocols/identity/index.ts";
import { userKeyOf } from "../../../protocols/identity/user-key.ts";
import type { Store } from "../../../protocols/storage/index.ts";
import { createMemoryNetwork } from "../../../protocols/wire/memory-transport.ts";
import type { PeerName } from "../../../protocols/wire/transport.ts";
import { createManualClock } from "../manual-clock.ts";
import { createMemoryStore, type MemoryStore } from "../memory-store.ts";
import { createLife, type Life, livingStore, livingTransport } from "./life.ts";
import { type CrashControl, type CrashPoint, createCrashControl } from "./points.ts";

const entropy: Entropy = (lengthBytes) => new Uint8Array(randomBytes(lengthBytes));

/** Who takes part, for as long as the federation lasts: keys, and no state. */
export interface Federation {
  readonly providers: readonly { readonly signer: Signer; readonly agreementKey: AgreementKey }[];
  readonly dealer: Signer;
  readonly owner: Signer;
  readonly friend: Signer;
}

export function createFederation(providers: number): Federation {
  return {
    providers: Array.from({ length: providers }, () => ({
      signer: newSigner(entropy),
      agreementKey: newAgreementKey(entropy),
    })),
    ...{ dealer: newSigner(entropy), owner: newSigner(entropy), friend: newSigner(entropy) },
  };
}

/** All that lasts: the providers' disks, the owner's shares of Protocol 2, and the time. */
export interface Snapshot {
  readonly nowMs: number;
  readonly disks: readonly MemoryStore[];
  readonly userShares: ReadonlyMap<string, Uint8Array>;
}

/** What can be put in the place of the real thing, to see whether it is found out. */
export interface Substitutes {
  /** @param store what the provider would get @param disk what lasts */
  store?(store: Store, disk: MemoryStore, life: Life): Store;
  /** Instead of what providers settle among themselves now and then. */
  settle?: typeof settleCustody;
}

export interface CrashWorldOptions {
  readonly federation: Federation;
  readonly substitutes?: Substitutes | undefined;
  readonly from?: Snapshot;
  readonly plan?: CrashPoint | undefined;
  /** Whether a provider or dealer that was killed starts again while the others go on; otherwise `restartAll` starts it. */
  readonly restartsAtOnce?: boolean;
  /** Whether what was sent by then still comes, as when a process dies; otherwise not, as when a machine does. */
  readonly isHeardOut?: boolean;
}

/** What has become of an action: it ended, or whoever did it was killed. */
export type Outcome = { readonly value: unknown } | { readonly error: unknown } | { readonly killed: true };

export interface Action {
  /** Whose it is: with this life it ends. Nobody's when undefined. */
  readonly life: Life | undefined;
  readonly run: () => Promise<unknown>;
}

export interface CrashWorld {
  readonly control: CrashControl;
  readonly peers: readonly PeerName[];
  readonly disks: readonly MemoryStore[];
  readonly userShares: Map<string, Uint8Array>;
  readonly faults: unknown[];
  nowMs(): number;
  /** A new client process of the owner, or of somebody else. */
  client(name: string, who?: "owner" | "friend"): CustodyUser;
  nameOf(peer: PeerName): string;
  /** Runs actions at once, each to its end or until whoever does it is killed. @throws Error when one hangs. */
  run(actions: readonly Action[]): Promise<Outcome[]>;
  /** Like `run`, of an action that nobody can kill; throws what it throws. */
  finish<T>(action: () => Promise<T>): Promise<T>;
  lifeOf(user: CustodyUser): Life;
  lifeOfProvider(number: number): Life;
  /** Starts again what was killed, when all that was under way has ended. */
  restartAll(): Promise<void>;
  /** Kills and starts again all providers. */
  rebootAll(): Promise<void>;
  /** Time passes, with what nodes do now and then. */
  pass(byMs: number): Promise<void>;
  /** Gets back what the provider has lost; to be run with `run` or `finish`. */
  restore(number: number): Promise<RestoreReport>;
  provider(number: number): CustodyProvider;
  snapshot(): Snapshot;
}

/** No action may take longer, in the time of the world: the longest wait of a client is a few times 30 s. */
const ACTION_LIMIT_MS = 5 * 60_000;
/** How long peers notice that somebody is gone: their idle timeout and some more. */
const AFTERMATH_MS = 60_000;
/** Turns of the event loop in which nobody does anything: then everybody waits for the time. */
const QUIET_TURNS = 10;

/** Until what was sent has come. */
const LAST_WORDS_TURNS = 5;

/** Far more than any action takes. */
const MOST_TURNS = 50_000;

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

interface Node {
  life: Life;
  custody: CustodyProvider | undefined;
}

export async function createCrashWorld(options: CrashWorldOptions): Promise<CrashWorld> {
  const { federation, from, substitutes } = options;
  const settle = substitutes?.settle ?? settleCustody;
  const control = createCrashControl(options.plan);
  const clock = createManualClock(from?.nowMs);
  let activity = 0;
  const onStep = () => {
    activity += 1;
  };
  const network = createMemoryNetwork({ observe: onStep });
  const faults: unknown[] = [];
  const peers = federation.providers.map(({ signer }) => peerNameOf(signer.publicKey));
  const dealer = peerNameOf(federation.dealer.publicKey);
  const nameOf = (peer: PeerName): string => {
    const number = peers.indexOf(peer) + 1;
    return number > 0 ? `provider ${number}` : peer === dealer ? "the dealer" : "a user";
  };
  const agreementKeyOf = (peer: PeerName) => federation.providers[peers.indexOf(peer)]?.agreementKey.publicKey;
  const isDealer = (peer: PeerName) => peer === dealer;
  const tools = { keystream: aesKeystream, kernel: simdKernel };
  const disks = peers.map((_, i) => copyOf(from?.disks[i]));
  const userShares = new Map(from?.userShares);

  async function cutOff(peer: PeerName): Promise<void> {
    for (let turns = 0; options.isHeardOut && turns < LAST_WORDS_TURNS; turns += 1) await turn();
    network.kill(peer);
  }

  function newLife(name: string, peer: PeerName) {
    const life = createLife({ name, control, onStep, onKill: () => void cutOff(peer) });
    const transport = network.transport(peer, {
      ...{ clock, limits: { idleTimeoutMs: 5_000, shutdownMs: 100 } },
      onFault: (error) => {
        if (!life.dead) faults.push(error);
      },
    });
    return { life, transport: livingTransport(life, transport, nameOf) };
  }

  const nodes: Node[] = [];

  async function startProvider(i: number): Promise<void> {
    const { signer, agreementKey } = federation.providers[i]!;
    const peer = peers[i]!;
    const { life, transport } = newLife(`provider ${i + 1}`, peer);
    const node: Node = { life, custody: undefined };
    nodes[i] = node;
    const living = livingStore(life, disks[i]!);
    const store = substitutes?.store?.(living, disks[i]!, life) ?? living;
    const custody: CustodyProvider = {
      ...{ transport, store, clock, entropy, signer, agreementKey, isDealer, agreementKeyOf, tools },
      replayGuard: createReplayGuard(clock.nowMs()),
      freeBytes: async () => 2 ** 40,
      locate: async () => [],
      announce: () => {},
      limits: { maxOwnerBytes: 2 ** 40, maxMessageBytes: 2 ** 40 },
      observe: () => {},
    };
    await sweepDeposits(custody, true);
    await sweepDeals(store, clock.nowMs());
    const { keystream } = tools;
    await transport.serve(
      DEALING_PROTOCOL,
      createDealKeeper({ peer, agreementKey, store, clock, keystream, isDealer }),
    );
    await transport.serve(CUSTODY_PROTOCOL, custodyHandlers(custody));
    node.custody = custody;
    network.revive(peer);
  }

  async function startDealer(): Promise<void> {
    const { life, transport } = newLife("the dealer", dealer);
    nodes[peers.length] = { life, custody: undefined };
    const limits = {
      ...{ maxDeals: 64, maxDealsPerIdentity: 64, maxLengthBytes: 2 ** 40 },
      dealLifetimeMs: DEAL_LIFETIME_MS,
    };
    await transport.serve(
      DEALING_PROTOCOL,
      createDealServer({
        ...{ transport, signer: federation.dealer, clock, entropy, ...tools, providers: { agreementKeyOf } },
        ...{ replayGuard: createReplayGuard(clock.nowMs()), limits },
      }),
    );
    network.revive(dealer);
  }

  const start = (i: number) => (i === peers.length ? startDealer() : startProvider(i));

  /** Restarts what is dead. A process can be killed while it starts as well. */
  async function restartDead(): Promise<void> {
    for (const [i, node] of nodes.entries()) {
      if (!node.life.dead) continue;
      // The others notice first.
      for (let turns = 0; turns < 3; turns += 1) await turn();
      await start(i);
    }
  }

  /** Until nothing happens by itself any more. */
  async function quiet(isOver: () => boolean): Promise<void> {
    let all = 0;
    for (let turns = 0, seen = activity; turns < QUIET_TURNS && !isOver(); turns += 1) {
      await turn();
      all += 1;
      if (all > MOST_TURNS) throw new Error("it hangs: it goes on for ever without time passing");
      if (activity === seen) continue;
      seen = activity;
      turns = 0;
    }
  }

  async function run(actions: readonly Action[]): Promise<Outcome[]> {
    const outcomes: (Outcome | undefined)[] = actions.map(() => undefined);
    const end = (i: number, outcome: Outcome) => {
      activity += 1;
      outcomes[i] ??= outcome;
    };
    for (const [i, action] of actions.entries()) {
      void action.run().then(
        (value) => end(i, { value }),
        (error: unknown) => end(i, { error }),
      );
    }
    const untilMs = clock.nowMs() + ACTION_LIMIT_MS;
    const isOver = () => outcomes.every((outcome, i) => outcome !== undefined || actions[i]!.life?.dead === true);
    for (;;) {
      await quiet(isOver);
      if (options.restartsAtOnce) await restartDead();
      if (isOver()) return outcomes.map((outcome) => outcome ?? { killed: true });
      if (!clock.step()) throw new Error("it hangs: nobody does anything, and nobody waits for the time");
      if (clock.nowMs() > untilMs) throw new Error("it hangs: it takes longer than anybody should have to wait");
    }
  }

  const clients = new Map<CustodyUser, Life>();
  async function finish<T>(action: () => Promise<T>): Promise<T> {
    const [outcome] = await run([{ life: undefined, run: action }]);
    if (outcome !== undefined && "value" in outcome) return outcome.value as T;
    throw outcome !== undefined && "error" in outcome ? outcome.error : new Error("killed");
  }

  for (let i = 0; i <= peers.length; i += 1) await start(i);

  const world: CrashWorld = {
    ...{ control, peers, disks, userShares, faults, nameOf, finish },
    nowMs: clock.nowMs,
    provider: (number) => nodes[number - 1]!.custody!,
    client(name, who = "owner") {
      const { life, transport } = newLife(name, peerNameOf(newSigner(entropy).publicKey));
      const identityKey = federation[who];
      const user: CustodyUser = {
        ...{ transport, clock, entropy, tools, userKey: userKeyOf(identityKey) },
        session: openSession({
          ...{ identity: identityOfKey(identityKey.publicKey), identityKey, purposes: PURPOSES },
          ...{ nowMs: clock.nowMs(), lifetimeMs: 60 * 60_000, entropy },
        }),
        directory: { providers: peers, dealers: [dealer], agreementKeyOf, nameOf },
      };
      clients.set(user, life);
      return user;
    },
    run,
    lifeOf: (user) => clients.get(user)!,
    lifeOfProvider: (number) => nodes[number - 1]!.life,
    async restartAll() {
      const untilMs = clock.nowMs() + AFTERMATH_MS;
      const isOver = () => false;
      await quiet(isOver);
      while (clock.pending() > 0 && clock.nowMs() < untilMs) {
        clock.step();
        await quiet(isOver);
      }
      await restartDead();
    },
    async rebootAll() {
      for (const { life } of nodes) life.kill();
      await restartDead();
    },
    async pass(byMs) {
      await clock.advance(byMs);
      for (let rounds = 0; rounds < 2; rounds += 1) {
        for (const i of peers.keys()) {
          const { custody } = nodes[i]!;
          if (custody === undefined) continue;
          await finish(async () => {
            await sweepDeposits(custody, false);
            await sweepDeals(custody.store, clock.nowMs());
            await settle(custody, new AbortController().signal);
          });
        }
      }
    },
    async restore(number) {
      const others = peers.filter((_, i) => i !== number - 1);
      const { signal } = new AbortController();
      return await restoreAll(nodes[number - 1]!.custody!, others, signal, () => {});
    },
    snapshot: () => ({
      nowMs: clock.nowMs(),
      disks: disks.map((disk) => copyOf(disk)),
      userShares: new Map(userShares),
    }),
  };
  return world;
}

function copyOf(disk: MemoryStore | undefined): MemoryStore {
  const copy = createMemoryStore();
  if (disk === undefined) return copy;
  for (const [key, value] of disk.records) copy.records.set(key, value);
  for (const [name, bytes] of disk.files) copy.files.set(name, bytes);
  copy.events.push(...disk.events);
  return copy;
}
