/** The dealer peer: generator, federation, admin server, host and protocol, in the order in which they start. */
import { aesKeystream } from "../protocols/crypto/keystream.ts";
import { peerNameOf } from "../protocols/crypto/peer-name.ts";
import { createDealServer, DEALING_PROTOCOL } from "../protocols/dealing/index.ts";
import { simdKernel } from "../protocols/field/index.ts";
import { memberWithPeer } from "../protocols/identity/federation.ts";
import { createReplayGuard } from "../protocols/identity/replay-guard.ts";
import { createHost, type Host } from "../protocols/wire/libp2p-host.ts";
import { createLibp2pTransport } from "../protocols/wire/libp2p-transport.ts";
import type { Handlers, PeerName, Transport } from "../protocols/wire/transport.ts";
import { type AdminServer, type Cause, startAdminServer } from "../runtime/admin-server.ts";
import { systemClock } from "../runtime/clock.ts";
import { createGarbageCollector } from "../runtime/garbage.ts";
import { createHeapPolicy } from "../runtime/heap-policy.ts";
import { createLifecycle, type Lifecycle, type Step } from "../runtime/lifecycle.ts";
import type { Log } from "../runtime/log.ts";
import { createMetrics } from "../runtime/metrics.ts";
import type { DealerConfig } from "./config.ts";
import { type FederationWatch, watchFederation } from "./federation-watch.ts";
import { createGenerator, type Generator } from "./generator.ts";
import type { DealerKeys } from "./keys.ts";
import { createDealerMetrics } from "./metrics.ts";
import { osSource } from "./sources/os.ts";
import type { Source } from "./sources/source.ts";

export interface DealerOptions {
  readonly config: DealerConfig;
  readonly keys: DealerKeys;
  readonly log: Log;
  /** Default: the operating system. */
  readonly sources?: readonly Source[];
  /** Protocols to serve beside ours, over the same connections; the benchmarks measure with one. */
  readonly alsoServe?: ((transport: Transport) => Readonly<Record<string, Handlers>>) | undefined;
}

export interface Dealer {
  readonly peer: PeerName;
  readonly lifecycle: Lifecycle;
  /** Only while it runs. */
  adminUrl(): string | undefined;
}

/** Deals that were told to stop get this long, of the five seconds that a supervisor may wait for the process. */
const HANDLERS_STOP_MS = 500;

/** Puts a dealer together; `lifecycle.start()` starts it. */
export function createDealer({ config, keys, log, sources = [osSource], alsoServe }: DealerOptions): Dealer {
  const peer = peerNameOf(keys.signer.publicKey);
  const metrics = createMetrics();
  const dealerMetrics = createDealerMetrics(metrics);
  let generator: Generator | undefined;
  let federation: FederationWatch | undefined;
  let admin: AdminServer | undefined;
  let host: Host | undefined;
  let transport: Transport | undefined;

  function causes(): Cause[] {
    const found: Cause[] = [];
    const add = (code: string, message: string) => void found.push({ code, message });
    if ((generator?.healthySources() ?? []).length === 0) add("NO_ENTROPY", "no source of randomness works");
    const members = federation?.current();
    if (members === undefined) {
      add("NO_FEDERATION", "there is no valid federation file yet; put one where the configuration says");
    } else if (memberWithPeer(members, peer)?.kind !== "dealer") {
      add("NO_FEDERATION", "the federation does not have this dealer in it; add its descriptor");
    }
    if (transport === undefined || (host?.getMultiaddrs() ?? []).length === 0) {
      add("NOT_LISTENING", "the dealer does not listen for peers");
    }
    return found;
  }

  const steps: Step[] = [
    {
      name: "generator",
      async start() {
        generator = createGenerator(sources, (source) => log.error("entropy-source-dropped", { source }));
      },
      async stop() {
        generator?.close();
      },
    },
    {
      name: "federation",
      async start() {
        federation = await watchFederation({
          file: config.federationFile,
          founder: config.founder === "" ? undefined : new Uint8Array(Buffer.from(config.founder, "hex")),
          clock: systemClock,
          onChange: ({ providers, dealers }) =>
            log.info("federation-read", { providers: providers.length, dealers: dealers.length }),
          onBadFile: (error) => log.warn("federation-not-valid", { error }),
        });
      },
      async stop() {
        federation?.stop();
      },
    },
    {
      name: "admin",
      async start() {
        const { adminHost, adminPort } = config;
        admin = await startAdminServer({ host: adminHost, port: adminPort, readiness: causes, metrics, log });
        log.info("admin-listening", { url: admin.url });
      },
      async stop() {
        await admin?.close();
      },
    },
    {
      name: "host",
      async start() {
        host = await createHost({ privateKeySeed: keys.peerSeed, listen: config.listen });
      },
      async stop() {
        await host?.stop();
      },
    },
    {
      name: "dealing",
      async start() {
        if (host === undefined || generator === undefined) throw new TypeError("the steps are out of order");
        const { draw } = generator;
        const member = (name: PeerName) => {
          const members = federation?.current();
          return members && memberWithPeer(members, name);
        };
        const opened = createLibp2pTransport(host, {
          clock: systemClock,
          limits: { shutdownMs: HANDLERS_STOP_MS },
          addressBook: { addressesOf: (name) => member(name)?.addresses ?? [] },
          onFault: (error, requestId) => log.error("request-failed", { requestId, error }),
          onTraffic: createGarbageCollector(),
        });
        const server = createDealServer({
          transport: opened,
          signer: keys.signer,
          clock: systemClock,
          entropy: (lengthBytes) => {
            dealerMetrics.drawn(lengthBytes);
            return draw(lengthBytes);
          },
          keystream: aesKeystream,
          kernel: simdKernel,
          providers: {
            agreementKeyOf: (name) => {
              const found = member(name);
              return found?.kind === "provider" ? found.agreementKey : undefined;
            },
          },
          replayGuard: createReplayGuard(systemClock.nowMs()),
          limits: config,
          onDealEnd: (outcome) => {
            dealerMetrics.dealt(outcome);
            log.debug("deal-ended", { ...outcome });
          },
        });
        const watched = createHeapPolicy(systemClock);
        await opened.serve(DEALING_PROTOCOL, watched(server));
        for (const [protocol, handlers] of Object.entries(alsoServe?.(opened) ?? {})) {
          await opened.serve(protocol, watched(handlers));
        }
        transport = opened;
        log.info("dealer-ready", { peer, addresses: host.getMultiaddrs().map(String) });
      },
      async stop() {
        await transport?.close();
        transport = undefined;
      },
    },
  ];
  return { peer, lifecycle: createLifecycle(steps), adminUrl: () => admin?.url };
}
