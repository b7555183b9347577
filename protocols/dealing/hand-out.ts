/**
 * Gets the shares of one deal to its providers and has each of them confirm that they are on disk. All of them or none: the
 * first that fails ends it.
 */
import { equalBytes } from "../crypto/digest.ts";
import type { CborValue } from "../wire/codec.ts";
import { IntercloudError } from "../wire/errors.ts";
import { parseShape } from "../wire/shape.ts";
import type { PeerName, Transport } from "../wire/transport.ts";
import {
  DEALING_PROTOCOL,
  FORGET_TIMEOUT_MS,
  MAX_INLINE_CORRECTION_BYTES,
  OPEN_TIMEOUT_MS,
  PROVIDER_TIMEOUT_MS,
  STEPS_AHEAD,
} from "./constants.ts";
import type { Deal } from "./deal.ts";
import { lockstep } from "./lockstep.ts";
import { correctionAnswerShape, type DealStep } from "./messages.ts";
import { isCorrected } from "./points.ts";

/** A provider of this deal. */
export interface Recipient {
  readonly point: number;
  readonly peer: PeerName;
  readonly agreementKey: Uint8Array;
}

export interface HandOutOptions {
  readonly transport: Transport;
  readonly dealId: Uint8Array;
  readonly lengthBytes: number;
  readonly threshold: number;
  readonly recipients: readonly Recipient[];
  /** A provider's seed, sealed to it. */
  readonly sealedSeedOf: (recipient: Recipient) => Uint8Array;
  readonly authorize?: Authorize | undefined;
  readonly signal: AbortSignal;
}

/** The signed request that goes with a message, when a user deals for itself (self-request.ts). */
export type Authorize = (dealId: Uint8Array, provider: PeerName, step: DealStep, message: DealMessage) => Uint8Array;

type DealMessage = Readonly<Record<string, CborValue>>;

export function authorized(
  { authorize, dealId }: Pick<HandOutOptions, "authorize" | "dealId">,
  provider: PeerName,
  step: DealStep,
  message: DealMessage,
): DealMessage {
  return authorize === undefined ? message : { ...message, request: authorize(dealId, provider, step, message) };
}

/**
 * Makes the corrections and, if they are long, streams them to their providers; the slowest sets the pace.
 * @param digestOf what the share at a point must come to; asked for when all of the deal was made.
 * @returns by point, the corrections that are short enough to travel inside `deliver`.
 * @throws IntercloudError PROVIDERS_FAILED that names them.
 */
export async function sendCorrections(
  options: HandOutOptions,
  deal: Deal,
  digestOf: (point: number) => Uint8Array,
  onProgress: (dealtBytes: number) => void,
): Promise<ReadonlyMap<number, Uint8Array>> {
  const corrected = options.recipients.filter((recipient) => isCorrectedIn(options, recipient));
  if (options.lengthBytes <= MAX_INLINE_CORRECTION_BYTES) return collectCorrections(deal, corrected);
  await prepareAll(options);
  let dealtBytes = 0;
  let ownFault: { readonly error: unknown } | undefined;
  const step = (): Uint8Array[] | undefined => {
    try {
      const chunks = deal.step();
      dealtBytes += chunks?.[0]?.length ?? 0;
      onProgress(dealtBytes);
      return chunks;
    } catch (error) {
      ownFault = { error };
      throw error;
    }
  };
  const steps = lockstep(step, corrected.length, STEPS_AHEAD);
  const abort = new AbortController();
  const signal = AbortSignal.any([options.signal, abort.signal]);
  const peerAt = (index: number): PeerName => (corrected[index] as Recipient).peer;
  let first: { readonly error: unknown; readonly culprits: PeerName[] } | undefined;
  const results = await Promise.allSettled(
    corrected.map(async (recipient, index) => {
      try {
        const source = steps.readers[index] as AsyncIterable<Uint8Array>;
        await sendCorrection(options, recipient, source, digestOf, signal);
      } catch (error) {
        // Whoever fails after the first was only stopped by us.
        if (first === undefined && !isStopped(error)) {
          first = { error, culprits: culpritsOf(error, index, steps.laggards()).map(peerAt) };
          steps.stop(error);
          abort.abort(error);
        }
        throw error;
      }
    }),
  );
  options.signal.throwIfAborted();
  if (ownFault !== undefined) throw ownFault.error;
  if (first !== undefined) throw providersFailed(options, first.culprits, first.error);
  const failed = results.find((result) => result.status === "rejected");
  if (failed !== undefined) throw failed.reason;
  return new Map();
}

/** Ended by `lockstep` because another reader went away: not the one to blame. */
function isStopped(error: unknown): boolean {
  return error instanceof IntercloudError && error.code === "STOPPED";
}

/** A provider that gave up because no bytes came is not to blame when we were waiting for slower ones. */
function culpritsOf(error: unknown, index: number, laggards: readonly number[]): readonly number[] {
  const starved = error instanceof IntercloudError && error.status === "timeout" && laggards.length > 0;
  return starved ? laggards : [index];
}

async function sendCorrection(
  options: HandOutOptions,
  recipient: Recipient,
  source: AsyncIterable<Uint8Array>,
  digestOf: (point: number) => Uint8Array,
  signal: AbortSignal,
): Promise<void> {
  const { transport, dealId, lengthBytes } = options;
  const sealedSeed = options.sealedSeedOf(recipient);
  const message = { dealId, lengthBytes, point: recipient.point, sealedSeed };
  const header = authorized(options, recipient.peer, "correction", message);
  const openOptions = { timeoutMs: OPEN_TIMEOUT_MS, signal };
  const channel = await transport.open(recipient.peer, DEALING_PROTOCOL, "correction", header, openOptions);
  const onAbort = () => channel.abort(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    signal.throwIfAborted();
    await channel.sendBody(source);
    const answer = parseShape(correctionAnswerShape, await channel.receiveMessage(), "answer to correction");
    if (!equalBytes(answer.digest, digestOf(recipient.point))) {
      throw new IntercloudError("WRONG_DIGEST", "integrity", "the provider stored something else than we sent");
    }
    await channel.close();
  } catch (error) {
    channel.abort(error);
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

function collectCorrections(deal: Deal, corrected: readonly Recipient[]): Map<number, Uint8Array> {
  const parts = corrected.map(({ point }) => ({ point, chunks: [] as Uint8Array[] }));
  for (let step = deal.step(); step !== undefined; step = deal.step()) {
    for (const [index, { chunks }] of parts.entries()) chunks.push(step[index] as Uint8Array);
  }
  return new Map(parts.map(({ point, chunks }) => [point, Buffer.concat(chunks)]));
}

function isCorrectedIn({ threshold, recipients }: HandOutOptions, { point }: Recipient): boolean {
  return isCorrected(point, threshold, recipients.length);
}

/** Asks everybody before anything long is sent, so that all the missing ones are named at once. */
async function prepareAll(options: HandOutOptions): Promise<void> {
  const { dealId, lengthBytes } = options;
  await askAll(options, "prepare", (recipient) => ({
    ...{ dealId, lengthBytes, point: recipient.point },
    corrected: isCorrectedIn(options, recipient),
    sealedSeed: options.sealedSeedOf(recipient),
  }));
}

/**
 * The last step: manifest, seed and short corrections. When it resolves, every provider has its share on disk.
 * @param corrections by point. @throws IntercloudError PROVIDERS_FAILED that names those that did not confirm.
 */
export async function deliverAll(
  options: HandOutOptions,
  manifest: Uint8Array,
  corrections: ReadonlyMap<number, Uint8Array>,
): Promise<void> {
  await askAll(options, "deliver", (recipient) => ({
    manifest,
    sealedSeed: options.sealedSeedOf(recipient),
    correction: corrections.get(recipient.point) ?? null,
  }));
}

/** Best effort: a provider that does not hear it sweeps the deal when it expires. Never throws. */
export async function forgetAll(
  options: Pick<HandOutOptions, "transport" | "dealId" | "recipients" | "authorize">,
): Promise<void> {
  const { transport, dealId, recipients } = options;
  const ask = async ({ peer }: Recipient) => {
    const body = authorized(options, peer, "forget", { dealId });
    await transport.ask(peer, DEALING_PROTOCOL, "forget", body, { timeoutMs: FORGET_TIMEOUT_MS });
  };
  await Promise.allSettled(recipients.map(ask));
}

async function askAll(
  options: HandOutOptions,
  method: "prepare" | "deliver",
  messageFor: (recipient: Recipient) => DealMessage,
) {
  const { transport, recipients, signal } = options;
  const callOptions = { timeoutMs: PROVIDER_TIMEOUT_MS, signal };
  const results = await Promise.allSettled(
    recipients.map(async (recipient) => {
      const body = authorized(options, recipient.peer, method, messageFor(recipient));
      await transport.ask(recipient.peer, DEALING_PROTOCOL, method, body, callOptions);
    }),
  );
  signal.throwIfAborted();
  const culprits = recipients.filter((_, index) => results[index]?.status === "rejected").map(({ peer }) => peer);
  const failed = results.find((result) => result.status === "rejected");
  if (failed !== undefined) throw providersFailed(options, culprits, failed.reason);
}

export function providersFailed(
  options: Pick<HandOutOptions, "recipients">,
  culprits: readonly PeerName[],
  cause: unknown,
): IntercloudError {
  const needed = options.recipients.length;
  // a provider that has no room will have none in a minute either
  const status = cause instanceof IntercloudError && cause.status === "full" ? "full" : "unreachable";
  return new IntercloudError(
    "PROVIDERS_FAILED",
    status,
    `${culprits.length} of ${needed} providers could not take their share; choose others or try again later`,
    { peers: culprits, answered: needed - culprits.length, needed },
    cause,
  );
}
