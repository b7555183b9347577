/**
 * Depositing. Dealt -> bound -> poured -> sealed: a deposit exists when all n providers have share and link on disk, and the
 * keepers the ciphertext. Anything less is given up at every provider.
 */
import { pipe } from "it-pipe";
import type { FreshDeal } from "../../dealing/client.ts";
import { providersOf } from "../../dealing/manifest.ts";
import { coefficientOf, type Route } from "../../rounds/descriptor.ts";
import { layer } from "../../rounds/layer.ts";
import { checkChain } from "../../tokens/chain.ts";
import { MAX_MESSAGE_BYTES } from "../../tokens/constants.ts";
import { hashBlocks, layeredBytes, layeredMessage, MESSAGE_SALT_BYTES, messageDigest } from "../../tokens/message.ts";
import type { Token } from "../../tokens/token.ts";
import { formatTokenText } from "../../tokens/token-text.ts";
import { IntercloudError, RemoteError } from "../../wire/errors.ts";
import { parseShape, readAnswer } from "../../wire/shape.ts";
import type { PeerName } from "../../wire/transport.ts";
import { abortOn } from "../abort-on.ts";
import { ASK_TIMEOUT_MS, CUSTODY_PROTOCOL, MAX_SHORT_BYTES, OPEN_TIMEOUT_MS, SEAL_TIMEOUT_MS } from "../constants.ts";
import { chainExpectation, type DepositTerms } from "../deposit-terms.ts";
import type { KeptEnvelope } from "../kept-envelope.ts";
import { bindAnswerShape, chainShape, fingerprintsShape } from "../messages.ts";
import { chainDigest, encodeProof } from "../proof.ts";
import { movingTimeoutMs, readingTimeoutMs, receiveChain } from "../waiting-chain.ts";
import { abandon } from "./abandon.ts";
import { unread } from "./ask-all.ts";
import {
  areLayersRight,
  fingerprinted,
  type LayeredMessage,
  ownFingerprint,
  unmaskedFingerprints,
} from "./check-layers.ts";
import { chooseProviders } from "./choose-providers.ts";
import { expiredAmong } from "./clock-error.ts";
import { pourFailure } from "./deposit-failure.ts";
import type { DealerChoice } from "./fresh-deal.ts";
import { giveEnvelope } from "./give-envelope.ts";
import { needAll } from "./need-all.ts";
import { makeOffer, type Offer } from "./offer.ts";
import { checkedBoxes } from "./own-shares.ts";
import { isShort, isShortRound, type Poured, place } from "./place.ts";
import { fittingDeals, type TakenDeal, takeDeal } from "./stock.ts";
import { type CustodyUser, signedRequest } from "./user.ts";

/** A message that can be read twice: once to make its digest, once to send it. */
export interface MessageSource {
  readonly lengthBytes: number;
  /** From the start. Chunks are kept until their block of 1 MiB is complete, so their memory must not be used again. */
  open(): AsyncIterable<Uint8Array>;
}

export interface DepositOptions {
  readonly source: MessageSource;
  /** What the message is; `whole` by default. With an envelope it is the envelope's key. */
  readonly form?: Exclude<Token["policy"]["form"], "envelope">;
  /** Makes the file that the keepers keep beside the ciphertext, once, when it is known which deposit it is of. */
  readonly envelope?: (tokenText: string) => AsyncIterable<Uint8Array>;
  /** In Protocol 1 the source should be sealed to the owner: whoever has its key needs one keeper only. */
  readonly protocol: Token["protocol"];
  /** By default fanout for what is short, which takes fewer round trips, and chain for the rest. */
  readonly route?: Route | undefined;
  /** n and t. */
  readonly providers: number;
  readonly threshold: number;
  /** How many providers keep the ciphertext. */
  readonly copies: number;
  /** Who to take, in order of preference; the first that answers is home. */
  readonly candidates: readonly PeerName[];
  /** A deal in stock is taken only if this is its home; any home by default. */
  readonly home?: PeerName | undefined;
  /** Who makes the deal, if none in stock fits: any dealer of the federation by default. */
  readonly dealer?: DealerChoice | undefined;
  /** Called when there is a deal, while the rest goes on. */
  readonly onDeal?: (() => void) | undefined;
  /**
   * Protocol 2: puts the user's share where it survives a power cut. Called before anything is sealed, because a deposit that
   * exists without it cannot be read; when the deposit fails after that, the share is of no use any more.
   */
  readonly keepUserShare?: (tokenId: Uint8Array, dealId: Uint8Array, share: Uint8Array) => Promise<void>;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: DepositProgress) => void;
}

/** A provider that takes longer than this to answer the first message would hold up the deposit: others are asked for. */
const UNTRIED_TIMEOUT_MS = 3_000;
const UNTRIED_FAILURES: ReadonlySet<string> = new Set(["NOT_ENOUGH_PROVIDERS", "NO_ROOM"]);

export interface DepositProgress {
  readonly phase: "hashing" | "dealing" | "pouring" | "sealing";
  readonly doneBytes: number;
  readonly totalBytes: number;
}

export interface Deposited {
  /** `ict1...` */
  readonly tokenText: string;
  readonly token: Token;
  /** What `verify` and `trace` check offline. */
  readonly proof: Uint8Array;
  /** Protocol 2: the user's share, without which the message cannot be read. */
  readonly userShare: Uint8Array | undefined;
  /** What is kept beside the ciphertext; null when nothing is. */
  readonly envelope: KeptEnvelope | null;
}

/** @throws IntercloudError NOT_ENOUGH_PROVIDERS, CHAIN_BROKEN, SOURCE_CHANGED, EMPTY_MESSAGE ...; nothing is kept then. */
export async function deposit(user: CustodyUser, options: DepositOptions): Promise<Deposited> {
  const signal = options.signal ?? new AbortController().signal;
  requireLength(options.source.lengthBytes);
  const lengthBytes = layeredBytes(options.source.lengthBytes);
  const stocked = await fittingDeals(user, { ...options, lengthBytes });
  const rosters = stocked.map(({ manifest }) => providersOf(manifest));
  const choose = () => chooseProviders(user, options.candidates, options.providers, signal, rosters);
  const route = options.route ?? (lengthBytes <= MAX_SHORT_BYTES ? "fanout" : "chain");
  // The first message of a short deposit shows who is there as well as a question would, and a deal in stock costs nobody much.
  let isUntried = isShortRound(route, lengthBytes) && rosters.length > 0;
  let peers = isUntried ? rosters[0]! : await choose();
  const salt = user.entropy(MESSAGE_SALT_BYTES);
  let deal: TakenDeal | undefined;
  const nextDeal = async (either: AbortSignal) => {
    const { threshold, dealer } = options;
    const onProgress = reporter(options, "dealing", lengthBytes);
    const asked = { providers: peers, threshold, lengthBytes, dealer, signal: either, onProgress };
    deal = await takeDeal(user, stocked, asked);
    options.onDeal?.();
    return deal;
  };
  let offer: Offer | undefined;
  try {
    const [blockDigests, first] = await both(signal, [(either) => hashMessage(options, salt, either), nextDeal]);
    const digest = messageDigest(salt, options.source.lengthBytes, blockDigests);
    let fresh = first;
    const tell = async () => {
      const made = makeOffer(user, { ...options, route }, fresh, digest);
      offer = made;
      const message = fingerprinted(user, lengthBytes, layered(options, salt, blockDigests, signal));
      const pour = isShort(made.terms)
        ? await place(user, made, fresh, message, {
            signal,
            timeoutMs: isUntried ? UNTRIED_TIMEOUT_MS : ASK_TIMEOUT_MS,
          })
        : await bind(user, options, made, fresh, message, signal);
      return { ...made, pour };
    };
    let told = await unlessStale(fresh, tell(), isUntried, signal);
    while (told === undefined) {
      fresh.userSeed.fill(0);
      const givenUp = abandon(user, peers, fresh.manifest.dealId, offer?.terms.tokenId ?? null);
      // who is away must not hold us up any longer
      if (isUntried) peers = await choose();
      else await givenUp;
      isUntried = false;
      fresh = await nextDeal(signal);
      told = await unlessStale(fresh, tell(), isUntried, signal);
    }
    const { terms, pour } = told;
    const { tokenId, token } = terms;
    const tokenText = formatTokenText({ tokenId, home: token.home });
    const [poured, envelope] = await both(signal, [
      pour,
      async (either) => {
        // once: all providers have their part of the deal
        const file = options.envelope?.(tokenText);
        return file === undefined ? null : await giveEnvelope(user, terms, file, either);
      },
    ]);
    requireChain(user, terms, poured);
    const again = () => layered(options, salt, blockDigests, signal);
    await requireReadable(user, told, fresh, poured, again, signal);
    const { dealId } = fresh.manifest;
    if (options.protocol === 2) await options.keepUserShare?.(tokenId, dealId, new Uint8Array(fresh.userSeed));
    const boxes = options.protocol === 1 ? await checkedBoxes(user, terms, fresh, poured.boxes) : [];
    const proof = await sealAll(user, options, told, { ...poured, boxes, envelope }, signal);
    const userShare = options.protocol === 2 ? new Uint8Array(fresh.userSeed) : undefined;
    return { tokenText, token, proof, userShare, envelope };
  } catch (error) {
    if (deal !== undefined) await abandon(user, peers, deal.manifest.dealId, offer?.terms.tokenId ?? null);
    throw signal.aborted ? cancelled(signal) : await expiredAmong(user, peers, error, signal);
  } finally {
    deal?.userSeed.fill(0);
    salt.fill(0);
  }
}

async function hashMessage(options: DepositOptions, salt: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
  const { source } = options;
  const watched = watch(source.open(), signal, reporter(options, "hashing", source.lengthBytes));
  return await hashBlocks(salt, source.lengthBytes, watched);
}

/**
 * Undefined when the deal was in stock and a provider does not have its part of it any more: another deal may do; also when nobody was
 * asked before whether it is there, and somebody is not, or has no room.
 */
async function unlessStale<T>(
  { isStocked }: TakenDeal,
  sent: Promise<T>,
  isUntried: boolean,
  signal: AbortSignal,
): Promise<T | undefined> {
  try {
    return await sent;
  } catch (error) {
    if (isUntried && !signal.aborted && error instanceof IntercloudError && UNTRIED_FAILURES.has(error.code))
      return undefined;
    const answer = error instanceof IntercloudError && error.code === "NOT_ENOUGH_PROVIDERS" ? error.cause : error;
    const isStale = answer instanceof RemoteError && (answer.status === "not-found" || answer.status === "conflict");
    if (isStocked && isStale && !signal.aborted) return undefined;
    throw error;
  }
}

/** Tells everybody; then sends the masked message to home and waits until it has been everywhere. */
async function bind(
  user: CustodyUser,
  options: DepositOptions,
  offer: Offer,
  deal: FreshDeal,
  message: LayeredMessage,
  signal: AbortSignal,
): Promise<(signal: AbortSignal) => Promise<Poured>> {
  const { terms, request, manifest } = offer;
  const boxes = await needAll(
    ...([user, terms, "bind", { request, manifest }] as const),
    { timeoutMs: ASK_TIMEOUT_MS, signal },
    (answer) => parseShape(bindAnswerShape, answer, "bind").box,
  );
  return async (either) => {
    const poured = await pour(user, options, offer, deal, message.source, either);
    const checking = message.checking();
    const asked = { tokenId: terms.tokenId, challenge: checking.challenge };
    const timeoutMs = readingTimeoutMs(terms.descriptor.lengthBytes);
    const fingerprints = await needAll(user, terms, "check", asked, { timeoutMs, signal: either }, (answer) =>
      parseShape(fingerprintsShape, answer, "check"),
    );
    return { ...poured, boxes, checking, fingerprints, received: fingerprints.map(() => null) };
  };
}

async function pour(
  user: CustodyUser,
  options: DepositOptions,
  { terms, maskKeys }: Offer,
  deal: FreshDeal,
  message: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<Pick<Poured, "links" | "keeping" | "digestFromOwner">> {
  const { tokenId, descriptor, token } = terms;
  const point = terms.roster.length + 1;
  const share = { point, seed: deal.userSeed, correction: undefined };
  const coefficient = coefficientOf(descriptor, point);
  const ownLayer = layer({ ...user.tools, share: { share, coefficient }, maskKeys, offsetBytes: 0 });
  const [method, header] =
    token.route === "chain" ? (["pour", { tokenId, step: 1 }] as const) : (["collect", { tokenId }] as const);
  const openOptions = { timeoutMs: OPEN_TIMEOUT_MS, signal };
  const opening = user.transport.open(token.home, CUSTODY_PROTOCOL, method, header, openOptions);
  const channel = await opening.catch((error) => Promise.reject(pourFailure(user, terms, error)));
  const release = abortOn(signal, channel);
  try {
    const reported = watch(message, signal, reporter(options, "pouring", descriptor.lengthBytes));
    const sent = await pipe(reported, ownLayer, (source: AsyncIterable<Uint8Array>) => channel.sendBody(source));
    if (token.route === "chain") await channel.sendMessage({ links: [] });
    const chain = await receiveChain(user.clock, channel, movingTimeoutMs(descriptor.lengthBytes));
    const { links, keeping } = readAnswer(token.home, method, () => parseShape(chainShape, chain, "chain"));
    await channel.close();
    return { links, keeping, digestFromOwner: sent.digest };
  } catch (error) {
    channel.abort(error);
    throw pourFailure(user, terms, error);
  } finally {
    release();
  }
}

function requireChain(user: CustodyUser, terms: DepositTerms, { links, keeping, digestFromOwner }: Poured): void {
  const chain = checkChain(chainExpectation(terms, digestFromOwner), links, keeping);
  if (chain.valid) return;
  const suspects = chain.firstBreak?.suspects ?? [];
  const names = suspects.map((peer) => user.directory.nameOf(peer)).join(" or ");
  const message = `the chain breaks at link ${chain.firstBreak?.index}: ${chain.firstBreak?.problem} (${names}); nothing was kept`;
  throw new IntercloudError("CHAIN_BROKEN", "integrity", message, { peers: suspects });
}

/** @param again what is layered, from its start @throws IntercloudError DEPOSIT_SPOILT that names who spoilt it. */
async function requireReadable(
  user: CustodyUser,
  offer: Offer,
  deal: FreshDeal,
  poured: Poured,
  again: () => AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<void> {
  const { checking } = poured;
  const { terms, reportKeys } = offer;
  const { lengthBytes } = terms.descriptor;
  const fingerprints = unmaskedFingerprints(user, reportKeys, checking.challenge, lengthBytes, poured.fingerprints);
  const own = await ownFingerprint(user, terms, deal, checking.challenge);
  if (areLayersRight(user, terms.token, fingerprints, own, checking.message)) return;
  const { findLiar, spoilt } = await import("./find-liar.ts");
  const said = { ...poured, fingerprints };
  throw spoilt(user, await findLiar(user, offer, deal, checking, said, again(), signal));
}

async function sealAll(
  user: CustodyUser,
  options: DepositOptions,
  offer: Offer,
  poured: Omit<Poured, "boxes"> & { readonly boxes: readonly Uint8Array[]; readonly envelope: KeptEnvelope | null },
  signal: AbortSignal,
): Promise<Uint8Array> {
  const { terms, request, manifest } = offer;
  const { links, keeping, boxes, digestFromOwner, envelope } = poured;
  reporter(options, "sealing", 1)(0);
  const content = {
    ...{ tokenId: terms.tokenId, digestFromOwner, chainDigest: chainDigest(links, keeping) },
    ...{ boxes: [...boxes], envelope },
  };
  const closing = signedRequest(user, "deposit", content);
  const sealing = { closing, links: [...links], keeping };
  await needAll(user, terms, "seal", sealing, { timeoutMs: SEAL_TIMEOUT_MS, signal }, unread);
  return encodeProof({ request, manifest, links: [...links], keeping, closing, change: null });
}

function layered(
  options: DepositOptions,
  salt: Uint8Array,
  blockDigests: Uint8Array,
  signal: AbortSignal,
): AsyncIterable<Uint8Array> {
  const source = watch(options.source.open(), signal, () => {});
  return layeredMessage(salt, options.source.lengthBytes, blockDigests, source);
}

function requireLength(lengthBytes: number): void {
  if (lengthBytes < 1) {
    throw new IntercloudError("EMPTY_MESSAGE", "bad-request", "there is nothing to keep: the message is empty");
  }
  if (lengthBytes > MAX_MESSAGE_BYTES) {
    throw new IntercloudError(
      "MESSAGE_TOO_LONG",
      "bad-request",
      `a message is at most ${MAX_MESSAGE_BYTES} bytes long`,
    );
  }
}

/** Passes a stream on, counts it, and stops at the signal. */
async function* watch(
  source: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
  report: (doneBytes: number) => void,
): AsyncIterable<Uint8Array> {
  let doneBytes = 0;
  for await (const chunk of source) {
    if (signal.aborted) throw cancelled(signal);
    doneBytes += chunk.length;
    report(doneBytes);
    yield chunk;
  }
}

function reporter(options: DepositOptions, phase: DepositProgress["phase"], totalBytes: number) {
  return (doneBytes: number) => options.onProgress?.({ phase, doneBytes, totalBytes });
}

/** Runs two tasks; when one fails the other is cancelled, and the first failure is what is thrown. */
async function both<A, B>(
  signal: AbortSignal,
  [first, second]: readonly [(either: AbortSignal) => Promise<A>, (either: AbortSignal) => Promise<B>],
): Promise<[A, B]> {
  const controller = new AbortController();
  const either = AbortSignal.any([signal, controller.signal]);
  const tasks = [first(either), second(either)] as const;
  try {
    return await Promise.all(tasks);
  } catch (error) {
    controller.abort(error);
    await Promise.allSettled(tasks);
    throw signal.aborted ? cancelled(signal) : error;
  }
}

export function cancelled(signal: AbortSignal): IntercloudError {
  const message = "the deposit was cancelled; nothing was kept";
  return new IntercloudError("CANCELLED", "cancelled", message, {}, signal.reason);
}
