/** A dealer, some providers and a user on a network in memory, with the real protocol code in all of them. */
import { randomBytes } from "node:crypto";
import { type AgreementKey, newAgreementKey } from "../../../protocols/crypto/key-agreement.ts";
import { aesKeystream } from "../../../protocols/crypto/keystream.ts";
import { peerNameOf } from "../../../protocols/crypto/peer-name.ts";
import { newSigner } from "../../../protocols/crypto/signing.ts";
import { requestDeal } from "../../../protocols/dealing/client.ts";
import { DEAL_LIFETIME_MS, DEALING_PROTOCOL } from "../../../protocols/dealing/constants.ts";
import { createDealKeeper } from "../../../protocols/dealing/keeper.ts";
import type { DealLimits } from "../../../protocols/dealing/quota.ts";
import { createDealServer, type DealOutcome } from "../../../protocols/dealing/server.ts";
import { simdKernel } from "../../../protocols/field/index.ts";
import { identityOfKey } from "../../../protocols/identity/identity.ts";
import { createReplayGuard } from "../../../protocols/identity/replay-guard.ts";
import { openSession } from "../../../protocols/identity/tag.ts";
import { createMemoryNetwork } from "../../../protocols/wire/memory-transport.ts";
import type { PeerName, Transport } from "../../../protocols/wire/transport.ts";
import { systemClock } from "../../../runtime/clock.ts";
import { createMemoryStore, type MemoryStore } from "../../support/memory-store.ts";

export interface Provider {
  readonly peer: PeerName;
  readonly store: MemoryStore;
  readonly agreementKey: AgreementKey;
  readonly transport: Transport;
}

const entropy = (lengthBytes: number) => new Uint8Array(randomBytes(lengthBytes));
const LIMITS: DealLimits = {
  maxDeals: 12,
  maxDealsPerIdentity: 4,
  maxLengthBytes: 2 ** 36,
  dealLifetimeMs: DEAL_LIFETIME_MS,
};

export async function startFederation(size: number, limits: Partial<DealLimits> = {}) {
  const network = createMemoryNetwork();
  const dealerSigner = newSigner(entropy);
  const dealer = peerNameOf(dealerSigner.publicKey);
  const faults: unknown[] = [];
  const transportOf = (peer: PeerName) =>
    network.transport(peer, {
      clock: systemClock,
      limits: { idleTimeoutMs: 5_000 },
      onFault: (error) => faults.push(error),
    });
  const providers: Provider[] = [];
  for (let index = 0; index < size; index++) {
    const peer = peerNameOf(newSigner(entropy).publicKey);
    const store = createMemoryStore();
    const agreementKey = newAgreementKey(entropy);
    const transport = transportOf(peer);
    const isDealer = (name: PeerName) => name === dealer;
    await transport.serve(
      DEALING_PROTOCOL,
      createDealKeeper({ peer, agreementKey, store, clock: systemClock, keystream: aesKeystream, isDealer }),
    );
    providers.push({ peer, store, agreementKey, transport });
  }
  const outcomes: DealOutcome[] = [];
  const dealerTransport = transportOf(dealer);
  const server = createDealServer({
    transport: dealerTransport,
    signer: dealerSigner,
    clock: systemClock,
    entropy,
    keystream: aesKeystream,
    kernel: simdKernel,
    providers: { agreementKeyOf: (peer) => providers.find((each) => each.peer === peer)?.agreementKey.publicKey },
    replayGuard: createReplayGuard(systemClock.nowMs() - 1),
    limits: { ...LIMITS, ...limits },
    onDealEnd: (outcome) => void outcomes.push(outcome),
  });
  await dealerTransport.serve(DEALING_PROTOCOL, server);

  const identityKey = newSigner(entropy);
  const session = openSession({
    identity: identityOfKey(identityKey.publicKey),
    identityKey,
    purposes: ["deal"],
    nowMs: systemClock.nowMs(),
    lifetimeMs: 600_000,
    entropy,
  });
  const userTransport = transportOf(peerNameOf(newSigner(entropy).publicKey));
  return {
    network,
    dealer,
    dealerSigner,
    dealerTransport,
    providers,
    outcomes,
    faults,
    session,
    userTransport,
    request: (options: Partial<Parameters<typeof requestDeal>[0]> & { lengthBytes: number; threshold: number }) =>
      requestDeal({
        transport: userTransport,
        dealer,
        session,
        clock: systemClock,
        entropy,
        providers: providers.map(({ peer }) => peer),
        ...options,
      }),
    async close() {
      const transports = [userTransport, dealerTransport, ...providers.map(({ transport }) => transport)];
      await Promise.all(transports.map((transport) => transport.close()));
    },
  };
}

export type Federation = Awaited<ReturnType<typeof startFederation>>;
