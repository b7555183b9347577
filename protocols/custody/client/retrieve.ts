/**
 * Retrieving. Rounds go on until the whole message has been released: a provider that fails is replaced by another while it
 * runs, and a round that gives wrong bytes is tried again with other providers. Nothing wrong is ever released.
 */
import type { Route } from "../../rounds/descriptor.ts";
import type { Token } from "../../tokens/token.ts";
import type { TokenText } from "../../tokens/token-text.ts";
import { IntercloudError } from "../../wire/errors.ts";
import type { PeerName } from "../../wire/transport.ts";
import { ASK_TIMEOUT_MS } from "../constants.ts";
import { allows } from "../grants.ts";
import { keepersOf } from "../placement.ts";
import type { Failure } from "./ask-all.ts";
import { type Accusation, blame } from "./blame.ts";
import { checkedMessage, WrongBytes } from "./checked-blocks.ts";
import { fastestMembers, isEnough, usable } from "./choose-members.ts";
import { clockError } from "./clock-error.ts";
import { destroyedError } from "./destroyed.ts";
import { type FoundProof, findProof, grantExpired } from "./find-proof.ts";
import { type ReadyProvider, type ReadySurvey, surveyReady } from "./ready-survey.ts";
import { type Located, openRound, type Round, RoundFailure } from "./round.ts";
import { askStanding } from "./standing.ts";
import { type CustodyUser, notEnough } from "./user.ts";

export interface RetrieveOptions {
  readonly token: TokenText;
  readonly route: Route;
  /** Protocol 2: the user's share of a deposit on the deal that it is on now; undefined when it is not here. */
  userShare(tokenId: Uint8Array, dealId: Uint8Array): Promise<Uint8Array | undefined>;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: RetrieveProgress) => void;
  /** Something went wrong and was mended; worth telling a person. */
  readonly onWarning?: (warning: RetrieveWarning) => void;
}

export interface RetrieveProgress {
  readonly doneBytes: number;
  readonly totalBytes: number;
}

export type RetrieveWarning =
  /** They failed, or gave wrong bytes together and it is not known who. */
  | { readonly kind: "replaced" | "wrong-bytes"; readonly peers: readonly PeerName[]; readonly accusation?: undefined }
  /** It lied, or lost what it should keep, and this shows it to anybody. */
  | { readonly kind: "named"; readonly peers: readonly PeerName[]; readonly accusation: Accusation };

export interface Retrieval {
  readonly token: Token;
  /** The message, checked before it is released. To be read to its end, or returned from early. */
  readonly message: AsyncIterable<Uint8Array>;
}

/**
 * Providers give up on a reader that takes nothing for half a minute. A reader that was away for longer than this did it
 * itself, and no provider is to blame.
 */
const READER_STALL_MS = 15_000;

/**
 * Resolves when there are enough providers to begin with.
 * @throws IntercloudError NO_SUCH_DEPOSIT, DESTROYED, NOT_THE_OWNER, GRANT_EXPIRED, NOT_ENOUGH_PROVIDERS, NO_USER_SHARE; the
 * message itself may throw these and WRONG_BYTES later.
 */
export async function retrieve(user: CustodyUser, options: RetrieveOptions): Promise<Retrieval> {
  const signal = options.signal ?? new AbortController().signal;
  const { proof, bytes: proofBytes, grant } = await findProof(user, options.token, signal);
  requireChain(user, proof);
  const { terms, placement } = proof;
  const { token, tokenId } = terms;
  const userShare = token.protocol === 2 ? await options.userShare(tokenId, placement.manifest.dealId) : undefined;
  if (token.protocol === 2 && userShare === undefined) {
    const message =
      "this deposit needs the user's own share (Protocol 2), and it is not in this home; use the home that made it";
    throw new IntercloudError("NO_USER_SHARE", "not-found", message);
  }
  const over = new AbortController();
  const either = AbortSignal.any([signal, over.signal]);
  const run: Run = {
    user,
    options,
    ...{ token, tokenId, placement, proofBytes, grant },
    userShare,
    route: options.route,
    count: placement.manifest.threshold - (userShare === undefined ? 0 : 1),
    survey: surveyReady(user, tokenId, placement, either),
    excluded: new Set(),
    ...{ named: new Set(), withoutCiphertext: new Set() },
    refusals: [],
    signal: either,
  };
  try {
    await nextMembers(run);
  } catch (error) {
    over.abort();
    throw error;
  }
  return { token, message: messageOf(run, over) };
}

interface Run extends Located {
  readonly user: CustodyUser;
  readonly options: RetrieveOptions;
  readonly proofBytes: Uint8Array;
  /** What the owner lets us do; null when we are the owner. */
  readonly grant: FoundProof["grant"];
  readonly userShare: Uint8Array | undefined;
  route: Route;
  /** How many providers a round needs. */
  readonly count: number;
  readonly survey: ReadySurvey;
  /** Providers that failed. */
  readonly excluded: Set<PeerName>;
  /** Those of them that would not serve us. */
  readonly refusals: Failure[];
  /** Providers whose copy of the ciphertext is not good where we are, and whose share may be. */
  readonly withoutCiphertext: Set<PeerName>;
  /** Those of them that were shown to have lied, or to have lost what they should keep. */
  readonly named: Set<PeerName>;
  readonly signal: AbortSignal;
}

async function* messageOf(run: Run, over: AbortController): AsyncIterable<Uint8Array> {
  const { user, options, token } = run;
  const checked = checkedMessage(token);
  const progress = { doneBytes: 0, totalBytes: token.lengthBytes };
  try {
    while (!checked.isComplete()) {
      const members = await nextMembers(run);
      const plan = { members, route: run.route, offsetBytes: checked.offsetBytes(), userShare: run.userShare };
      const round = openRound(user, run, plan, run.signal);
      // Once is enough: what was on its way is still read after it, and then comes the end.
      let readerStalled = false;
      try {
        for await (const pieces of checked.blocks(round.bytes)) {
          for (const piece of pieces) {
            const givenAtMs = user.clock.nowMs();
            yield piece;
            readerStalled ||= user.clock.nowMs() - givenAtMs > READER_STALL_MS;
            progress.doneBytes += piece.length;
          }
          // copies that are damaged in different places make up for each other
          run.withoutCiphertext.clear();
          options.onProgress?.({ ...progress });
        }
      } catch (error) {
        if (run.signal.aborted) throw cancelled(run.signal);
        if (!(readerStalled && error instanceof RoundFailure)) await learnFrom(run, round, error);
      } finally {
        round.record.secret.fill(0);
      }
    }
  } finally {
    over.abort();
    run.userShare?.fill(0);
  }
}

/** Waits until there are enough, not until all have answered. */
async function nextMembers(run: Run): Promise<ReadyProvider[]> {
  const { survey, count } = run;
  await survey.until((ready) => isEnough(usable(ready, run), count));
  if (run.signal.aborted) throw cancelled(run.signal);
  const candidates = usable(survey.ready, run);
  const members = fastestMembers(candidates, count);
  if (members === undefined) throw (await refused(run)) ?? (await destroyedMeanwhile(run)) ?? tooFew(run, candidates);
  return members;
}

/** Who failed is replaced; who lied is found out, named, and replaced. */
async function learnFrom(run: Run, { record }: Round, error: unknown): Promise<void> {
  if (error instanceof RoundFailure) {
    if (run.route === "chain" && record.descriptor.members.length > 1) {
      // All we know is that one of the chain failed: the last one's word about the others may be a lie. Asking each of them
      // ourselves gives the same bytes and shows who it is.
      run.route = "fanout";
      return;
    }
    run.excluded.add(error.peer);
    if (error.status === "refused" || error.status === "expired") {
      run.refusals.push({ peer: error.peer, error });
      // A provider that has not heard of the grant yet does what it should.
      if (run.grant !== null) return;
    }
    run.options.onWarning?.({ kind: "replaced", peers: [error.peer] });
    return;
  }
  if (!(error instanceof WrongBytes)) throw error;
  if (run.route === "chain") {
    // In a chain nobody but the last one answers us. The same members, each asked by us, can be told apart.
    run.route = "fanout";
    run.options.onWarning?.({ kind: "wrong-bytes", peers: record.descriptor.members.map(({ peer }) => peer) });
    return;
  }
  const { accusations, silent } = await blame(run.user, run, run.proofBytes, record, run.signal);
  for (const accusation of accusations) {
    const { accused } = accusation;
    (accusation.hasShare ? run.withoutCiphertext : run.excluded).add(accused);
    if (!run.named.has(accused)) run.options.onWarning?.({ kind: "named", peers: [accused], accusation });
    run.named.add(accused);
  }
  for (const peer of silent) {
    run.excluded.add(peer);
    run.options.onWarning?.({ kind: "replaced", peers: [peer] });
  }
  const { dealer } = run.placement.manifest;
  if (accusations.some(({ accused }) => accused === dealer)) throw wrongDeal(run, dealer);
  if (accusations.length + silent.length === 0) throw wrongDeposit(run);
}

function requireChain(user: CustodyUser, proof: FoundProof["proof"]): void {
  const broken = proof.chain.firstBreak;
  if (broken === undefined) return;
  const names = broken.suspects.map((peer) => user.directory.nameOf(peer)).join(" or ");
  const message = `the chain of this deposit breaks at link ${broken.index}: ${broken.problem} (${names})`;
  throw new IntercloudError("CHAIN_BROKEN", "integrity", message, { peers: broken.suspects });
}

/** When so many providers refuse to serve us that the others cannot be enough, whoever else comes back. */
async function refused({ user, placement, grant, count, refusals, signal }: Run): Promise<IntercloudError | undefined> {
  const { roster } = placement;
  if (roster.length - refusals.length >= count) return undefined;
  const clock = await clockError(user, refusals, signal);
  if (clock !== undefined) return clock;
  const cause = refusals[0]?.error;
  const expired = refusals.find(({ error }) => error instanceof IntercloudError && error.status === "expired");
  if (expired !== undefined) return grantExpired(expired.error);
  const [code, why] =
    grant !== null && !allows(grant, "retrieve")
      ? [
          "GRANT_PURPOSE",
          "the owner's grant lets this identity see the deposit, not get it; ask for one to retrieve it",
        ]
      : ["NOT_THE_OWNER", "this identity does not own the deposit, and its grant was revoked or has not reached them"];
  const message = `${refusals.length} of ${roster.length} providers refuse: ${why}`;
  return new IntercloudError(code, "refused", message, {}, cause);
}

/** When the owner asks for what it has destroyed at some providers, it should hear that rather than that they are missing. */
async function destroyedMeanwhile(run: Run): Promise<IntercloudError | undefined> {
  const { user, token, tokenId, survey, excluded, signal } = run;
  if (token.owner !== user.session.identity) return undefined;
  const peers = new Set([...survey.without, ...excluded]);
  const { destroyed } = await askStanding(user, { token, tokenId }, [...peers], { timeoutMs: ASK_TIMEOUT_MS, signal });
  return destroyed.size > 0 ? destroyedError([...destroyed.values()]) : undefined;
}

function tooFew(run: Run, candidates: readonly ReadyProvider[]): IntercloudError {
  const { user, placement, count } = run;
  if (run.named.size > 0) return tooManyLiars(run, candidates);
  const missing = placement.roster.filter((peer) => !candidates.some((each) => each.peer === peer));
  if (candidates.length >= count) {
    const message =
      "enough providers answered, but none of those that keep the ciphertext; try again when one of them is up";
    const details = { answered: candidates.length, needed: count, peers: keepersOf(placement) };
    return new IntercloudError("NO_CIPHERTEXT", "unreachable", message, details);
  }
  return notEnough(user, candidates.length, count, missing);
}

function tooManyLiars({ user, named, count }: Run, candidates: readonly ReadyProvider[]): IntercloudError {
  const names = [...named].map((peer) => user.directory.nameOf(peer)).join(", ");
  const message =
    `${names} lied or lost what they should keep, and the ${candidates.length} others that answered are not enough ` +
    `(${count} are needed, one of them with the ciphertext); nothing wrong was handed over. Try again when others are up`;
  return new IntercloudError("WRONG_BYTES", "integrity", message, { peers: [...named] });
}

function wrongDeal({ user }: Run, dealer: PeerName): IntercloudError {
  const message =
    `the dealer ${user.directory.nameOf(dealer)} dealt shares that do not belong together, so the message cannot be read; ` +
    "the evidence shows it to anybody";
  return new IntercloudError("WRONG_DEAL", "integrity", message, { peers: [dealer] });
}

function wrongDeposit({ user, placement }: Run): IntercloudError {
  const names = placement.roster.map((peer) => user.directory.nameOf(peer)).join(", ");
  const message =
    "every provider answered as its share and the kept ciphertext say, and they do not make what the token names: " +
    `one of ${names} laid another layer when the deposit was made. Nothing wrong was handed over`;
  return new IntercloudError("WRONG_BYTES", "integrity", message, { peers: placement.roster });
}

function cancelled(signal: AbortSignal): IntercloudError {
  return new IntercloudError("CANCELLED", "cancelled", "the retrieval was cancelled", {}, signal.reason);
}
