/** Providers, a dealer and users on a network in memory: the real protocol code everywhere, every outside thing passed in. */
import { randomBytes } from "node:crypto";
import type { Entropy } from "../../protocols/crypto/entropy.ts";
import { type AgreementKey, newAgreementKey } from "../../protocols/crypto/key-agreement.ts";
import { aesKeystream } from "../../protocols/crypto/keystream.ts";
import { peerNameOf } from "../../protocols/crypto/peer-name.ts";
import { newSigner, type Signer } from "../../protocols/crypto/signing.ts";
import {
  type Changed,
  type ChangeOptions,
  changeDeposit,
  type Deposited,
  type DepositOptions,
  deposit,
  type RetrieveOptions,
  retrieve,
} from "../../protocols/custody/client/index.ts";
import type { CustodyUser } from "../../protocols/custody/client/user.ts";
import { CUSTODY_PROTOCOL } from "../../protocols/custody/constants.ts";
import { type CustodyProvider, custodyHandlers } from "../../protocols/custody/server/index.ts";
import {
  createDealKeeper,
  createDealServer,
  createUnbound,
  DEAL_LIFETIME_MS,
  DEALING_PROTOCOL,
  DEFAULT_UNBOUND_LIMITS,
} from "../../protocols/dealing/index.ts";
import type { DealServerOptions } from "../../protocols/dealing/server.ts";
import type { UnboundLimits } from "../../protocols/dealing/unbound.ts";
import { simdKernel } from "../../protocols/field/index.ts";
import { createReplayGuard, identityOfKey, openSession, PURPOSES } from "../../protocols/identity/index.ts";
import { userKeyOf } from "../../protocols/identity/user-key.ts";
import type { RoundTools } from "../../protocols/rounds/layer.ts";
import { parseTokenText } from "../../protocols/tokens/token-text.ts";
import type { Clock } from "../../protocols/wire/clock.ts";
import { createMemoryNetwork, type MemoryNetwork } from "../../protocols/wire/memory-transport.ts";
import type { Sent } from "../../protocols/wire/stream-transport.ts";
import type { PeerName, Transport } from "../../protocols/wire/transport.ts";
import { systemClock } from "../../runtime/clock.ts";
import { createMemoryStore, type MemoryStore } from "./memory-store.ts";

export const entropy: Entropy = (lengthBytes) => new Uint8Array(randomBytes(lengthBytes));

export interface WorldOptions {
  readonly providers: number;
  readonly clock?: Clock;
  readonly observe?: (sent: Sent) => void;
  /** The keystream and kernel of a peer ("dealer", "user" or a provider's number from 1); the real ones by default. */
  readonly toolsOf?: (who: "dealer" | "user" | number) => Partial<RoundTools>;
  readonly userEntropy?: Entropy;
  readonly limits?: Partial<CustodyProvider["limits"]>;
  /** How long a peer waits for another one that says nothing; 5 s by default. */
  readonly idleTimeoutMs?: number;
  /** How long a deal of the dealer waits to be used. */
  readonly dealLifetimeMs?: number;
  /** For how long the tags of users are good; an hour by default. */
  readonly sessionLifetimeMs?: number;
  /** What providers keep of deals that nobody has bound. */
  readonly unboundLimits?: Partial<UnboundLimits>;
}

export interface WorldProvider {
  readonly number: number;
  readonly peer: PeerName;
  readonly signer: Signer;
  readonly agreementKey: AgreementKey;
  readonly store: MemoryStore;
  readonly custody: CustodyProvider;
  readonly transport: Transport;
}

export interface World {
  readonly network: MemoryNetwork;
  readonly providers: readonly WorldProvider[];
  readonly dealer: PeerName;
  /** What the dealer is made of. */
  readonly dealing: DealServerOptions;
  readonly user: CustodyUser;
  /** Errors that are bugs: a test that saw one has failed. */
  readonly faults: unknown[];
  /** A further user, with an identity of its own. */
  stranger(): CustodyUser;
  put(message: Uint8Array, options?: Partial<DepositOptions>, user?: CustodyUser): Promise<Deposited>;
  get(tokenText: string, options?: Partial<RetrieveOptions>, user?: CustodyUser): Promise<Uint8Array>;
  /** A refresh; with a destination, a move. */
  change(tokenText: string, options?: Partial<ChangeOptions>, user?: CustodyUser): Promise<Changed>;
  kill(...numbers: number[]): void;
  revive(...numbers: number[]): void;
  close(): Promise<void>;
}

export async function createWorld(options: WorldOptions): Promise<World> {
  const { clock = systemClock, dealLifetimeMs = DEAL_LIFETIME_MS } = options;
  const network = createMemoryNetwork(options.observe === undefined ? {} : { observe: options.observe });
  const faults: unknown[] = [];
  const onFault = (error: unknown) => void faults.push(error);
  const tools = (who: "dealer" | "user" | number): RoundTools => ({
    keystream: aesKeystream,
    kernel: simdKernel,
    ...options.toolsOf?.(who),
  });
  const transportOf = (peer: PeerName) =>
    network.transport(peer, { clock, limits: { idleTimeoutMs: options.idleTimeoutMs ?? 5_000 }, onFault });
  const startedAtMs = clock.nowMs();
  const dealerSigner = newSigner(entropy);
  const dealer = peerNameOf(dealerSigner.publicKey);
  const isDealer = (peer: PeerName) => peer === dealer;

  const providers: WorldProvider[] = [];
  for (let number = 1; number <= options.providers; number += 1) {
    const signer = newSigner(entropy);
    const peer = peerNameOf(signer.publicKey);
    const agreementKey = newAgreementKey(entropy);
    const store = createMemoryStore();
    const transport = transportOf(peer);
    const custody: CustodyProvider = {
      ...{ transport, store, clock, entropy, signer, agreementKey, isDealer },
      tools: tools(number),
      replayGuard: createReplayGuard(startedAtMs),
      agreementKeyOf: (peer) => providers.find((each) => each.peer === peer)?.agreementKey.publicKey,
      freeBytes: async () => 2 ** 40,
      locate: async () => [],
      announce: () => {},
      limits: { maxOwnerBytes: 2 ** 40, maxMessageBytes: 2 ** 40, ...options.limits },
      observe: () => {},
    };
    const { keystream } = custody.tools;
    const limits = { ...DEFAULT_UNBOUND_LIMITS, ...options.unboundLimits };
    const unbound = createUnbound({ store, clock, limits, peer, isDealer });
    const keeper = createDealKeeper({ peer, agreementKey, store, clock, keystream, isDealer, unbound });
    await transport.serve(DEALING_PROTOCOL, keeper);
    await transport.serve(CUSTODY_PROTOCOL, custodyHandlers(custody));
    providers.push({ number, peer, signer, agreementKey, store, custody, transport });
  }

  const providerOf = (peer: PeerName) => providers.find((each) => each.peer === peer);
  const dealerTransport = transportOf(dealer);
  const dealing: DealServerOptions = {
    ...{ transport: dealerTransport, signer: dealerSigner, clock, entropy },
    ...tools("dealer"),
    providers: { agreementKeyOf: (peer) => providerOf(peer)?.agreementKey.publicKey },
    replayGuard: createReplayGuard(startedAtMs),
    limits: { maxDeals: 64, maxDealsPerIdentity: 64, maxLengthBytes: 2 ** 40, dealLifetimeMs },
  };
  await dealerTransport.serve(DEALING_PROTOCOL, createDealServer(dealing));

  const users: CustodyUser[] = [];
  const newUser = (): CustodyUser => {
    const identityKey = newSigner(entropy);
    const session = openSession({
      identity: identityOfKey(identityKey.publicKey),
      identityKey,
      purposes: PURPOSES,
      nowMs: clock.nowMs(),
      lifetimeMs: options.sessionLifetimeMs ?? 60 * 60_000,
      entropy,
    });
    const user: CustodyUser = {
      transport: transportOf(peerNameOf(newSigner(entropy).publicKey)),
      clock,
      entropy: options.userEntropy ?? entropy,
      tools: tools("user"),
      ...{ session, identityKey, userKey: userKeyOf(identityKey) },
      directory: {
        providers: providers.map(({ peer }) => peer),
        dealers: [dealer],
        agreementKeyOf: (peer) => providerOf(peer)?.agreementKey.publicKey,
        nameOf: (peer) => (peer === dealer ? "dealer-1" : `provider-${providerOf(peer)?.number ?? "?"}`),
      },
    };
    users.push(user);
    return user;
  };
  const user = newUser();

  return {
    network,
    providers,
    dealer,
    dealing,
    user,
    faults,
    stranger: newUser,
    async put(message, overrides, as = user) {
      const source = { lengthBytes: message.length, open: () => chunksOf(message) };
      const threshold = Math.min(3, options.providers);
      return await deposit(as, {
        ...{ source, protocol: 3, route: "chain", providers: options.providers, threshold },
        copies: Math.min(3, options.providers),
        candidates: user.directory.providers,
        ...overrides,
      });
    },
    async get(tokenText, overrides, as = user) {
      const token = parseTokenText(tokenText);
      const options = { token, route: "fanout", userShare: async () => undefined, ...overrides } as const;
      const { message } = await retrieve(as, options);
      const parts: Uint8Array[] = [];
      for await (const part of message) parts.push(part.slice());
      return new Uint8Array(Buffer.concat(parts));
    },
    async change(tokenText, overrides, as = user) {
      const token = parseTokenText(tokenText);
      const options = { token, keepUserShare: async () => {}, ...overrides };
      return await changeDeposit(as, options);
    },
    kill: (...numbers) => {
      for (const number of numbers) network.kill(providers[number - 1]!.peer);
    },
    revive: (...numbers) => {
      for (const number of numbers) network.revive(providers[number - 1]!.peer);
    },
    async close() {
      const transports = [
        ...users.map((each) => each.transport),
        dealerTransport,
        ...providers.map((p) => p.transport),
      ];
      await Promise.all(transports.map((transport) => transport.close()));
    },
  };
}

/** Fresh chunks each time, because their consumer may change them. */
async function* chunksOf(message: Uint8Array): AsyncIterable<Uint8Array> {
  for (let start = 0; start < message.length; start += 100_000) yield message.slice(start, start + 100_000);
}
