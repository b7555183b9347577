/**
 * Many short messages deposited at once, by Protocol 3 and the fanout route: one deal exchange, and the three steps of a short deposit once
 * for all of them. Each becomes a deposit of its own. All of them exist at the end, or none.
 */
import { DIGEST_BYTES, equalBytes } from "../../crypto/digest.ts";
import { type AgreementKey, newAgreementKey } from "../../crypto/key-agreement.ts";
import { wipe } from "../../crypto/release.ts";
import { signLot } from "../../crypto/statement-signature.ts";
import { requireLotSize, seedInLot } from "../../dealing/lot/deal-lot.ts";
import type { FreshLot } from "../../dealing/lot/request-lot.ts";
import { checkKeptRequest, REQUEST_DOMAIN, type RequestTerms } from "../../identity/request.ts";
import { NONCE_BYTES } from "../../rounds/constants.ts";
import { coefficientOf } from "../../rounds/descriptor.ts";
import { maskKey, maskKeyInLot, reportKey } from "../../rounds/masks.ts";
import { whole } from "../../rounds/whole.ts";
import { checkChain } from "../../tokens/chain.ts";
import { hashBlocks, layeredBytes, layeredMessage, MESSAGE_SALT_BYTES, messageDigest } from "../../tokens/message.ts";
import { decodeToken } from "../../tokens/token.ts";
import { formatTokenText } from "../../tokens/token-text.ts";
import { byTurns } from "../../wire/by-turns.ts";
import type { CborValue } from "../../wire/codec.ts";
import { IntercloudError } from "../../wire/errors.ts";
import { onceOf } from "../../wire/once-of.ts";
import { parseShape, readAnswer } from "../../wire/shape.ts";
import type { Channel, PeerName } from "../../wire/transport.ts";
import { piecesOf, receiveWhole } from "../../wire/whole-body.ts";
import { abortOn } from "../abort-on.ts";
import {
  CUSTODY_PROTOCOL,
  LOT_STEP_TIMEOUT_MS,
  MAX_SHORT_BYTES,
  OPEN_TIMEOUT_MS,
  REQUEST_LIFETIME_MS,
} from "../constants.ts";
import { chainExpectation, readTerms } from "../deposit-terms.ts";
import {
  type ClosedLot,
  closeAll,
  keepAll,
  type LinkedLot,
  type LotSignatures,
  linkAll,
  type OfferedLot,
  offerAll,
  proofInLot,
  signedRequestBytes,
} from "../lot/lot-chain.ts";
import { lotLinkedShape } from "../lot/lot-messages.ts";
import { columnAt, type LotPlan, lotStatements } from "../lot/lot-statements.ts";
import { sliceDigests } from "../lot/slice-digests.ts";
import type { Fingerprints } from "../messages.ts";
import { encodeProof } from "../proof.ts";
import { abandon } from "./abandon.ts";
import type { Failure } from "./ask-all.ts";
import { type Checking, unmaskedFingerprints } from "./check-layers.ts";
import { isLotRight, lotChecking } from "./check-lot.ts";
import { chooseProviders } from "./choose-providers.ts";
import { cancelled, type Deposited, type DepositOptions } from "./deposit.ts";
import { askFailure } from "./deposit-failure.ts";
import { freshLot } from "./fresh-deal.ts";
import { agreementKeyOf, type CustodyUser } from "./user.ts";

export interface LotOptions
  extends Pick<DepositOptions, "providers" | "threshold" | "copies" | "candidates" | "dealer" | "signal"> {
  readonly messages: readonly Uint8Array[];
}

/** As `Deposited` says; the proof of each is made when it is asked for. */
export interface DepositedInLot extends Pick<Deposited, "tokenText" | "token"> {
  /** What `verify` and `trace` check offline. */
  proof(): Uint8Array;
}

/** The longest message that may be in a lot. */
export const MAX_LOT_MESSAGE_BYTES = MAX_SHORT_BYTES - layeredBytes(1) + 1;

/**
 * In the order of the messages.
 * @throws IntercloudError EMPTY_MESSAGE, LOT_TOO_LARGE, NOT_ENOUGH_PROVIDERS, NO_DEAL, CHAIN_BROKEN ...; nothing is kept then.
 */
export async function depositLot(user: CustodyUser, options: LotOptions): Promise<DepositedInLot[]> {
  const { messages, threshold, dealer, candidates } = options;
  const signal = options.signal ?? new AbortController().signal;
  if (messages.length === 0) return [];
  for (const [index, { length }] of messages.entries()) requireLength(index, length);
  const lengths = messages.map(({ length }) => layeredBytes(length));
  requireLotSize(lengths, options.providers);
  const peers = await chooseProviders(user, candidates, options.providers, signal);
  const fresh = await freshLot(user, { providers: peers, threshold, lengths, dealer, signal });
  try {
    const layered = await layeredAll(user, messages, fresh);
    const checking = lotChecking(user, layered.bytes);
    const placed = await place(user, options, fresh, layered, signal);
    const linked = await link(user, placed, checking.challenge, signal);
    await requireReadable(user, options, fresh, checking, linked, signal);
    const { closed, signatures } = await close(user, linked, signal);
    return depositedOf(closed, signatures);
  } catch (error) {
    await abandon(user, peers, fresh.lot.manifest.dealId, null);
    throw signal.aborted ? cancelled(signal) : error;
  } finally {
    fresh.userSeed.fill(0);
  }
}

function requireLength(index: number, lengthBytes: number): void {
  if (lengthBytes < 1) {
    throw new IntercloudError(
      "EMPTY_MESSAGE",
      "bad-request",
      `there is nothing to keep: message ${index + 1} is empty`,
    );
  }
  if (lengthBytes <= MAX_LOT_MESSAGE_BYTES) return;
  const text = `message ${index + 1} has ${lengthBytes} bytes; a batch takes messages of at most ${MAX_LOT_MESSAGE_BYTES}`;
  throw new IntercloudError("MESSAGE_TOO_LONG", "bad-request", text);
}

interface Layered {
  /** Message digests. */
  readonly digests: Uint8Array;
  /** What is layered, one after another. */
  readonly bytes: Uint8Array;
}

async function layeredAll(user: CustodyUser, messages: readonly Uint8Array[], { lot }: FreshLot): Promise<Layered> {
  const digests = new Uint8Array(messages.length * DIGEST_BYTES);
  const bytes = new Uint8Array(lot.manifest.lengthBytes);
  const salts = user.entropy(MESSAGE_SALT_BYTES * messages.length);
  for (const [index, message] of messages.entries()) {
    const salt = salts.subarray(index * MESSAGE_SALT_BYTES, (index + 1) * MESSAGE_SALT_BYTES);
    const blockDigests = await hashBlocks(salt, message.length, onceOf(message));
    digests.set(messageDigest(salt, message.length, blockDigests), index * DIGEST_BYTES);
    const layered = await whole(layeredMessage(salt, message.length, blockDigests, onceOf(message)));
    bytes.set(layered, lot.offsets[index]);
    wipe(layered);
  }
  salts.fill(0);
  return { digests, bytes };
}

interface Placed {
  readonly offered: OfferedLot;
  readonly tag: Uint8Array;
  readonly requestSignature: Uint8Array;
  /** For each deposit in turn what each provider gave. */
  readonly digestsOut: Uint8Array;
  readonly digestsFromOwner: Uint8Array;
  readonly ephemeral: AgreementKey;
  /** What the keepers were sent. */
  readonly sent: Uint8Array;
}

/** Everybody is told, and gives its layers to the keepers. */
async function place(
  user: CustodyUser,
  { copies }: LotOptions,
  fresh: FreshLot,
  { digests, bytes }: Layered,
  signal: AbortSignal,
): Promise<Placed> {
  const { lot } = fresh;
  const { session, clock, entropy, transport } = user;
  const ephemeral = newAgreementKey(entropy);
  const createdAtMs = clock.nowMs();
  const plan: LotPlan = {
    ...{ requester: transport.peer, userKey: ephemeral.publicKey, nonce: entropy(NONCE_BYTES), copies },
    ...{ createdAtMs, expiresAtMs: createdAtMs + REQUEST_LIFETIME_MS },
  };
  const offered = await offerAll(lotStatements(lot, plan, session.identity, digests));
  const { statements, requests, roundHashes } = offered;
  const { items, roster } = statements;
  const requestSignature = signLot(session.signer, REQUEST_DOMAIN, requests);
  const { tag } = session;
  const first = signedRequestBytes(tag, statements.offer(0).request, requestSignature, requests, 0);
  // What providers would refuse is a fault of ours, and found before anybody is told.
  const { descriptor } = readTerms(checkKeptRequest(first, "deposit"), lot.signedManifest(0));
  const lotKeys = descriptor.members.map((member) =>
    maskKey(ephemeral, agreementKeyOf(user, member.peer), member, lot.manifest.dealId),
  );
  await mask(user, fresh, bytes, { roundHashes, lotKeys, coefficient: coefficientOf(descriptor, roster.length + 1) });
  const digestsFromOwner = await sliceDigests(bytes, lot);
  const header = { lotId: lot.manifest.dealId, plan, tag, signature: requestSignature };
  const parts = await stepAt(user, roster, "place-lot", header, signal, async (channel, peer) => {
    const isKeeper = roster.indexOf(peer) < copies;
    await channel.sendBody(isKeeper ? piecesOf(digests, bytes) : piecesOf(digests));
    return await receiveWhole(channel, items * DIGEST_BYTES);
  });
  const digestsOut = new Uint8Array(items * roster.length * DIGEST_BYTES);
  for (let index = 0; index < items; index += 1) {
    for (const [position, part] of parts.entries()) {
      digestsOut.set(columnAt(part, index), (index * roster.length + position) * DIGEST_BYTES);
    }
  }
  return { offered, tag, requestSignature, digestsOut, digestsFromOwner, ephemeral, sent: bytes };
}

/** Our layer and the masks that we have with all providers, on top of each message. Overwrites the keys. */
async function mask(
  { tools }: CustodyUser,
  { lot, userSeed }: FreshLot,
  bytes: Uint8Array,
  round: {
    readonly roundHashes: readonly Uint8Array[];
    readonly lotKeys: readonly Uint8Array[];
    readonly coefficient: number;
  },
): Promise<void> {
  await byTurns(lot.lengths.length, (index) => {
    const start = lot.offsets[index]!;
    const own = bytes.subarray(start, start + lot.lengths[index]!);
    const seed = seedInLot(userSeed, index);
    const share = tools.keystream(seed, 0).xor(new Uint8Array(own.length));
    tools.kernel.addScaled(own, share, round.coefficient);
    for (const lotKey of round.lotKeys) {
      const key = maskKeyInLot(lotKey, round.roundHashes[index]!);
      own.set(tools.keystream(key, 0).xor(own));
      key.fill(0);
    }
    for (const secret of [seed, share]) wipe(secret);
  });
  for (const key of round.lotKeys) key.fill(0);
}

interface Linked extends Placed {
  readonly lot: LinkedLot;
  readonly linkSignatures: readonly Uint8Array[];
  readonly keeping: { readonly timeMs: number; readonly signature: Uint8Array };
  readonly digestsKept: Uint8Array;
  /** Of each provider in turn, under a mask. */
  readonly fingerprints: readonly Fingerprints[];
}

/** Everybody signs what it gave, and home what it received and keeps. */
async function link(user: CustodyUser, placed: Placed, challenge: Uint8Array, signal: AbortSignal): Promise<Linked> {
  const { offered, digestsOut } = placed;
  const { roster, items, lot: dealt } = offered.statements;
  const timeMs = user.clock.nowMs();
  const linking = linkAll(offered, digestsOut, timeMs);
  const header = { lotId: dealt.manifest.dealId, timeMs, challenge };
  const answers = await stepAt(user, roster, "link-lot", header, signal, async (channel, peer) => {
    await channel.sendBody(piecesOf(digestsOut));
    const answer = await channel.receiveMessage();
    const signed = readAnswer(peer, "link-lot", () => parseShape(lotLinkedShape, answer, "link-lot"));
    if (peer !== roster[0] || signed.keeping === null) return { ...signed, columns: undefined };
    return { ...signed, columns: await receiveWhole(channel, items * (roster.length + 1) * DIGEST_BYTES) };
  });
  const [home] = answers;
  if (home?.keeping == null || home.columns === undefined) {
    throw chainBroken(user, "home does not say what it keeps", [roster[0]!]);
  }
  const digestsReceived = home.columns.subarray(0, digestsOut.length);
  for (let at = 0; at < items * roster.length; at += 1) {
    if (equalBytes(columnAt(digestsReceived, at), columnAt(digestsOut, at))) continue;
    const text = "what home received is not what the provider says went out";
    throw chainBroken(user, text, [roster[at % roster.length]!, roster[0]!]);
  }
  const linkSignatures = answers.map(({ signature }) => signature);
  const digestsKept = home.columns.subarray(digestsOut.length);
  const fingerprints = answers.map((answer) => answer.fingerprints);
  return { ...placed, lot: await linking, linkSignatures, keeping: home.keeping, digestsKept, fingerprints };
}

/** @throws IntercloudError DEPOSIT_SPOILT that names who spoilt it. */
async function requireReadable(
  user: CustodyUser,
  { copies }: LotOptions,
  fresh: FreshLot,
  checking: Checking,
  linked: Linked,
  signal: AbortSignal,
): Promise<void> {
  const { offered, ephemeral } = linked;
  const { roster } = offered.statements;
  const { dealId, lengthBytes } = fresh.lot.manifest;
  const keys = roster.map((peer, i) =>
    reportKey(ephemeral, agreementKeyOf(user, peer), { point: i + 1, peer }, dealId),
  );
  const fingerprints = unmaskedFingerprints(user, keys, checking.challenge, lengthBytes, linked.fingerprints);
  if (isLotRight(user, fresh, copies, checking, fingerprints)) return;
  const { findLotLiar } = await import("./find-lot-liar.ts");
  const { spoilt } = await import("./find-liar.ts");
  const said = { ...linked, roundHashes: offered.roundHashes, roster, copies, fingerprints };
  throw spoilt(user, await findLotLiar(user, fresh, checking, said, signal));
}

/** The owner looks at the chains and accepts them. */
async function close(
  user: CustodyUser,
  linked: Linked,
  signal: AbortSignal,
): Promise<{ readonly closed: ClosedLot; readonly signatures: LotSignatures }> {
  const { lot, keeping, linkSignatures, digestsFromOwner, digestsKept } = linked;
  const { session, clock, entropy } = user;
  const issuedAtMs = clock.nowMs();
  const closingTerms: RequestTerms = {
    ...{ purpose: "deposit", issuedAtMs, expiresAtMs: issuedAtMs + REQUEST_LIFETIME_MS, nonce: entropy(NONCE_BYTES) },
  };
  const kept = await keepAll(lot, { digestsFromOwner, digestsKept, keepingTimeMs: keeping.timeMs });
  const closed = await closeAll(kept, { linkSignatures, keepingSignature: keeping.signature, closingTerms });
  const signatures: LotSignatures = {
    ...{ tag: linked.tag, requestSignature: linked.requestSignature, linkSignatures },
    ...{ keepingSignature: keeping.signature, closingTerms, closingTag: session.tag },
    closingSignature: signLot(session.signer, REQUEST_DOMAIN, closed.closings),
  };
  requireChain(user, closed, signatures);
  const { roster, lot: dealt } = lot.statements;
  const header = {
    ...{ lotId: dealt.manifest.dealId, tag: session.tag, terms: closingTerms },
    ...{ signature: signatures.closingSignature, links: [...linkSignatures], keeping },
  };
  await stepAt(user, roster, "seal-lot", header, signal, async (channel) => {
    await channel.sendBody(piecesOf(digestsFromOwner, digestsKept));
    await channel.receiveMessage();
  });
  return { closed, signatures };
}

/** Each signature stands for all deposits, so the chain of the first one says whether they are right. @throws IntercloudError CHAIN_BROKEN. */
function requireChain(user: CustodyUser, closed: ClosedLot, signatures: LotSignatures): void {
  const proof = proofInLot(closed.statements, closed, closed, signatures, 0);
  const terms = readTerms(checkKeptRequest(proof.request, "deposit"), proof.manifest);
  const expectation = chainExpectation(terms, columnAt(closed.digestsFromOwner, 0));
  const { valid, firstBreak } = checkChain(expectation, proof.links, proof.keeping);
  if (!valid) throw chainBroken(user, firstBreak?.problem ?? "", firstBreak?.suspects ?? []);
}

function chainBroken({ directory }: CustodyUser, problem: string, peers: readonly PeerName[]): IntercloudError {
  const names = peers.map((peer) => directory.nameOf(peer)).join(" or ");
  const message = `the chain of this batch breaks: ${problem} (${names}); nothing was kept`;
  return new IntercloudError("CHAIN_BROKEN", "integrity", message, { peers });
}

function depositedOf(closed: ClosedLot, signatures: LotSignatures): DepositedInLot[] {
  const { statements } = closed;
  return closed.tokenIds.map((tokenId, index) => {
    const token = decodeToken(statements.offer(index).token);
    const proof = () => encodeProof(proofInLot(statements, closed, closed, signatures, index));
    return { tokenText: formatTokenText({ tokenId, home: token.home }), token, proof };
  });
}

/** One step at all providers, in roster order. @throws IntercloudError that names those who did not take it. */
async function stepAt<T>(
  user: CustodyUser,
  roster: readonly PeerName[],
  method: string,
  header: CborValue,
  signal: AbortSignal,
  action: (channel: Channel, peer: PeerName) => Promise<T>,
): Promise<T[]> {
  const late = new AbortController();
  const disarm = user.clock.after(LOT_STEP_TIMEOUT_MS, () => late.abort(tooLate()));
  const either = AbortSignal.any([signal, late.signal]);
  const failures: Failure[] = [];
  const answers = await Promise.all(
    roster.map(async (peer) => {
      try {
        const options = { timeoutMs: OPEN_TIMEOUT_MS, signal: either };
        const channel = await user.transport.open(peer, CUSTODY_PROTOCOL, method, header, options);
        const release = abortOn(either, channel);
        try {
          const answer = await action(channel, peer);
          await channel.close();
          return answer;
        } catch (error) {
          channel.abort(error);
          throw error;
        } finally {
          release();
        }
      } catch (error) {
        failures.push({ peer, error });
        return undefined;
      }
    }),
  );
  disarm();
  if (failures.length === 0) return answers as T[];
  signal.throwIfAborted();
  throw askFailure(user, roster, failures);
}

function tooLate(): IntercloudError {
  return new IntercloudError("TIMEOUT", "timeout", "a provider took too long for its step of a batch");
}
