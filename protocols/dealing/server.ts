/**
 * The dealer: checks a user's request, draws a deal, hands it out, signs the manifest and forgets everything. Nothing of a deal
 * is ever written to disk here.
 */
import type { Entropy } from "../crypto/entropy.ts";
import type { Keystream } from "../crypto/keystream.ts";
import { peerNameOf } from "../crypto/peer-name.ts";
import { sealTo } from "../crypto/sealed-box.ts";
import type { Signer } from "../crypto/signing.ts";
import type { FieldKernel } from "../field/index.ts";
import type { ReplayGuard } from "../identity/replay-guard.ts";
import { checkRequest } from "../identity/request.ts";
import { DEAL_ID_BYTES } from "../rounds/constants.ts";
import { shareDigest, userShareDigest } from "../rounds/share.ts";
import type { Clock } from "../wire/clock.ts";
import type { CborValue } from "../wire/codec.ts";
import { IntercloudError, type Status } from "../wire/errors.ts";
import { parseShape } from "../wire/shape.ts";
import { tellProgress } from "../wire/tell-progress.ts";
import type { Channel, Context, Handlers, Transport } from "../wire/transport.ts";
import { PROGRESS_INTERVAL_MS } from "./constants.ts";
import { type Deal, dealShares } from "./deal.ts";
import { deliverAll, forgetAll, type HandOutOptions, type Recipient, sendCorrections } from "./hand-out.ts";
import { type ManifestEntry, signManifest } from "./manifest.ts";
import type { ProviderDirectory } from "./members.ts";
import { type DealRequest, dealHeaderShape, dealRequestShape, sealedSeedContext } from "./messages.ts";
import { checkThreshold, isCorrected, userPoint } from "./points.ts";
import { createDealQuota, type DealLimits, type DealQuota } from "./quota.ts";
import { createShareDigests, type ShareDigests } from "./share-digests.ts";

export interface DealServerOptions {
  readonly transport: Transport;
  /** The dealer's peer key: it signs the manifests. */
  readonly signer: Signer;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly keystream: Keystream;
  readonly kernel: FieldKernel;
  readonly providers: ProviderDirectory;
  readonly replayGuard: ReplayGuard;
  readonly limits: DealLimits;
  /** Called once for each deal that was begun, for metrics. Carries nothing secret. */
  readonly onDealEnd?: (outcome: DealOutcome) => void;
}

export interface DealOutcome {
  readonly lengthBytes: number;
  readonly durationMs: number;
  /** "ok", or why it failed. */
  readonly result: Status | "ok";
}

/** What a dealer serves under DEALING_PROTOCOL. */
export function createDealServer(options: DealServerOptions): Handlers {
  const quota = createDealQuota(options.limits);
  return {
    channels: { deal: (channel, header, context) => answerDeal(options, quota, channel, header, context) },
  };
}

async function answerDeal(
  options: DealServerOptions,
  quota: DealQuota,
  channel: Channel,
  header: CborValue,
  context: Context,
): Promise<void> {
  const startedAtMs = options.clock.nowMs();
  const checked = checkRequest(parseShape(dealHeaderShape, header, "deal").request, "deal", startedAtMs);
  const request = parseShape(dealRequestShape, checked.content, "deal request");
  const recipients = recipientsOf(options, request);
  const leave = quota.enter(checked.identity);
  let result: DealOutcome["result"] = "internal";
  try {
    options.replayGuard.admit(checked, startedAtMs);
    await makeDeal(options, request, recipients, channel, context.signal);
    result = "ok";
  } catch (error) {
    if (error instanceof IntercloudError) result = error.status;
    throw error;
  } finally {
    leave();
    options.onDealEnd?.({
      lengthBytes: request.lengthBytes,
      durationMs: options.clock.nowMs() - startedAtMs,
      result,
    });
  }
}

/** Draws a deal, hands it out and answers the user; whatever happens, no seed outlives this function. */
async function makeDeal(
  options: DealServerOptions,
  request: DealRequest,
  recipients: readonly Recipient[],
  channel: Channel,
  signal: AbortSignal,
): Promise<void> {
  const { transport, entropy } = options;
  const { threshold, lengthBytes } = request;
  const dealId = entropy(DEAL_ID_BYTES);
  const digests = createShareDigests(recipients.length);
  const deal = dealShares({
    ...{ ...options, threshold, lengthBytes, providers: recipients.length },
    onShare: digests.add,
  });
  const sealedSeed = (point: number, publicKey: Uint8Array) =>
    sealTo(publicKey, sealedSeedContext(dealId, point), deal.seeds[point - 1] as Uint8Array, entropy);
  const sealedSeedOf = ({ point, agreementKey }: Recipient) => sealedSeed(point, agreementKey);
  const handOut: HandOutOptions = { transport, dealId, lengthBytes, threshold, recipients, sealedSeedOf, signal };
  let dealtBytes = 0;
  const progress = tellProgress(options.clock, channel, PROGRESS_INTERVAL_MS, () => ({ dealtBytes }));
  try {
    const corrections = await sendCorrections(handOut, deal, digests.digestOf, (bytes) => {
      dealtBytes = bytes;
    });
    const manifest = signDeal(options, request, dealId, deal, recipients, digests);
    await deliverAll(handOut, manifest, corrections);
    await progress.stop();
    await channel.sendMessage({
      manifest,
      sealedSeed: sealedSeed(userPoint(recipients.length), request.ephemeralKey),
    });
  } catch (error) {
    deal.wipe();
    await forgetAll(handOut);
    throw error;
  } finally {
    deal.wipe();
    await progress.stop();
  }
}

function signDeal(
  options: DealServerOptions,
  request: DealRequest,
  dealId: Uint8Array,
  deal: Deal,
  recipients: readonly Recipient[],
  digests: ShareDigests,
): Uint8Array {
  const { threshold, lengthBytes } = request;
  const nowMs = options.clock.nowMs();
  const shares = deal.seeds.map((seed, index): ManifestEntry => {
    const point = index + 1;
    const corrected = isCorrected(point, threshold, recipients.length);
    const recipient = recipients[index];
    if (recipient === undefined) return { point, peer: "", digest: userShareDigest(dealId, point, seed), corrected };
    return { point, peer: recipient.peer, digest: shareDigest(dealId, point, digests.digestOf(point)), corrected };
  });
  return signManifest(
    {
      version: 1,
      dealId,
      dealer: peerNameOf(options.signer.publicKey),
      threshold,
      lengthBytes,
      pads: "derived",
      createdAtMs: nowMs,
      expiresAtMs: nowMs + options.limits.dealLifetimeMs,
      shares,
    },
    options.signer,
  );
}

/** @throws IntercloudError BAD_THRESHOLD, TOO_LONG, DUPLICATE_PROVIDER, UNKNOWN_PROVIDER. */
function recipientsOf(options: DealServerOptions, request: DealRequest): Recipient[] {
  const { threshold, providers, lengthBytes } = request;
  checkThreshold(threshold, providers.length);
  const { maxLengthBytes } = options.limits;
  if (lengthBytes > maxLengthBytes) {
    throw new IntercloudError("TOO_LONG", "refused", `this dealer makes deals of at most ${maxLengthBytes} bytes`);
  }
  if (new Set(providers).size !== providers.length) {
    throw new IntercloudError("DUPLICATE_PROVIDER", "bad-request", "a provider can hold one share of a deal only");
  }
  return providers.map((peer, index) => {
    const agreementKey = options.providers.agreementKeyOf(peer);
    if (agreementKey !== undefined) return { point: index + 1, peer, agreementKey };
    throw new IntercloudError("UNKNOWN_PROVIDER", "refused", "a provider is not in the dealer's federation", {
      peers: [peer],
    });
  });
}
