/** Real nodes and a dealer in this process, on the loopback address, each with a folder of its own; and a user. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { initNode } from "../../../node/init.ts";
import { type RunNodeOptions, type RunningNode, startNode } from "../../../node/run.ts";
import { aesKeystream } from "../../../protocols/crypto/keystream.ts";
import { newSigner } from "../../../protocols/crypto/signing.ts";
import { type CustodyUser, deposit, retrieve } from "../../../protocols/custody/client/index.ts";
import { simdKernel } from "../../../protocols/field/index.ts";
import { type SignedFederation, signFederation } from "../../../protocols/identity/federation.ts";
import { identityOfKey, openSession, PURPOSES } from "../../../protocols/identity/index.ts";
import { userKeyOf } from "../../../protocols/identity/user-key.ts";
import { parseTokenText } from "../../../protocols/tokens/token-text.ts";
import { createHost } from "../../../protocols/wire/libp2p-host.ts";
import { createLibp2pTransport } from "../../../protocols/wire/libp2p-transport.ts";
import { initDealer } from "../../../rng-dealer/init.ts";
import { startDealer } from "../../../rng-dealer/run.ts";
import { systemClock } from "../../../runtime/clock.ts";
import { systemEntropy } from "../../../runtime/entropy.ts";
import { writeFederation } from "../../../runtime/federation.ts";
import { createLog, type Log, type LogLevel } from "../../../runtime/log.ts";
import { freePorts } from "../../../testnet/ports.ts";
import { collect, sourceOf } from "../../support/bytes.ts";

export interface Network {
  /** Holds a folder for each peer. */
  readonly directory: string;
  readonly names: readonly string[];
  readonly federation: SignedFederation;
  readonly nodes: ReadonlyMap<string, RunningNode>;
  /** Everything that the nodes logged at info and above. */
  readonly logLines: readonly string[];
  start(name: string, options?: Partial<RunNodeOptions>): Promise<RunningNode>;
  stop(name: string): Promise<void>;
  stopDealer(): Promise<void>;
  folder(name: string): string;
  /** `moved`: addresses that the user knows better than the federation file. */
  user(moved?: ReadonlyMap<string, readonly string[]>): Promise<TestUser>;
  close(): Promise<void>;
}

export interface TestUser {
  readonly user: CustodyUser;
  deposit(bytes: Uint8Array, options?: Partial<Parameters<typeof deposit>[1]>): Promise<string>;
  retrieve(tokenText: string, route?: "chain" | "fanout"): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** A folder with an initialised node for each name, and a federation of them and a dealer; nothing runs yet but the dealer. */
export async function makeNetwork(count: number): Promise<Network> {
  const directory = await mkdtemp(path.join(tmpdir(), "intercloud-"));
  const ports = await freePorts(count + 1);
  const names = Array.from({ length: count }, (_, index) => `provider-${index + 1}`);
  const folder = (name: string) => path.join(directory, name);
  const listenOn = (port: number | undefined) => [`/ip4/127.0.0.1/tcp/${port}`];
  const providers = await Promise.all(
    names.map(async (name, index) => {
      return (await initNode({ directory: folder(name), name, listen: listenOn(ports[index]) })).descriptor;
    }),
  );
  const dealer = await initDealer({ directory: folder("dealer-1"), name: "dealer-1", listen: listenOn(ports[count]) });
  const federation = signFederation(
    { name: "test", providers, dealers: [dealer.descriptor] },
    newSigner(systemEntropy),
  );
  for (const name of [...names, "dealer-1"]) {
    await writeFederation(path.join(folder(name), "federation.json"), federation);
  }
  const logLines: string[] = [];
  const running = new Map<string, RunningNode>();
  const users = new Set<TestUser>();
  const runningDealer = await startDealer({ directory: folder("dealer-1"), log: logTo([]) });

  return {
    directory,
    names,
    federation,
    nodes: running,
    logLines,
    folder,
    async start(name, options = {}) {
      const node = await startNode({ directory: folder(name), log: logTo(logLines), ...options });
      running.set(name, node);
      return node;
    },
    async stop(name) {
      const node = running.get(name);
      running.delete(name);
      await node?.stop();
    },
    stopDealer: () => runningDealer.stop(),
    async user(moved = new Map()) {
      const user = await makeUser(federation, moved);
      users.add(user);
      return user;
    },
    async close() {
      for (const user of users) await user.close();
      await Promise.all([...running.values()].map((node) => node.stop()));
      await runningDealer.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

export async function startNetwork(count: number): Promise<Network> {
  const network = await makeNetwork(count);
  await Promise.all(network.names.map((name) => network.start(name)));
  return network;
}

export function logTo(lines: string[], level: LogLevel = "info"): Log {
  return createLog({ level, destination: { write: (line) => void lines.push(line) } });
}

async function makeUser(
  federation: SignedFederation,
  moved: ReadonlyMap<string, readonly string[]>,
): Promise<TestUser> {
  const { providers, dealers } = federation;
  const members = new Map([...providers, ...dealers].map((member) => [member.peer, member]));
  const host = await createHost({ privateKeySeed: systemEntropy(32), listen: [] });
  const addressBook = { addressesOf: (peer: string) => moved.get(peer) ?? members.get(peer)?.addresses ?? [] };
  const transport = createLibp2pTransport(host, { clock: systemClock, addressBook });
  const identityKey = newSigner(systemEntropy);
  const session = openSession({
    ...{ identityKey, identity: identityOfKey(identityKey.publicKey), purposes: PURPOSES },
    ...{ nowMs: systemClock.nowMs(), lifetimeMs: 600_000, entropy: systemEntropy },
  });
  const user: CustodyUser = {
    ...{ transport, session, clock: systemClock, entropy: systemEntropy },
    tools: { keystream: aesKeystream, kernel: simdKernel },
    userKey: userKeyOf(identityKey),
    directory: {
      providers: providers.map(({ peer }) => peer),
      dealers: dealers.map(({ peer }) => peer),
      agreementKeyOf: (peer) => members.get(peer)?.agreementKey,
      nameOf: (peer) => members.get(peer)?.name ?? peer,
    },
  };
  return {
    user,
    async deposit(bytes, options = {}) {
      const deposited = await deposit(user, {
        source: { lengthBytes: bytes.length, open: () => sourceOf(bytes, 64 * 1024) },
        ...{ protocol: 3, route: "chain", providers: providers.length, threshold: 3, copies: 3 },
        candidates: user.directory.providers,
        ...options,
      });
      return deposited.tokenText;
    },
    async retrieve(tokenText, route = "fanout") {
      const token = parseTokenText(tokenText);
      const { message } = await retrieve(user, { token, route, userShare: async () => undefined });
      return await collect(message);
    },
    async close() {
      await transport.close();
      await host.stop();
    },
  };
}
