/**
 * Retrieving. Rounds go on until the whole message has been released: a provider that fails is replaced by another while it
 * runs, and a round that gives wrong bytes is tried again with other providers. Nothing wrong is ever released.
 */
import { equalBytes } from "../../crypto/digest.ts";
import type { Route } from "../../rounds/descriptor.ts";
import type { Token } from "../../tokens/token.ts";
import type { TokenText } from "../../tokens/token-text.ts";
import { IntercloudError } from "../../wire/errors.ts";
import type { PeerName } from "../../wire/transport.ts";
import { MAX_SHORT_BYTES } from "../constants.ts";
import type { KeptEnvelope } from "../kept-envelope.ts";
import { keepersOf, type Placement } from "../placement.ts";
import type { SeedShare } from "../share-boxes.ts";
import type { Failure } from "./ask-all.ts";
import { type Accusation, blame } from "./blame.ts";
import { checkedMessage, WrongBytes } from "./checked-blocks.ts";
import { fastestMembers, isEnough, neededToRead, setOf, usable } from "./choose-members.ts";
import { type FoundProof, findNewestProof, findProof } from "./find-proof.ts";
import { isBusy } from "./hedges.ts";
import { openBoxes } from "./own-shares.ts";
import { type ReadyProvider, type ReadySurvey, surveyReady } from "./ready-survey.ts";
import {
  destroyedMeanwhile,
  refused,
  requireChain,
  tooBusy,
  tooFew,
  wrongDeal,
  wrongDeposit,
} from "./retrieve-failure.ts";
import { Lagging, type Located, openRound, type Patience, type Round, RoundFailure } from "./round.ts";
import { type CustodyUser, overloaded } from "./user.ts";

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
  /** They gave wrong bytes of the envelope, and another keeper gave the right ones. */
  | { readonly kind: "wrong-envelope"; readonly peers: readonly PeerName[]; readonly accusation?: undefined }
  /** It lied, or lost what it should keep, and this shows it to anybody. */
  | { readonly kind: "named"; readonly peers: readonly PeerName[]; readonly accusation: Accusation };

export interface Retrieval {
  readonly token: Token;
  /** The message, checked before it is released. To be read to its end, or returned from early. */
  readonly message: AsyncIterable<Uint8Array>;
}

/** The message is what was layered; with an envelope it is the envelope's key. */
export interface Retrieved extends Retrieval {
  readonly tokenId: Uint8Array;
  readonly placement: Placement;
  readonly envelope: KeptEnvelope | null;
  /** Who keeps the envelope: those that said so first, the fastest first; who has not answered may have it all the same. */
  keepers(): PeerName[];
}

/** A short answer may come this much later than the first one: a sync to disk more, on a disk that is busy. */
const MIN_LAG_MS = 250;
const LAG_FACTOR = 4;
/** A block of 1 MiB may come this much later than that of the fastest: an idle timeout is ten times as long. */
const BLOCK_LAG_MS = 3_000;

/** Each costs a round and an account of everybody; with up to seven providers it is all sets that there are. */
const MAX_WRONG_SETS = 35;

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
export async function retrieve(user: CustodyUser, options: RetrieveOptions): Promise<Retrieved> {
  const signal = options.signal ?? new AbortController().signal;
  const over = new AbortController();
  const either = AbortSignal.any([signal, over.signal]);
  // Asked at the same time as for the proof: who is there is known when it is known where the deposit is.
  const survey = surveyReady(user, options.token.tokenId, user.directory.providers, either);
  try {
    const found = await findProof(user, options.token, signal);
    const run = await beginRun(user, options, found, survey, either);
    try {
      await nextMembers(run);
    } catch (error) {
      if (isBusy(error) || !survey.holdsOther(run.placement)) throw error;
      // Somebody has it on another deal: it was refreshed or moved, and who showed us the proof had not heard of that; or it was not, and
      // who showed us the proof is alone with it.
      const newest = await findNewestProof(user, options.token, signal);
      if (equalBytes(newest.proof.placement.manifest.dealId, run.placement.manifest.dealId)) throw error;
      const again = await beginRun(user, options, newest, survey, either);
      await nextMembers(again);
      return retrieved(again, over);
    }
    return retrieved(run, over);
  } catch (error) {
    over.abort();
    throw error;
  }
}

function retrieved(run: Run, over: AbortController): Retrieved {
  const { token, tokenId, placement, envelope, survey } = run;
  const keepers = (): PeerName[] => {
    const ready = survey.ready(placement).filter(({ holdsEnvelope }) => holdsEnvelope);
    return [...new Set([...ready.map(({ peer }) => peer), ...keepersOf(placement)])];
  };
  return { token, tokenId, placement, envelope, keepers, message: messageOf(run, over) };
}

async function beginRun(
  user: CustodyUser,
  options: RetrieveOptions,
  { proof, bytes: proofBytes, grant }: FoundProof,
  survey: ReadySurvey,
  signal: AbortSignal,
): Promise<Run> {
  requireChain(user, proof);
  const { terms, placement, envelope } = proof;
  const { token, tokenId } = terms;
  const ownShares = await ownSharesOf(user, options, proof);
  survey.ask(placement.roster);
  return {
    ...{ user, options, token, tokenId, placement, envelope, proofBytes, grant, ownShares, survey, signal },
    ...{ route: options.route, hedged: 0 },
    count: neededToRead(token, placement),
    ...{ excluded: new Set(), slow: new Set(), named: new Set(), withoutCiphertext: new Set(), refusals: [] },
    wrongSets: new Set(),
  };
}

/** What the protocol wants the user to have itself. */
async function ownSharesOf(
  user: CustodyUser,
  options: RetrieveOptions,
  { terms: { token, tokenId }, placement, boxes }: FoundProof["proof"],
): Promise<SeedShare[]> {
  if (token.protocol === 1) return openBoxes(user, placement, boxes);
  if (token.protocol === 3) return [];
  const seed = await options.userShare(tokenId, placement.manifest.dealId);
  if (seed !== undefined) return [{ point: placement.roster.length + 1, seed }];
  const message =
    "this deposit needs the user's own share (Protocol 2), and it is not in this home; use the home that made it";
  throw new IntercloudError("NO_USER_SHARE", "not-found", message);
}

/** A retrieval that is under way. */
export interface Run extends Located {
  readonly user: CustodyUser;
  readonly options: RetrieveOptions;
  readonly proofBytes: Uint8Array;
  readonly envelope: KeptEnvelope | null;
  /** What the owner lets us do; null when we are the owner. */
  readonly grant: FoundProof["grant"];
  readonly ownShares: readonly SeedShare[];
  route: Route;
  /** How many providers a round needs. */
  readonly count: number;
  readonly survey: ReadySurvey;
  /** Providers that failed. */
  readonly excluded: Set<PeerName>;
  /** Providers that are far behind the others; taken again when there are not enough others. */
  readonly slow: Set<PeerName>;
  /** Those of them that would not serve us. */
  readonly refusals: Failure[];
  /** Providers whose copy of the ciphertext is not good where we are, and whose share may be. */
  readonly withoutCiphertext: Set<PeerName>;
  /** Those of them that were shown to have lied, or to have lost what they should keep. */
  readonly named: Set<PeerName>;
  /**
   * Sets of providers whose shares, as the dealer signed them, do not make the message: one of the shares does not belong to the others.
   * Another set may do without it.
   */
  readonly wrongSets: Set<string>;
  /** How often others were asked because these were slow. */
  hedged: number;
  readonly signal: AbortSignal;
}

async function* messageOf(run: Run, over: AbortController): AsyncIterable<Uint8Array> {
  const { user, options, token } = run;
  const checked = checkedMessage(token);
  const progress = { doneBytes: 0, totalBytes: token.lengthBytes };
  try {
    while (!checked.isComplete()) {
      const members = await nextMembers(run);
      const plan = {
        members,
        route: run.route,
        patience: patienceOf(run, members),
        offsetBytes: checked.offsetBytes(),
        ownShares: run.ownShares,
      };
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
    for (; run.hedged > 0; run.hedged -= 1) user.hedges?.giveBack();
  } finally {
    over.abort();
    for (const { seed } of run.ownShares) seed.fill(0);
  }
}

/** Waits until there are enough, not until all have answered. */
async function nextMembers(run: Run): Promise<ReadyProvider[]> {
  const { survey, count, placement } = run;
  const { wrongSets } = run;
  // those that have not answered yet may be what another set is made of
  await survey.until(() => {
    const ready = usable(survey.ready(placement), run);
    return wrongSets.size > 0 ? fastestMembers(ready, count, wrongSets) !== undefined : isEnough(ready, count);
  });
  if (run.signal.aborted) throw cancelled(run.signal);
  const candidates = usable(survey.ready(placement), run);
  const members = fastestMembers(candidates, count, wrongSets);
  if (members === undefined && wrongSets.size > 0) throw wrongDeal(run, placement.manifest.dealer);
  if (members === undefined) {
    throw (
      (await refused(run)) ?? tooBusy(run, candidates) ?? (await destroyedMeanwhile(run)) ?? tooFew(run, candidates)
    );
  }
  return members;
}

/** The slowest gets some of the time that they took to say that they are there; longer when nobody could take its place. */
function patienceOf(run: Run, members: readonly ReadyProvider[]): Patience | undefined {
  const { user, survey, placement, count, token, route, slow } = run;
  if (route === "chain") return undefined;
  const latencyMs = Math.max(...members.map((member) => member.latencyMs));
  const lagMs = token.lengthBytes > MAX_SHORT_BYTES ? BLOCK_LAG_MS : Math.max(MIN_LAG_MS, LAG_FACTOR * latencyMs);
  const fast = () => usable(survey.ready(placement), run).filter(({ peer }) => !slow.has(peer));
  const canReplace = (peers: readonly PeerName[]) => fast().filter(({ peer }) => !peers.includes(peer)).length >= count;
  return { lagMs, canReplace, mayReplace: () => user.hedges?.take() ?? true };
}

/** Who failed is replaced; who lied is found out, named, and replaced. */
async function learnFrom(run: Run, { record }: Round, error: unknown): Promise<void> {
  if (error instanceof Lagging) {
    for (const peer of error.peers) run.slow.add(peer);
    run.hedged += 1;
    return;
  }
  if (error instanceof RoundFailure) {
    if (run.route === "chain" && record.descriptor.members.length > 1) {
      // All we know is that one of the chain failed: the last one's word about the others may be a lie. Asking each of them
      // ourselves gives the same bytes and shows who it is.
      run.route = "fanout";
      return;
    }
    // All that is short is asked of everybody at once: who is busy with that is not replaced by more of it.
    const isShort = run.token.lengthBytes <= MAX_SHORT_BYTES;
    if (isShort && isBusy(error.cause) && run.user.hedges?.take() === false) throw overloaded([error.cause]);
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
  if (accusations.some(({ accused }) => accused === dealer)) {
    run.wrongSets.add(setOf(record.descriptor.members));
    if (run.wrongSets.size >= MAX_WRONG_SETS) throw wrongDeal(run, dealer);
    return;
  }
  if (accusations.length + silent.length === 0) throw wrongDeposit(run);
}

function cancelled(signal: AbortSignal): IntercloudError {
  return new IntercloudError("CANCELLED", "cancelled", "the retrieval was cancelled", {}, signal.reason);
}
