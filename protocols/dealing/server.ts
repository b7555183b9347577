/** The dealer: checks a user's request, makes a deal (make-deal.ts), answers with what the user needs of it and forgets everything. */
import type { Entropy } from "../crypto/entropy.ts";
import type { Keystream } from "../crypto/keystream.ts";
import { sealTo } from "../crypto/sealed-box.ts";
import type { Signer } from "../crypto/signing.ts";
import type { FieldKernel } from "../field/index.ts";
import type { ReplayGuard } from "../identity/replay-guard.ts";
import { checkRequest } from "../identity/request.ts";
import type { Clock } from "../wire/clock.ts";
import type { CborValue } from "../wire/codec.ts";
import { IntercloudError, type Status } from "../wire/errors.ts";
import { parseShape } from "../wire/shape.ts";
import { tellProgress } from "../wire/tell-progress.ts";
import type { Channel, Context, Handlers, Transport } from "../wire/transport.ts";
import { piecesOf } from "../wire/whole-body.ts";
import { MAX_INLINE_CORRECTION_BYTES, PROGRESS_INTERVAL_MS } from "./constants.ts";
import type { Recipient } from "./hand-out.ts";
import { sum } from "./lot/deal-lot.ts";
import { makeLot } from "./lot/make-lot.ts";
import { type MakeDealOptions, makeDeal } from "./make-deal.ts";
import type { ProviderDirectory } from "./members.ts";
import { type DealRequest, dealHeaderShape, dealRequestShape, sealedSeedContext } from "./messages.ts";
import { checkThreshold, userPoint } from "./points.ts";
import { createDealQuota, type DealLimits, type DealQuota } from "./quota.ts";

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
    asks: { "deal-short": (body, { signal }) => answerShortDeal(options, quota, body, signal) },
    channels: { deal: (channel, header, context) => answerDeal(options, quota, channel, header, context) },
  };
}

async function answerDeal(
  options: DealServerOptions,
  quota: DealQuota,
  channel: Channel,
  header: CborValue,
  { signal }: Context,
): Promise<void> {
  let dealtBytes = 0;
  const progress = tellProgress(options.clock, channel, PROGRESS_INTERVAL_MS, () => ({ dealtBytes }));
  const onProgress = (bytes: number) => {
    dealtBytes = bytes;
  };
  try {
    await asked(options, quota, header, async (request, recipients) => {
      const { lengths } = request;
      if (lengths !== undefined) {
        return await makeLotFor(
          options,
          { ...request, lengths },
          recipients,
          { signal, onProgress },
          async (result, digests) => {
            await progress.stop();
            await channel.sendMessage(result);
            await channel.sendBody(piecesOf(digests));
          },
        );
      }
      await makeFor(options, request, recipients, { signal, onProgress }, async (result) => {
        await progress.stop();
        await channel.sendMessage(result);
      });
    });
  } finally {
    await progress.stop();
  }
}

/** Nothing of it needs a stream: one question, one answer. */
async function answerShortDeal(
  options: DealServerOptions,
  quota: DealQuota,
  body: CborValue,
  signal: AbortSignal,
): Promise<CborValue> {
  return await asked(options, quota, body, async (request, recipients) => {
    if (request.lengthBytes > MAX_INLINE_CORRECTION_BYTES || request.lengths !== undefined) {
      throw new IntercloudError("TOO_LONG", "bad-request", "this deal is not short; ask for it by a channel");
    }
    return await makeFor(options, request, recipients, { signal, onProgress: () => {} }, async (result) => result);
  });
}

/** Checks who asks for what, and makes it while there is room. */
async function asked<T>(
  options: DealServerOptions,
  quota: DealQuota,
  message: CborValue,
  make: (request: DealRequest, recipients: readonly Recipient[]) => Promise<T>,
): Promise<T> {
  const startedAtMs = options.clock.nowMs();
  const checked = checkRequest(parseShape(dealHeaderShape, message, "deal").request, "deal", startedAtMs);
  const request = parseShape(dealRequestShape, checked.content, "deal request");
  const recipients = recipientsOf(options, request);
  const leave = quota.enter(checked.identity, request.lengthBytes);
  let result: DealOutcome["result"] = "internal";
  try {
    options.replayGuard.admit(checked, startedAtMs);
    const made = await make(request, recipients);
    result = "ok";
    return made;
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

/** What the user is told of a deal. */
interface DealResult extends Readonly<Record<string, CborValue>> {
  readonly manifest: Uint8Array;
  readonly sealedSeed: Uint8Array;
}

/** Makes the deal and lends what the user is told to `tell`; the deal stands when that resolves. */
async function makeFor<T>(
  options: DealServerOptions,
  { threshold, lengthBytes, ephemeralKey }: DealRequest,
  recipients: readonly Recipient[],
  control: Pick<MakeDealOptions, "signal" | "onProgress">,
  tell: (result: DealResult) => Promise<T>,
): Promise<T> {
  const { dealLifetimeMs: lifetimeMs } = options.limits;
  const asked = { ...options, ...control, threshold, lengthBytes, recipients, lifetimeMs };
  return await makeDeal(asked, async ({ dealId, manifestBytes, userSeed }) => {
    const context = sealedSeedContext(dealId, userPoint(recipients.length));
    const sealedSeed = sealTo(ephemeralKey, context, userSeed, options.entropy);
    return await tell({ manifest: manifestBytes, sealedSeed });
  });
}

/** The same for a lot. */
async function makeLotFor<T>(
  options: DealServerOptions,
  request: DealRequest & { readonly lengths: readonly number[] },
  recipients: readonly Recipient[],
  control: Pick<MakeDealOptions, "signal" | "onProgress">,
  tell: (result: DealResult, digests: Uint8Array) => Promise<T>,
): Promise<T> {
  const { threshold, lengthBytes, lengths, ephemeralKey } = request;
  if (sum(lengths) !== lengthBytes) {
    throw new IntercloudError("LOT_TOO_LARGE", "bad-request", "the deals of this lot have other lengths in all");
  }
  const { dealLifetimeMs: lifetimeMs } = options.limits;
  const asked = { ...options, ...control, threshold, lengths, recipients, lifetimeMs };
  return await makeLot(asked, async ({ lotId, manifestBytes, signature, digests, userSeed }) => {
    const context = sealedSeedContext(lotId, userPoint(recipients.length));
    const sealedSeed = sealTo(ephemeralKey, context, userSeed, options.entropy);
    return await tell({ manifest: manifestBytes, signature, sealedSeed }, digests);
  });
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
