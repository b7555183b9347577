/** A client for real peers: over libp2p, with the addresses of the federation file. */
import type { Signer } from "../protocols/crypto/signing.ts";
import type { Directory } from "../protocols/custody/client/index.ts";
import type { SignedFederation } from "../protocols/identity/federation.ts";
import type { Transport } from "../protocols/wire/transport.ts";
import { systemClock } from "../runtime/clock.ts";
import { systemEntropy } from "../runtime/entropy.ts";
import { createGarbageCollector } from "../runtime/garbage.ts";
import { createClient } from "./client.ts";
import type { Client } from "./client-api.ts";
import { type DepositChoice, withDefaults } from "./deposit-plan.ts";
import type { Home } from "./home.ts";
import { memoryShares, type ShareStore } from "./shares.ts";

export type OpenClientOptions =
  /**
   * A home that `openHome` opened.
   * @param endsWithProcess the process ends when the client was closed: its connections are left to the system, which is faster.
   */
  | { readonly home: Home; readonly endsWithProcess?: boolean }
  /** No home: everything is passed in. */
  | {
      readonly identityKey: Signer;
      readonly federation: SignedFederation;
      readonly settings?: DepositChoice;
      /** Keeps the user's shares of Protocol 2 deposits. By default they end with the program, and what they open with them. */
      readonly shares?: ShareStore;
      /** For encrypted spool files of one-shot sources. */
      readonly spoolDirectory: string;
    };

/** Connects when it is first needed. To be closed: `await client.close()`, or `await using`. */
export function openClient(options: OpenClientOptions): Client {
  const { identityKey, federation, settings, shares, spoolDirectory } = "home" in options ? options.home : options;
  const stock = "home" in options ? options.home.stock : undefined;
  const endsWithProcess = "home" in options && options.endsWithProcess === true;
  return createClient({
    ...{ identityKey, spoolDirectory, clock: systemClock, entropy: systemEntropy },
    directory: directoryOf(federation),
    async connect() {
      const transport = await connect(federation);
      return endsWithProcess ? { ...transport, close: async () => undefined } : transport;
    },
    settings: withDefaults(settings ?? {}, federation.providers.length),
    ...{ shares: shares ?? memoryShares(), stock },
  });
}

/** Who is who, as the federation file says. */
export function directoryOf({ providers, dealers }: SignedFederation): Directory {
  const byPeer = new Map([...providers, ...dealers].map((member) => [member.peer, member]));
  return {
    providers: providers.map(({ peer }) => peer),
    dealers: dealers.map(({ peer }) => peer),
    agreementKeyOf: (peer) => byPeer.get(peer)?.agreementKey,
    nameOf: (peer) => byPeer.get(peer)?.name ?? peer,
  };
}

/** A client is a peer with a name of its own for each process: nobody can follow it by that. It listens nowhere. */
export async function connect({ providers, dealers }: SignedFederation): Promise<Transport> {
  const [{ createHost }, { createLibp2pTransport }] = await Promise.all([
    import("../protocols/wire/libp2p-host.ts"),
    import("../protocols/wire/libp2p-transport.ts"),
  ]);
  const addresses = new Map([...providers, ...dealers].map((member) => [member.peer, member.addresses]));
  const host = await createHost({ privateKeySeed: systemEntropy(32), listen: [] });
  const transport = createLibp2pTransport(host, {
    clock: systemClock,
    addressBook: { addressesOf: (peer) => addresses.get(peer) ?? [] },
    onTraffic: createGarbageCollector(),
  });
  // Nearly every command asks all of them: it finds connections, or at least dials that are under way.
  for (const { peer } of providers) transport.reach(peer);
  return {
    ...transport,
    async close() {
      await transport.close();
      await host.stop();
    },
  };
}
