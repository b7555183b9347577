/** Getting the proof of a deposit from whoever has it: home first, then everybody else. */
import { equalBytes } from "../../crypto/digest.ts";
import type { TokenText } from "../../tokens/token-text.ts";
import { IntercloudError, type Status } from "../../wire/errors.ts";
import { parseShape } from "../../wire/shape.ts";
import type { PeerName } from "../../wire/transport.ts";
import { ASK_TIMEOUT_MS, CUSTODY_PROTOCOL } from "../constants.ts";
import { type CheckedDestroyed, isUnrecoverable } from "../destroyed.ts";
import type { GrantTerms } from "../grants.ts";
import { locateAnswerShape, showAnswerShape } from "../messages.ts";
import { type CheckedProof, readProof } from "../proof.ts";
import { isEnough, neededToRead } from "./choose-members.ts";
import { clockError } from "./clock-error.ts";
import { destroyedError, readDestroyedAt } from "./destroyed.ts";
import { isBusy } from "./hedges.ts";
import { surveyReady } from "./ready-survey.ts";
import { type CustodyUser, notEnough, overloaded, signedRequest } from "./user.ts";

/** Providers that are asked at the same time as home: one that is away, or slow, costs nothing then. */
const ASKED_BESIDE_HOME = 2;
/** These get so long before all others are asked as well; a proof is long when there are many providers. */
const HEAD_START_MS = 300;

export interface FoundProof {
  readonly proof: CheckedProof;
  readonly bytes: Uint8Array;
  /** What the owner lets us do, as one provider tells it; null when we are the owner. */
  readonly grant: GrantTerms | null;
}

export interface NewestProof extends FoundProof {
  /** Providers that told of another generation: they missed a change, or two clients made one at the same time. */
  readonly behind: readonly PeerName[];
}

/** A deposit of ours as the providers know it: still there at one of them at least, or destroyed wherever somebody answered. */
export type FoundDeposit =
  | { readonly kind: "kept"; readonly found: FoundProof }
  | { readonly kind: "destroyed"; readonly destroyed: readonly CheckedDestroyed[] };

/**
 * @throws IntercloudError NO_SUCH_DEPOSIT when those that answered do not know it, DESTROYED, NOT_THE_OWNER, PROOF_BROKEN,
 * NOT_ENOUGH_PROVIDERS when nobody answered.
 */
export async function findProof(user: CustodyUser, token: TokenText, signal: AbortSignal): Promise<FoundProof> {
  const deposit = await findDeposit(user, token, signal);
  if (deposit.kind === "destroyed") throw destroyedError(deposit.destroyed);
  return deposit.found;
}

/** Like `findProof`, for those who want to know more about a deposit that was destroyed. */
export async function findDeposit(
  user: CustodyUser,
  { tokenId, home }: TokenText,
  signal: AbortSignal,
): Promise<FoundDeposit> {
  user.hedges?.earn();
  const failures = new Map<PeerName, unknown>();
  const destroyed: CheckedDestroyed[] = [];
  const known = user.directory.providers.filter((peer) => peer !== home);
  const first = [home, ...known.slice(0, ASKED_BESIDE_HOME)];
  const asked = new Set<PeerName>();
  const found = Promise.withResolvers<FoundDeposit>();
  const done = new AbortController();
  const either = AbortSignal.any([signal, done.signal]);
  const ask = async (peer: PeerName): Promise<void> => {
    if (asked.has(peer)) return;
    asked.add(peer);
    try {
      const shown = await showFrom(user, peer, tokenId, either);
      if ("proof" in shown) {
        found.resolve({ kind: "kept", found: shown });
        if (asksMore && !done.signal.aborted && !first.includes(peer)) user.hedges?.giveBack();
        return;
      }
      destroyed.push(shown);
      failures.set(peer, destroyedError([shown]));
      const peers = destroyed.map(({ receipt }) => receipt.peer);
      if (isUnrecoverable(shown, peers)) found.resolve({ kind: "destroyed", destroyed });
    } catch (error) {
      failures.set(peer, error);
      user.hedges?.sawFailure(error);
    }
  };
  const others = async (): Promise<void> => {
    await Promise.all(known.map(ask));
    const located = await locate(user, known, failures, tokenId, either);
    await Promise.all(located.filter((peer) => peer !== home && !known.includes(peer)).map(ask));
  };
  let asksMore = false;
  const askMore = () => {
    asksMore ||= user.hedges?.take() ?? true;
    return asksMore;
  };
  const headStart = Promise.withResolvers<void>();
  let cancelTimer = () => {};
  const watch = () => {
    cancelTimer = user.clock.after(HEAD_START_MS, () => {
      if (askMore()) headStart.resolve();
      else watch();
    });
  };
  watch();
  const homeFirst = Promise.all(first.map(ask));
  const everybody = Promise.race([homeFirst, headStart.promise]).then(async () => {
    // Those that are busy are so because of all that is asked: the others are not asked in their place as well.
    const mayAsk = ![...failures.values()].some(isBusy) || askMore();
    if (!done.signal.aborted) await Promise.all([homeFirst, ...(mayAsk ? [others()] : [])]);
  });
  const nobody = everybody.then(async (): Promise<FoundDeposit> => {
    if (destroyed.length > 0) return { kind: "destroyed", destroyed };
    throw await bestError(user, home, failures, either);
  });
  try {
    return await Promise.race([found.promise, nobody]);
  } finally {
    cancelTimer();
    done.abort();
    nobody.catch(() => {});
    signal.throwIfAborted();
  }
}

/**
 * The proof of the newest generation that is kept: asks all providers and waits for their answers. One that a single provider shows, and
 * that not enough of its own providers have, was given up by the others, whatever was signed about it.
 * @throws what `findProof` throws; DESTROYED also when one provider alone has destroyed it: nothing is built on the rest.
 */
export async function findNewestProof(user: CustodyUser, token: TokenText, signal: AbortSignal): Promise<NewestProof> {
  const { home, tokenId } = token;
  const failures = new Map<PeerName, unknown>();
  const destroyed: CheckedDestroyed[] = [];
  const shown = new Map<PeerName, FoundProof>();
  const ask = async (peer: PeerName): Promise<void> => {
    if (failures.has(peer)) return;
    try {
      const found = await showFrom(user, peer, tokenId, signal);
      if ("receipt" in found) destroyed.push(found);
      else shown.set(peer, found);
    } catch (error) {
      failures.set(peer, error);
    }
  };
  const known = user.directory.providers;
  await Promise.all([...new Set([home, ...known])].map(ask));
  if (shown.size === 0) {
    const located = await locate(user, known, failures, tokenId, signal);
    await Promise.all(located.filter((peer) => peer !== home && !known.includes(peer)).map(ask));
  }
  signal.throwIfAborted();
  if (destroyed.length > 0) throw destroyedError(destroyed);
  const newest = await newestKept(user, tokenId, [...shown.values()], signal);
  if (newest === undefined) throw await bestError(user, home, failures, signal);
  const { dealId } = newest.proof.placement.manifest;
  const isBehind = ({ proof }: FoundProof) => !equalBytes(proof.placement.manifest.dealId, dealId);
  return { ...newest, behind: [...shown].filter(([, found]) => isBehind(found)).map(([peer]) => peer) };
}

async function newestKept(
  user: CustodyUser,
  tokenId: Uint8Array,
  shown: readonly FoundProof[],
  signal: AbortSignal,
): Promise<FoundProof | undefined> {
  const newestFirst = [...shown].sort(newerFirst);
  const [first, ...others] = newestFirst;
  if (first === undefined || others.every((other) => newerFirst(first, other) === 0)) return first;
  const survey = surveyReady(user, tokenId, [...new Set(shown.flatMap(({ proof }) => proof.placement.roster))], signal);
  await survey.until(() => false); // all of them
  const isKept = ({ proof: { placement, terms } }: FoundProof) =>
    isEnough(survey.ready(placement), neededToRead(terms.token, placement));
  return newestFirst.find(isKept) ?? first;
}

/** Of two changes that were made at the same time, always the same one. */
function newerFirst(a: FoundProof, b: FoundProof): number {
  const [one, other] = [a.proof.placement, b.proof.placement];
  return other.generation - one.generation || Buffer.compare(other.manifest.dealId, one.manifest.dealId);
}

async function showFrom(
  user: CustodyUser,
  peer: PeerName,
  tokenId: Uint8Array,
  signal: AbortSignal,
): Promise<FoundProof | CheckedDestroyed> {
  const request = signedRequest(user, "read", { tokenId, provider: peer });
  const options = { timeoutMs: ASK_TIMEOUT_MS, signal };
  const answer = parseShape(
    showAnswerShape,
    await user.transport.ask(peer, CUSTODY_PROTOCOL, "show", { request }, options),
    "show",
  );
  if ("destroyed" in answer) return readDestroyedAt(peer, tokenId, answer.destroyed);
  const bytes = answer.proof;
  const proof = readProof(bytes);
  if (!equalBytes(proof.terms.tokenId, tokenId)) {
    throw new IntercloudError("PROOF_BROKEN", "integrity", "the provider showed the proof of another deposit", {
      peers: [peer],
    });
  }
  return { proof, bytes, grant: answer.grant };
}

/** Asks those that answered, even if with a refusal, where the DHT says that the ciphertext is. */
async function locate(
  user: CustodyUser,
  known: readonly PeerName[],
  failures: ReadonlyMap<PeerName, unknown>,
  tokenId: Uint8Array,
  signal: AbortSignal,
): Promise<readonly PeerName[]> {
  for (const peer of known) {
    if (statusOf(failures.get(peer)) !== "not-found" || signal.aborted) continue;
    try {
      const options = { timeoutMs: ASK_TIMEOUT_MS, signal };
      const answer = await user.transport.ask(peer, CUSTODY_PROTOCOL, "locate", { tokenId }, options);
      return parseShape(locateAnswerShape, answer, "locate").providers;
    } catch {
      // A hint that we did not get; the next provider may give one.
    }
  }
  return [];
}

/** A provider that did not say anything about the deposit. */
const AWAY: ReadonlySet<Status | undefined> = new Set<Status>(["unreachable", "timeout", "busy"]);

/** What the user should hear when several providers failed in several ways: the answer that says most. */
const MOST_TELLING: readonly Status[] = ["integrity", "refused", "expired", "replayed", "not-found"];

async function bestError(
  user: CustodyUser,
  home: PeerName,
  failures: ReadonlyMap<PeerName, unknown>,
  signal: AbortSignal,
): Promise<unknown> {
  const errors = [...failures.values()];
  const clock = await clockError(
    user,
    [...failures].map(([peer, error]) => ({ peer, error })),
    signal,
  );
  const expired = errors.find((each) => statusOf(each) === "expired");
  for (const status of MOST_TELLING) {
    const error = errors.find((each) => statusOf(each) === status);
    if (error === undefined) continue;
    if (status === "not-found") {
      // Not every provider has a part in every deposit. Home has, and did not answer.
      if (AWAY.has(statusOf(failures.get(home)))) continue;
      const message =
        "no provider that answered knows this deposit; check that the token is whole and of this federation";
      return new IntercloudError("NO_SUCH_DEPOSIT", "not-found", message, {}, error);
    }
    if (status === "refused") {
      // Others may not have heard of the grant, or of its end.
      if (expired !== undefined && clock === undefined) return grantExpired(expired);
      const message =
        "the providers refuse: this identity does not own the deposit and has no grant of it; " +
        "use the home of the one that does, or ask the owner for a grant";
      return new IntercloudError("NOT_THE_OWNER", "refused", message, {}, error);
    }
    return status === "expired" ? (clock ?? grantExpired(error)) : error;
  }
  const busy = errors.filter(isBusy);
  if (busy.length > 0) return overloaded(busy);
  const missing = [...failures].filter(([, error]) => statusOf(error) !== "not-found").map(([peer]) => peer);
  return notEnough(user, 0, 1, missing, failures.get(home));
}

export function grantExpired(cause: unknown): IntercloudError {
  const message = "your grant of this deposit has expired; ask its owner for a new one";
  return new IntercloudError("GRANT_EXPIRED", "expired", message, {}, cause);
}

function statusOf(error: unknown): Status | undefined {
  return error instanceof IntercloudError ? error.status : undefined;
}
