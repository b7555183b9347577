/**
 * The provider's side of dealing: takes corrections and deals and keeps them on disk. They come from the dealers of its federation, or
 * from users that deal for themselves and sign for it (self-request.ts); what such a user deals only that user can bind.
 */
import type * as v from "valibot";
import { auditChange } from "../audit/index.ts";
import { type BlockDigester, createBlockDigester, digestOfBlocks } from "../crypto/block-digest.ts";
import { equalBytes } from "../crypto/digest.ts";
import type { AgreementKey } from "../crypto/key-agreement.ts";
import type { Keystream, KeystreamReader } from "../crypto/keystream.ts";
import { wipe } from "../crypto/release.ts";
import { openSealed } from "../crypto/sealed-box.ts";
import { createReplayGuard, type ReplayGuard } from "../identity/replay-guard.ts";
import { shareBlockDigests, shareDigest } from "../rounds/share.ts";
import { bodyChanges, MAX_INLINE_BODY_BYTES, type Store } from "../storage/index.ts";
import type { Clock } from "../wire/clock.ts";
import type { CborValue } from "../wire/codec.ts";
import { IntercloudError } from "../wire/errors.ts";
import { onceOf } from "../wire/once-of.ts";
import { parseShape } from "../wire/shape.ts";
import type { Channel, Context, Handlers, PeerName } from "../wire/transport.ts";
import { STAGING_RENEWAL_MS } from "./constants.ts";
import { createFreeShares, type FreeShares } from "./free-shares.ts";
import { createHashRoom, type HashRoom } from "./hash-room.ts";
import {
  burnDeal,
  correctionName,
  type HeldDeal,
  heldDealChange,
  hexOf,
  loadHeldDeal,
  openDealChange,
  withDeal,
} from "./held-deal.ts";
import { checkRole, dealExists, notFromThisDealer, requireUnknown } from "./keeper-checks.ts";
import { receiveLot } from "./lot/receive-lot.ts";
import { checkManifest, type Manifest, type ManifestEntry } from "./manifest.ts";
import { correctionHeaderShape, deliverShape, forgetShape, prepareShape, sealedSeedContext } from "./messages.ts";
import { loadStaging, type Staging, stagingChange, unstagedChange } from "./staging.ts";
import { createUnbound, DEFAULT_UNBOUND_LIMITS, type DealtBy, type Unbound } from "./unbound.ts";
import { requireDealer, whoDeals } from "./who-deals.ts";

export interface DealKeeperOptions {
  /** Who we are. */
  readonly peer: PeerName;
  /** Opens the seeds that dealers seal to us. */
  readonly agreementKey: AgreementKey;
  readonly store: Store;
  readonly clock: Clock;
  readonly keystream: Keystream;
  /** Whether this peer is a dealer of our federation. */
  readonly isDealer: (peer: PeerName) => boolean;
  /** Counts what waits to be used; one with the default limits if it is left out. */
  readonly unbound?: Unbound;
}

/** What a provider serves under DEALING_PROTOCOL. */
export function createDealKeeper(options: DealKeeperOptions): Handlers {
  const { clock, keystream } = options;
  const { unbound = createUnbound({ ...options, limits: DEFAULT_UNBOUND_LIMITS }) } = options;
  const keeper: Keeper = {
    ...{ ...options, uploads: new Set(), freeShares: createFreeShares(keystream) },
    // these requests are shown here and nowhere else
    ...{ replayGuard: createReplayGuard(clock.nowMs()), unbound, hashRoom: createHashRoom() },
  };
  return {
    asks: {
      prepare: (body, context) => prepare(keeper, body, context),
      deliver: (body, context) => deliver(keeper, body, context),
      forget: (body, context) => forget(keeper, body, context),
    },
    channels: {
      correction: (channel, header, context) => receiveCorrection(keeper, channel, header, context),
      "deliver-lot": (channel, header, context) => receiveLot(keeper, channel, header, context),
    },
  };
}

interface Keeper extends DealKeeperOptions {
  /** Deals whose correction is coming in right now; how many of them one dealer may send is limited by the transport. */
  readonly uploads: Set<string>;
  readonly freeShares: FreeShares;
  readonly replayGuard: ReplayGuard;
  readonly unbound: Unbound;
  /** For free shares of users that deal for themselves. */
  readonly hashRoom: HashRoom;
}

/** Says whether we could take part, before the dealer sends anybody anything long. */
async function prepare(keeper: Keeper, body: CborValue, context: Context): Promise<CborValue> {
  const message = parseShape(prepareShape, body, "prepare");
  const { dealId, lengthBytes, point, corrected, sealedSeed } = message;
  const by = whoDeals(keeper, "prepare", dealId, message, context);
  await requireUnknown(keeper.store, dealId);
  await keeper.unbound.admit(dealId, by, bytesAhead(by, corrected, lengthBytes));
  if (corrected) return {};
  const seed = openSealed(keeper.agreementKey, sealedSeedContext(dealId, point), sealedSeed);
  const begin = () => keeper.freeShares.begin(hexOf(dealId), { point, seed, correction: undefined }, lengthBytes);
  try {
    // asked for when it is delivered
    void (by.isSelf ? keeper.hashRoom.run(lengthBytes, begin) : begin());
  } finally {
    seed.fill(0);
  }
  return {};
}

async function receiveCorrection(keeper: Keeper, channel: Channel, header: CborValue, context: Context): Promise<void> {
  const { store, clock, uploads } = keeper;
  const message = parseShape(correctionHeaderShape, header, "correction");
  const { dealId, lengthBytes, point, sealedSeed } = message;
  const by = whoDeals(keeper, "correction", dealId, message, context);
  const seed = openSealed(keeper.agreementKey, sealedSeedContext(dealId, point), sealedSeed);
  const key = hexOf(dealId);
  if (uploads.has(key)) throw dealExists();
  uploads.add(key);
  try {
    await keeper.unbound.admit(dealId, by, lengthBytes);
    const { dealer } = by;
    const staging = { dealer, lengthBytes, digest: null };
    const renew = () => store.commit([stagingChange(dealId, { ...staging, stagedAtMs: clock.nowMs() })]);
    await withDeal(store, dealId, async () => {
      await requireUnknown(store, dealId);
      const earlier = await loadStaging(store, dealId);
      if (earlier !== undefined && earlier.dealer !== dealer) throw dealExists();
      await renew();
    });
    const share = createBlockDigester();
    const body = hashing(channel.receiveBody({ lengthBytes }), keeper.keystream(seed, 0), share);
    await store.bodies.write(correctionName(dealId), renewing(body, clock, renew));
    const digest = digestOfBlocks(share.blockDigests());
    await withDeal(store, dealId, async () => {
      try {
        // It may have been forgotten while it came in.
        await requireUnknown(store, dealId);
      } catch (error) {
        await store.bodies.remove(correctionName(dealId));
        throw error;
      }
      await store.commit([stagingChange(dealId, { ...staging, stagedAtMs: clock.nowMs(), digest })]);
    });
    await channel.sendMessage({ digest });
  } finally {
    uploads.delete(key);
    seed.fill(0);
  }
}

/** Passes a correction on and takes the digest of the share that it makes with our seed. */
async function* hashing(
  correction: AsyncIterable<Uint8Array>,
  expanded: KeystreamReader,
  digester: BlockDigester,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of correction) {
    const share = expanded.xor(chunk);
    digester.add(share);
    wipe(share);
    yield chunk;
  }
}

/** Passes a body on and renews its staging record while it comes, so that a slow upload is not swept away. */
async function* renewing(
  body: AsyncIterable<Uint8Array>,
  clock: Clock,
  renew: () => Promise<void>,
): AsyncGenerator<Uint8Array> {
  let renewedAtMs = clock.nowMs();
  for await (const chunk of body) {
    if (clock.nowMs() - renewedAtMs > STAGING_RENEWAL_MS) {
      renewedAtMs = clock.nowMs();
      await renew();
    }
    yield chunk;
  }
}

async function deliver(keeper: Keeper, body: CborValue, context: Context): Promise<CborValue> {
  const delivery = parseShape(deliverShape, body, "deliver");
  if (delivery.request === undefined) requireDealer(keeper, context.from);
  const manifest = checkManifest(delivery.manifest);
  const { dealId } = manifest;
  const by = whoDeals(keeper, "deliver", dealId, delivery, context);
  const entry = checkRole(keeper, manifest, by);
  const { store } = keeper;
  return await withDeal(store, dealId, async () => {
    const held = await loadHeldDeal(store, dealId);
    if (held !== undefined) {
      // The answer to an earlier delivery of the same deal may have been lost.
      if (held.state !== "burnt" && equalBytes(held.manifest, delivery.manifest)) return {};
      throw dealExists();
    }
    await keeper.unbound.admit(dealId, by, bytesAhead(by, entry.corrected, manifest.lengthBytes));
    try {
      await keepDelivered(keeper, delivery, manifest, entry, by);
      return {};
    } catch (error) {
      // A correction that was staged stays for a while, and counts.
      if ((await loadStaging(store, dealId)) === undefined) keeper.unbound.drop(dealId, by);
      throw error;
    }
  });
}

/** On disk when it resolves. */
async function keepDelivered(
  keeper: Keeper,
  delivery: v.InferOutput<typeof deliverShape>,
  manifest: Manifest,
  entry: ManifestEntry,
  by: DealtBy,
): Promise<void> {
  const { store } = keeper;
  const { dealId } = manifest;
  // A correction that still comes in would replace the one that we are about to answer for.
  if (keeper.uploads.has(hexOf(dealId))) throw dealExists();
  const seed = openSealed(keeper.agreementKey, sealedSeedContext(dealId, entry.point), delivery.sealedSeed);
  const staging = await loadStaging(store, dealId);
  const isFree = !entry.corrected && delivery.correction === null && staging === undefined;
  const digest = isFree
    ? await digestOfFreeShare(keeper, by, manifest, entry, seed)
    : await digestOfCorrected(keeper, manifest, entry, seed, delivery.correction, staging);
  if (!equalBytes(shareDigest(dealId, entry.point, digest), entry.digest)) {
    seed.fill(0);
    throw new IntercloudError("WRONG_SHARE", "integrity", "the dealer sent a share that is not the one it signed", {
      peers: [manifest.dealer],
    });
  }
  const { correction } = delivery;
  if (correction !== null && correction.length > MAX_INLINE_BODY_BYTES) {
    // So that the sweep finds the file if we die before the record is there.
    const { lengthBytes, dealer } = manifest;
    const stagedAtMs = keeper.clock.nowMs();
    await store.commit([stagingChange(dealId, { dealer, lengthBytes, stagedAtMs, digest: null })]);
  }
  const body = correction === null ? [] : await bodyChanges(store, correctionName(dealId), correction);
  const record: HeldDeal = {
    dealId,
    manifest: delivery.manifest,
    point: entry.point,
    seed,
    correction: entry.corrected ? correctionName(dealId) : null,
    state: "dealt",
    boundTo: null,
    expiresAtMs: manifest.expiresAtMs,
  };
  const { dealer, lengthBytes, expiresAtMs } = manifest;
  const dealt = auditChange({ kind: "dealt", dealId, dealer, point: entry.point, lengthBytes, expiresAtMs });
  await store.commit([heldDealChange(record), openDealChange(dealId), unstagedChange(dealId), ...body, dealt]);
  keeper.unbound.settle(dealId, entry.corrected ? lengthBytes : 0);
  seed.fill(0);
}

async function forget(keeper: Keeper, body: CborValue, context: Context): Promise<CborValue> {
  const message = parseShape(forgetShape, body, "forget");
  const { dealId } = message;
  const by = whoDeals(keeper, "forget", dealId, message, context);
  const { store } = keeper;
  keeper.freeShares.forget(hexOf(dealId));
  return await withDeal(store, dealId, async () => {
    const held = await loadHeldDeal(store, dealId);
    if (held?.state === "burnt") return {};
    const dealer =
      held === undefined ? (await loadStaging(store, dealId))?.dealer : checkManifest(held.manifest).dealer;
    if (dealer !== undefined && dealer !== by.dealer) throw notFromThisDealer();
    if (held !== undefined && held.state !== "dealt") {
      throw new IntercloudError("DEAL_IN_USE", "conflict", "this deal is in use; only its owner can destroy it");
    }
    keeper.unbound.drop(dealId, by);
    // A burnt deal leaves a record for ever, which not everybody may have us write about what never was.
    if (by.isSelf && dealer === undefined) return {};
    // Burnt even if it never came: a delivery that is still on its way must not succeed afterwards.
    const forgotten = auditChange({ kind: "burnt", dealId, tokenId: null, why: "forgotten" });
    await burnDeal(store, dealId, [unstagedChange(dealId), forgotten]);
    return {};
  });
}

/** What a deal is counted as before it is here. A free share is no burden on the disk, but on us when a stranger has us hash it. */
function bytesAhead({ isSelf }: DealtBy, corrected: boolean, lengthBytes: number): number {
  return corrected || isSelf ? lengthBytes : 0;
}

/** The digest of a share that is nothing but its seed: made ahead, if it was prepared. */
async function digestOfFreeShare(
  keeper: Keeper,
  by: DealtBy,
  { dealId, lengthBytes }: Manifest,
  { point }: ManifestEntry,
  seed: Uint8Array,
): Promise<Uint8Array> {
  const share = { point, seed, correction: undefined };
  const isAhead = keeper.freeShares.has(hexOf(dealId), share, lengthBytes);
  const hash = () => keeper.freeShares.digestOf(hexOf(dealId), share, lengthBytes);
  return await (by.isSelf && !isAhead ? keeper.hashRoom.run(lengthBytes, hash) : hash());
}

/**
 * The digest of the share that was sent.
 * @throws IntercloudError WRONG_CORRECTION when a correction is there and should not, is missing, or has another length.
 */
async function digestOfCorrected(
  keeper: Keeper,
  { dealer, lengthBytes }: Manifest,
  { point, corrected }: ManifestEntry,
  seed: Uint8Array,
  inline: Uint8Array | null,
  staging: Staging | undefined,
): Promise<Uint8Array> {
  if (corrected && inline !== null && inline.length === lengthBytes) {
    const share = { point, seed, correction: () => onceOf(inline) };
    return digestOfBlocks(await shareBlockDigests(share, lengthBytes, keeper.keystream));
  }
  const staged = staging?.dealer === dealer && staging.lengthBytes === lengthBytes;
  if (corrected && inline === null && staged && staging.digest !== null) return staging.digest;
  throw new IntercloudError(
    "WRONG_CORRECTION",
    "integrity",
    "the correction of our share is missing or not as signed",
    {
      peers: [dealer],
    },
  );
}
