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
import type { Failure } from "./ask-all.ts";
import { checkedMessage, WrongBytes } from "./checked-blocks.ts";
import { fastestMembers, isEnough, membersKey, otherMembers, usable } from "./choose-members.ts";
import { clockError } from "./clock-error.ts";
import { destroyedError } from "./destroyed.ts";
import { type FoundProof, findProof, grantExpired } from "./find-proof.ts";
import { type ReadyProvider, type ReadySurvey, surveyReady } from "./ready-survey.ts";
import { RoundFailure, roundBytes } from "./round.ts";
import { askStanding } from "./standing.ts";
import { type CustodyUser, notEnough } from "./user.ts";

export interface RetrieveOptions {
  readonly token: TokenText;
  readonly route: Route;
  /** Protocol 2: the user's share of a deposit, by its token id; undefined when it is not here. */
  userShare(tokenId: Uint8Array): Promise<Uint8Array | undefined>;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: RetrieveProgress) => void;
  /** Something went wrong and was mended; worth telling a person. */
  readonly onWarning?: (warning: RetrieveWarning) => void;
}

export interface RetrieveProgress {
  readonly doneBytes: number;
  readonly totalBytes: number;
}

export interface RetrieveWarning {
  readonly kind: "replaced" | "wrong-bytes";
  readonly peers: readonly PeerName[];
}

export interface Retrieval {
  readonly token: Token;
  /** The message, checked before it is released. To be read to its end, or returned from early. */
  readonly message: AsyncIterable<Uint8Array>;
}

/** Wrong bytes are worth this many other sets of providers; after that it is an error. */
const MAX_WRONG_ROUNDS = 24;

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
  const { proof, grant } = await findProof(user, options.token, signal);
  requireChain(user, proof);
  const { terms } = proof;
  const { token } = terms;
  const userShare = token.protocol === 2 ? await options.userShare(terms.tokenId) : undefined;
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
    terms,
    grant,
    userShare,
    route: options.route,
    count: token.threshold - (userShare === undefined ? 0 : 1),
    survey: surveyReady(user, terms, either),
    excluded: new Set(),
    refusals: [],
    tried: new Set(),
    signal: either,
  };
  try {
    await nextMembers(run, false);
  } catch (error) {
    over.abort();
    throw error;
  }
  return { token, message: messageOf(run, over) };
}

interface Run {
  readonly user: CustodyUser;
  readonly options: RetrieveOptions;
  readonly terms: FoundProof["proof"]["terms"];
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
  /** Sets of providers that gave wrong bytes. */
  readonly tried: Set<string>;
  readonly signal: AbortSignal;
}

async function* messageOf(run: Run, over: AbortController): AsyncIterable<Uint8Array> {
  const { user, options, terms } = run;
  const checked = checkedMessage(terms.token);
  const progress = { doneBytes: 0, totalBytes: terms.token.lengthBytes };
  try {
    while (!checked.isComplete()) {
      const members = await nextMembers(run, run.tried.size > 0);
      const plan = { members, route: run.route, offsetBytes: checked.offsetBytes(), userShare: run.userShare };
      // Once is enough: what was on its way is still read after it, and then comes the end.
      let readerStalled = false;
      try {
        for await (const pieces of checked.blocks(roundBytes(user, terms, plan, run.signal))) {
          for (const piece of pieces) {
            const givenAtMs = user.clock.nowMs();
            yield piece;
            readerStalled ||= user.clock.nowMs() - givenAtMs > READER_STALL_MS;
            progress.doneBytes += piece.length;
          }
          options.onProgress?.({ ...progress });
        }
      } catch (error) {
        if (run.signal.aborted) throw cancelled(run.signal);
        if (!(readerStalled && error instanceof RoundFailure)) learnFrom(run, members, error);
      }
    }
  } finally {
    over.abort();
    run.userShare?.fill(0);
  }
}

/** Waits until there are enough, not until all have answered. */
async function nextMembers(run: Run, avoidTried: boolean): Promise<ReadyProvider[]> {
  const { survey, excluded, count, tried, user } = run;
  await survey.until((ready) => !avoidTried && isEnough(usable(ready, excluded), count));
  if (run.signal.aborted) throw cancelled(run.signal);
  const candidates = usable(survey.ready, excluded);
  const members = avoidTried ? otherMembers(candidates, count, tried, user.entropy) : fastestMembers(candidates, count);
  if (members !== undefined) return members;
  if (avoidTried && isEnough(candidates, count)) throw wrongForGood(run);
  throw (await refused(run)) ?? (await destroyedMeanwhile(run)) ?? tooFew(run, candidates);
}

/** Who failed is replaced; what was wrong is tried with others. */
function learnFrom(run: Run, members: readonly ReadyProvider[], error: unknown): void {
  if (error instanceof RoundFailure) {
    if (run.route === "chain" && members.length > 1) {
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
  if (error instanceof WrongBytes) {
    run.tried.add(membersKey(members));
    run.options.onWarning?.({ kind: "wrong-bytes", peers: members.map(({ peer }) => peer) });
    if (run.tried.size >= MAX_WRONG_ROUNDS) throw wrongForGood(run);
    return;
  }
  throw error;
}

function requireChain(user: CustodyUser, proof: FoundProof["proof"]): void {
  const broken = proof.chain.firstBreak;
  if (broken === undefined) return;
  const names = broken.suspects.map((peer) => user.directory.nameOf(peer)).join(" or ");
  const message = `the chain of this deposit breaks at link ${broken.index}: ${broken.problem} (${names})`;
  throw new IntercloudError("CHAIN_BROKEN", "integrity", message, { peers: broken.suspects });
}

/** When so many providers refuse to serve us that the others cannot be enough, whoever else comes back. */
async function refused({ user, terms, grant, count, refusals, signal }: Run): Promise<IntercloudError | undefined> {
  if (terms.roster.length - refusals.length >= count) return undefined;
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
  const message = `${refusals.length} of ${terms.roster.length} providers refuse: ${why}`;
  return new IntercloudError(code, "refused", message, {}, cause);
}

/** When the owner asks for what it has destroyed at some providers, it should hear that rather than that they are missing. */
async function destroyedMeanwhile(run: Run): Promise<IntercloudError | undefined> {
  const { user, terms, survey, excluded, signal } = run;
  if (terms.token.owner !== user.session.identity) return undefined;
  const peers = new Set([...survey.without, ...excluded]);
  const { destroyed } = await askStanding(user, terms, [...peers], { timeoutMs: ASK_TIMEOUT_MS, signal });
  return destroyed.size > 0 ? destroyedError([...destroyed.values()]) : undefined;
}

function tooFew(run: Run, candidates: readonly ReadyProvider[]): IntercloudError {
  const { user, terms, count } = run;
  const missing = terms.roster.filter((peer) => !candidates.some((each) => each.peer === peer));
  if (candidates.length >= count) {
    const message =
      "enough providers answered, but none of those that keep the ciphertext; try again when one of them is up";
    const details = { answered: candidates.length, needed: count, peers: terms.roster.slice(0, terms.token.copies) };
    return new IntercloudError("NO_CIPHERTEXT", "unreachable", message, details);
  }
  return notEnough(user, candidates.length, count, missing);
}

function wrongForGood(run: Run): IntercloudError {
  const { user, tried, survey, excluded } = run;
  const asked = usable(survey.ready, excluded).map(({ peer }) => peer);
  const names = asked.map((peer) => user.directory.nameOf(peer)).join(", ");
  const message =
    `what the providers sent does not add up to what was deposited, in ${tried.size} tries with different ones; ` +
    `at least one of ${names} sent wrong bytes or keeps a damaged ciphertext. Nothing wrong was handed over; ` +
    "try again when other providers are up";
  return new IntercloudError("WRONG_BYTES", "integrity", message, { peers: asked, tries: tried.size });
}

function cancelled(signal: AbortSignal): IntercloudError {
  return new IntercloudError("CANCELLED", "cancelled", "the retrieval was cancelled", {}, signal.reason);
}
