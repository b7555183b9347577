/**
 * Refresh and move, as their owner runs them. A fresh deal -> prepared at all new providers -> the new ciphertext -> active at all of
 * them -> read back and checked -> closed by the owner's word -> the old shares are forgotten. Until that word nothing is lost when
 * anything fails; after it the providers finish among themselves.
 */
import type { FreshDeal } from "../../dealing/client.ts";
import { checkKeptRequest } from "../../identity/request.ts";
import { NONCE_BYTES } from "../../rounds/constants.ts";
import { encodeProviderRound, roundPeers } from "../../rounds/provider-round.ts";
import { formatTokenText, type TokenText } from "../../tokens/token-text.ts";
import { IntercloudError, type Status } from "../../wire/errors.ts";
import { parseShape, readAnswer } from "../../wire/shape.ts";
import type { PeerName } from "../../wire/transport.ts";
import { abortOn } from "../abort-on.ts";
import {
  boxesOf,
  type CheckedChange,
  encodeChangeProof,
  holdingsDigest,
  readChangeProof,
  withKeeping,
} from "../change/change-proof.ts";
import { type ChangeTerms, readChange } from "../change/change-terms.ts";
import { readStatement } from "../change/statements.ts";
import {
  ASK_TIMEOUT_MS,
  CHANGE_BYTES_PER_SECOND,
  CHANGE_LIFETIME_MS,
  CUSTODY_PROTOCOL,
  OPEN_TIMEOUT_MS,
  SEAL_TIMEOUT_MS,
} from "../constants.ts";
import { grantsDigest } from "../grants.ts";
import { changeKeepingShape, holdingShape, retiredShape } from "../messages.ts";
import { type Placement, placementDigest } from "../placement.ts";
import { requireBoxes, type SeedShare } from "../share-boxes.ts";
import { movingTimeoutMs, receiveChain } from "../waiting-chain.ts";
import { abandon } from "./abandon.ts";
import { askAll, unread } from "./ask-all.ts";
import { checkGeneration } from "./check-generation.ts";
import { fastestMembers, isEnough } from "./choose-members.ts";
import { chooseProviders } from "./choose-providers.ts";
import { expiredAmong } from "./clock-error.ts";
import { askFailure, disputed } from "./deposit-failure.ts";
import { type FoundProof, findNewestProof, type NewestProof } from "./find-proof.ts";
import { type DealerChoice, freshDeal } from "./fresh-deal.ts";
import { openCheckedBoxes, ownBox } from "./own-shares.ts";
import { type ReadyProvider, surveyReady } from "./ready-survey.ts";
import { askStanding } from "./standing.ts";
import { type CustodyUser, notEnough, signedRequest } from "./user.ts";

/** Where the deposit should go. */
export interface Destination {
  /** n and t. */
  readonly providers: number;
  readonly threshold: number;
  readonly copies: number;
  /** In the order of preference; the first that answers is the new home. */
  readonly candidates: readonly PeerName[];
}

export interface ChangeOptions {
  readonly token: TokenText;
  /** Undefined for a refresh: everything stays where it is, on a fresh deal. */
  readonly destination?: Destination | undefined;
  /** Protocol 2: keeps the user's share on the fresh deal, before anything is given up. */
  keepUserShare(
    tokenId: Uint8Array,
    deals: { readonly before: Uint8Array; readonly after: Uint8Array },
    share: Uint8Array,
  ): Promise<void>;
  /** Who makes the fresh deal; any dealer of the federation by default. */
  readonly dealer?: DealerChoice | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onPhase?: ((phase: ChangePhase) => void) | undefined;
}

export type ChangePhase = "dealing" | "transferring" | "checking" | "closing";

export interface Changed {
  /** Names the new home. */
  readonly tokenText: string;
  readonly placement: Placement;
  /** Everything that was signed: `readChangeProof` checks it. */
  readonly proof: Uint8Array;
  /** Signed statements of providers that their old share is gone. */
  readonly retired: readonly Uint8Array[];
  /** Providers that have not said so yet; the new home goes on telling them. */
  readonly missing: readonly PeerName[];
}

/** @throws IntercloudError NOT_ENOUGH_PROVIDERS, NO_DEAL, NOT_THE_OWNER, CHANGE_UNKNOWN ...; but for the last, the deposit is as it was. */
export async function changeDeposit(user: CustodyUser, options: ChangeOptions): Promise<Changed> {
  const signal = options.signal ?? new AbortController().signal;
  const found = await findNewestProof(user, options.token, signal);
  await finishEarlier(user, found, signal);
  const now = found.proof.placement;
  options.onPhase?.("dealing");
  const { destination } = options;
  const roster =
    destination === undefined
      ? now.roster
      : await chooseProviders(user, destination.candidates, destination.providers, signal);
  const deal = await freshDeal(user, {
    ...{ providers: roster, threshold: destination?.threshold ?? now.manifest.threshold },
    ...{ lengthBytes: now.manifest.lengthBytes, dealer: options.dealer, signal },
  });
  let asked: AskedChange | undefined;
  try {
    const copies = destination === undefined ? now.copies : destination.copies;
    const kind = destination === undefined ? "refresh" : "move";
    asked = await askChange(
      user,
      found,
      deal,
      { kind, copies, grants: await newestGrants(user, found, signal) },
      signal,
    );
    return await runChange(user, options, found, deal, asked, signal);
  } catch (error) {
    if (asked === undefined) await abandon(user, roster, deal.manifest.dealId, null);
    else if (!isUnknown(error)) await dropAll(user, asked.change);
    throw await expiredAmong(user, roster, disputed(user, error), signal);
  } finally {
    deal.userSeed.fill(0);
  }
}

interface AskedChange {
  readonly request: Uint8Array;
  readonly grants: Uint8Array | null;
  readonly change: ChangeTerms;
}

/** Signs what is wanted: the fresh deal, and a round of t old and t new members. */
async function askChange(
  user: CustodyUser,
  { proof }: FoundProof,
  deal: FreshDeal,
  { kind, copies, grants }: Pick<ChangeTerms, "kind"> & Pick<Placement, "copies"> & Pick<AskedChange, "grants">,
  signal: AbortSignal,
): Promise<AskedChange> {
  const { terms, placement: now } = proof;
  const { tokenId } = terms;
  const next = deal.manifest;
  const old = await readyMembers(user, tokenId, now, signal);
  const home = next.shares[0]!.peer;
  const transferMs = (now.manifest.lengthBytes / CHANGE_BYTES_PER_SECOND) * 1000;
  const round = encodeProviderRound({
    ...{ version: 1, kind, tokenId, collector: home, nonce: user.entropy(NONCE_BYTES) },
    summands: [
      { dealId: now.manifest.dealId, at: 0, members: old.map(({ point, peer }) => ({ point, peer })) },
      {
        ...{ dealId: next.dealId, at: 0 },
        members: next.shares.slice(0, next.threshold).map(({ point, peer }) => ({ point, peer })),
      },
    ],
    lengthBytes: next.lengthBytes,
    expiresAtMs: Math.floor(user.clock.nowMs() + CHANGE_LIFETIME_MS + transferMs),
  });
  const content = {
    ...{ kind, tokenId, generation: now.generation + 1, previous: placementDigest(tokenId, now) },
    ...{ manifest: deal.manifestBytes, copies, round, grants: grantsDigest(grants) },
    box: terms.token.protocol === 1 ? ownBox(user, next, { point: next.shares.length, seed: deal.userSeed }) : null,
  };
  const request = signedRequest(user, "change", content);
  return { request, grants, change: readChange(request, checkKeptRequest(request, "change")) };
}

async function runChange(
  user: CustodyUser,
  options: ChangeOptions,
  found: NewestProof,
  deal: FreshDeal,
  { request, grants, change }: AskedChange,
  signal: AbortSignal,
): Promise<Changed> {
  const { token, tokenId } = found.proof.terms;
  const { next } = change;
  await prepareAll(user, found, { request, grants, change }, signal);
  options.onPhase?.("transferring");
  const movedBytes = next.manifest.lengthBytes + (found.proof.envelope?.lengthBytes ?? 0);
  const keeping = await transfer(user, request, next.roster[0]!, movedBytes, signal);
  const holdings = await activateAll(user, request, change, keeping, signal);
  options.onPhase?.("checking");
  const placement = withKeeping(change, keeping);
  const ownShares: SeedShare[] = [];
  if (token.protocol === 2) {
    const deals = { before: found.proof.placement.manifest.dealId, after: next.manifest.dealId };
    await options.keepUserShare(tokenId, deals, new Uint8Array(deal.userSeed));
    ownShares.push({ point: next.roster.length + 1, seed: new Uint8Array(deal.userSeed) });
  } else if (token.protocol === 1) {
    const boxes = boxesOf(change, holdings);
    requireBoxes(token, next.manifest, boxes);
    ownShares.push(...(await openCheckedBoxes(user, placement, boxes)));
  }
  await checkGeneration(user, { token, tokenId, placement }, roundPeers(change.round), ownShares, signal);
  for (const { seed } of ownShares) seed.fill(0);
  options.onPhase?.("closing");
  const content = { change: change.digest, holdings: holdingsDigest(keeping, holdings) };
  const closing = signedRequest(user, "change", content);
  const proof = encodeChangeProof({ request, keeping, holdings: [...holdings], closing });
  const before = [...found.proof.placement.roster, ...found.behind];
  const retired = await retireAll(user, proof, readChangeProof(proof), before, signal);
  const tokenText = formatTokenText({ tokenId, home: next.roster[0]! });
  return { tokenText, placement, proof, ...retired };
}

/** Who joins has to know who may read. */
async function newestGrants(user: CustodyUser, { proof }: FoundProof, signal: AbortSignal): Promise<Uint8Array | null> {
  const options = { timeoutMs: ASK_TIMEOUT_MS, signal };
  const { newest } = await askStanding(user, proof.terms, proof.placement.roster, options);
  return newest?.request ?? null;
}

async function readyMembers(
  user: CustodyUser,
  tokenId: Uint8Array,
  placement: Placement,
  signal: AbortSignal,
): Promise<ReadyProvider[]> {
  const { threshold } = placement.manifest;
  const survey = surveyReady(user, tokenId, placement.roster, signal);
  await survey.until(() => isEnough(survey.ready(placement), threshold));
  signal.throwIfAborted();
  const ready = survey.ready(placement);
  const members = fastestMembers(ready, threshold);
  if (members !== undefined) return members;
  const missing = placement.roster.filter((peer) => !ready.some((each) => each.peer === peer));
  throw notEnough(user, ready.length, threshold, missing);
}

/** A change that was begun by us and never ended stands in the way of this one: it is given up. */
async function prepareAll(
  user: CustodyUser,
  found: FoundProof,
  { request, grants, change }: AskedChange,
  signal: AbortSignal,
): Promise<void> {
  const { roster } = change.next;
  const options = { timeoutMs: ASK_TIMEOUT_MS, signal };
  const body = { request, proof: found.bytes, grants };
  const first = await askAll(user, roster, "change-prepare", body, options, unread);
  const taken = first.failures.filter(({ error }) => statusOf(error) === "conflict").map(({ peer }) => peer);
  const others = first.failures.filter(({ error }) => statusOf(error) !== "conflict");
  if (others.length > 0) throw askFailure(user, roster, others);
  if (taken.length === 0) return;
  const drop = signedRequest(user, "change", { tokenId: change.tokenId, change: null });
  await askAll(user, taken, "change-drop", { request: drop }, options, unread);
  const again = await askAll(user, taken, "change-prepare", body, options, unread);
  if (again.failures.length > 0) throw askFailure(user, roster, again.failures);
}

async function transfer(
  user: CustodyUser,
  request: Uint8Array,
  home: PeerName,
  movedBytes: number,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const openOptions = { timeoutMs: OPEN_TIMEOUT_MS, signal };
  const channel = await user.transport.open(home, CUSTODY_PROTOCOL, "change-transfer", { request }, openOptions);
  const release = abortOn(signal, channel);
  try {
    const answer = await receiveChain(user.clock, channel, movingTimeoutMs(movedBytes));
    const { keeping } = readAnswer(home, "change-transfer", () => parseShape(changeKeepingShape, answer, "keeping"));
    await channel.close();
    return keeping;
  } catch (error) {
    channel.abort(error);
    throw error;
  } finally {
    release();
  }
}

/** The receipts of all new providers, in point order. */
async function activateAll(
  user: CustodyUser,
  request: Uint8Array,
  change: ChangeTerms,
  keeping: Uint8Array,
  signal: AbortSignal,
): Promise<Uint8Array[]> {
  const { roster } = change.next;
  const options = { timeoutMs: SEAL_TIMEOUT_MS, signal };
  const body = { request, keeping };
  const { answers, failures } = await askAll(user, roster, "change-activate", body, options, (answer, peer) => {
    const { holding } = parseShape(holdingShape, answer, "holding");
    readStatement(holding, "holding", change.digest, peer);
    return holding;
  });
  if (failures.length > 0) throw askFailure(user, roster, failures);
  return roster.map((peer) => answers.get(peer)!);
}

/** From the first good answer on, the change is done. @throws IntercloudError CHANGE_UNKNOWN when nobody answered. */
async function retireAll(
  user: CustodyUser,
  proof: Uint8Array,
  { change }: CheckedChange,
  before: readonly PeerName[],
  signal: AbortSignal,
): Promise<Pick<Changed, "retired" | "missing">> {
  const peers = [...new Set([...change.next.roster, ...before])];
  const options = { timeoutMs: SEAL_TIMEOUT_MS, signal };
  const { answers, failures } = await askAll(user, peers, "change-retire", { proof }, options, (answer, peer) => {
    const { retired } = parseShape(retiredShape, answer, "retired");
    readStatement(retired, "retired", change.digest, peer);
    return retired;
  });
  if (answers.size === 0) {
    const message =
      "nobody answered when the change was to be closed, so it may be done or not; nothing is lost, run the command again";
    throw new IntercloudError("CHANGE_UNKNOWN", "unreachable", message, { peers }, failures[0]?.error);
  }
  return { retired: [...answers.values()], missing: failures.map(({ peer }) => peer) };
}

/** Somebody has completed an earlier change that others have not heard of: they are told now. */
async function finishEarlier(user: CustodyUser, { proof, behind }: NewestProof, signal: AbortSignal): Promise<void> {
  const { change: proofBytes } = proof.parts;
  if (proofBytes === null) return;
  const options = { timeoutMs: ASK_TIMEOUT_MS, signal };
  const peers = [...new Set([...proof.placement.roster, ...behind])];
  await askAll(user, peers, "change-retire", { proof: proofBytes }, options, unread);
}

/** Best effort: who does not hear it gives the change up by itself when its time is over. */
async function dropAll(user: CustodyUser, change: ChangeTerms): Promise<void> {
  const request = signedRequest(user, "change", { tokenId: change.tokenId, change: change.digest });
  await askAll(user, change.next.roster, "change-drop", { request }, { timeoutMs: ASK_TIMEOUT_MS }, unread);
}

function isUnknown(error: unknown): boolean {
  return error instanceof IntercloudError && error.code === "CHANGE_UNKNOWN";
}

function statusOf(error: unknown): Status | undefined {
  return error instanceof IntercloudError ? error.status : undefined;
}
