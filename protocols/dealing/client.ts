/** The user's side of dealing: asks a dealer for a fresh deal and checks what it signed. */
import * as v from "valibot";
import { equalBytes } from "../crypto/digest.ts";
import type { Entropy } from "../crypto/entropy.ts";
import { newAgreementKey } from "../crypto/key-agreement.ts";
import { openSealed } from "../crypto/sealed-box.ts";
import { signRequest } from "../identity/request.ts";
import type { Session } from "../identity/tag.ts";
import { userShareDigest } from "../rounds/share.ts";
import type { Clock } from "../wire/clock.ts";
import type { CborValue } from "../wire/codec.ts";
import { IntercloudError } from "../wire/errors.ts";
import { parseShape, readAnswer } from "../wire/shape.ts";
import { receiveResult } from "../wire/tell-progress.ts";
import type { Channel, PeerName, Transport } from "../wire/transport.ts";
import {
  DEAL_BYTES_PER_SECOND,
  DEAL_REQUEST_LIFETIME_MS,
  DEAL_TIMEOUT_MS,
  DEALING_PROTOCOL,
  MAX_INLINE_CORRECTION_BYTES,
  OPEN_TIMEOUT_MS,
  SHORT_DEAL_TIMEOUT_MS,
} from "./constants.ts";
import { checkManifest, type Manifest, providersOf, userEntry } from "./manifest.ts";
import { dealProgressShape, dealResultShape, sealedSeedContext } from "./messages.ts";
import { checkThreshold } from "./points.ts";

export interface RequestDealOptions {
  readonly transport: Transport;
  readonly dealer: PeerName;
  /** Must be allowed the purpose "deal". */
  readonly session: Session;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly threshold: number;
  /** In point order. */
  readonly providers: readonly PeerName[];
  readonly lengthBytes: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (dealtBytes: number) => void;
}

export interface FreshDeal {
  /** The signed bytes. */
  readonly manifestBytes: Uint8Array;
  readonly manifest: Manifest;
  /** The user's share is this seed, expanded. To be overwritten after use. */
  readonly userSeed: Uint8Array;
}

/**
 * Resolves when all providers have their shares on disk.
 * @throws RemoteError with status "unreachable" and `peers` when providers failed, "busy" when the dealer is; IntercloudError
 * WRONG_DEAL when the dealer signed something else than was asked for, CANCELLED, UNREACHABLE, TIMEOUT, BAD_THRESHOLD.
 */
export async function requestDeal(options: RequestDealOptions): Promise<FreshDeal> {
  const { dealer, session, clock, entropy, threshold, providers, lengthBytes } = options;
  checkThreshold(threshold, providers.length);
  const ephemeral = newAgreementKey(entropy);
  const request = signRequest({
    session,
    purpose: "deal",
    content: { threshold, providers, lengthBytes, ephemeralKey: ephemeral.publicKey },
    nowMs: clock.nowMs(),
    lifetimeMs: DEAL_REQUEST_LIFETIME_MS,
    entropy,
  });
  const answer = await (lengthBytes <= MAX_INLINE_CORRECTION_BYTES ? askShort : askByChannel)(options, request);
  const manifest = readAnswer(dealer, "deal", () => checkManifest(answer.manifest));
  checkAsAsked(options, manifest);
  const { point, digest } = userEntry(manifest);
  const context = sealedSeedContext(manifest.dealId, point);
  const userSeed = readAnswer(dealer, "deal", () => openSealed(ephemeral, context, answer.sealedSeed));
  if (!equalBytes(userShareDigest(manifest.dealId, point, userSeed), digest)) {
    throw wrongDeal(dealer, "our share is not the one that it signed");
  }
  return { manifestBytes: answer.manifest, manifest, userSeed };
}

async function askShort({ transport, dealer, signal }: RequestDealOptions, request: Uint8Array) {
  const options = { timeoutMs: SHORT_DEAL_TIMEOUT_MS, signal };
  return readDeal(dealer, await transport.ask(dealer, DEALING_PROTOCOL, "deal-short", { request }, options));
}

async function askByChannel(options: RequestDealOptions, request: Uint8Array) {
  const { transport, dealer, signal } = options;
  const openOptions = { timeoutMs: OPEN_TIMEOUT_MS, signal };
  const channel = await transport.open(dealer, DEALING_PROTOCOL, "deal", { request }, openOptions);
  return await aborting(channel, signal, async () => {
    const answer = readDeal(dealer, await receiveDeal(channel, options));
    await channel.close();
    return answer;
  });
}

function readDeal(dealer: PeerName, answer: CborValue) {
  return readAnswer(dealer, "deal", () => parseShape(dealResultShape, answer, "deal"));
}

/** What the dealer says when the deal, or the lot of deals, is made; not parsed. */
export async function receiveDeal(
  channel: Channel,
  { clock, lengthBytes, onProgress }: Pick<RequestDealOptions, "clock" | "lengthBytes" | "onProgress">,
): Promise<CborValue> {
  const timeoutMs = DEAL_TIMEOUT_MS + Math.ceil((1_000 * lengthBytes) / DEAL_BYTES_PER_SECOND);
  return await receiveResult(clock, channel, timeoutMs, (message) => {
    if (!v.is(dealProgressShape, message)) return false;
    onProgress?.(message.dealtBytes);
    return true;
  });
}

/** Runs `action` on the channel; an error, or the signal, ends the channel, and so the deal. */
export async function aborting<T>(
  channel: Channel,
  signal: AbortSignal | undefined,
  action: () => Promise<T>,
): Promise<T> {
  const cancelled = () => new IntercloudError("CANCELLED", "cancelled", "the deal was cancelled");
  const onAbort = () => channel.abort(cancelled());
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    if (signal?.aborted) throw cancelled();
    return await action();
  } catch (error) {
    const reason = signal?.aborted ? cancelled() : error;
    channel.abort(reason);
    throw reason;
  } finally {
    signal?.removeEventListener("abort", onAbort);
  }
}

export function checkAsAsked(options: Omit<RequestDealOptions, "onProgress">, manifest: Manifest): void {
  const { dealer, threshold, providers, lengthBytes, clock } = options;
  if (manifest.dealer !== dealer) throw wrongDeal(dealer, "it is signed by another dealer");
  if (manifest.threshold !== threshold) throw wrongDeal(dealer, "its threshold is another one");
  if (manifest.lengthBytes !== lengthBytes) throw wrongDeal(dealer, "its length is another one");
  const dealt = providersOf(manifest);
  const same = dealt.length === providers.length && dealt.every((peer, index) => peer === providers[index]);
  if (!same) throw wrongDeal(dealer, "its providers are others");
  if (clock.nowMs() > manifest.expiresAtMs) throw wrongDeal(dealer, "it has expired already");
}

export function wrongDeal(dealer: PeerName, why: string): IntercloudError {
  const message = `the dealer's deal is not what we asked for: ${why}; use another dealer`;
  return new IntercloudError("WRONG_DEAL", "integrity", message, { peers: [dealer] });
}
