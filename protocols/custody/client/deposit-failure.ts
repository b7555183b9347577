/** What the user hears when a deposit fails: who did not do its part, how many did and how many are needed. */
import { IntercloudError, RemoteError, type Status, suspectsOf } from "../../wire/errors.ts";
import type { PeerName } from "../../wire/transport.ts";
import type { DepositTerms } from "../deposit-terms.ts";
import type { Failure } from "./ask-all.ts";
import { type CustodyUser, notEnough } from "./user.ts";

/** What the transport says about a provider that is gone or stands still. */
const TRANSPORT_FAILURES: ReadonlySet<Status> = new Set<Status>(["unreachable", "timeout"]);

/**
 * Answers of a provider that may be others when the user tries again with a new deal. One that was restarted meanwhile has
 * burnt the deposit, and knows it no more.
 */
const PASSING: ReadonlySet<Status> = new Set<Status>([
  ...TRANSPORT_FAILURES,
  ...(["busy", "internal", "not-found", "conflict", "cancelled"] as const),
]);

/** When no dealer made a deal: a provider that did not take its share, as the last dealer says, or the dealers themselves. */
export function dealFailure(
  user: CustodyUser,
  { dealers, roster }: { readonly dealers: readonly PeerName[]; readonly roster: readonly PeerName[] },
  error: unknown,
): IntercloudError {
  const { directory } = user;
  const named = error instanceof IntercloudError ? (error.details.peers ?? []) : [];
  const missing = named.filter((peer) => roster.includes(peer));
  if (missing.length > 0 && statusOf(error) === "full") return noRoom(user, missing, error);
  if (missing.length > 0) return notEnough(user, roster.length - missing.length, roster.length, missing, error);
  const names = dealers.map((dealer) => directory.nameOf(dealer)).join(", ") || "none is known";
  const message = `no dealer could make a deal (${names}); try again when one is up, or deal yourself (--dealer self)`;
  return new IntercloudError("NO_DEAL", "unreachable", message, { peers: dealers }, error);
}

/** When providers that were all asked the same thing did not all do it. */
export function askFailure(user: CustodyUser, roster: readonly PeerName[], failures: readonly Failure[]): unknown {
  const full = failures.filter(({ error }) => statusOf(error) === "full");
  if (full.length > 0) return noRoom(user, peersOf(full), full[0]?.error);
  const final = failures.find(({ error }) => error instanceof IntercloudError && !PASSING.has(error.status));
  if (final !== undefined) return disputed(user, final.error);
  return tooFew(user, roster, peersOf(failures), failures[0]?.error);
}

/** When a provider says that another one did wrong: its word against the other's, as long as nothing is shown. Other errors stay as they are. */
export function disputed({ directory }: CustodyUser, error: unknown): unknown {
  if (!(error instanceof RemoteError) || error.status !== "integrity") return error;
  const peers = suspectsOf(error) ?? [];
  const names = peers.map((peer) => directory.nameOf(peer)).join(" or ");
  const message =
    `${directory.nameOf(error.peer)} says that what it was given does not fit what was signed, so nothing came of this. ` +
    `If it was not this program that did wrong, it was ${names}; try again without them`;
  return new IntercloudError("PROVIDERS_DISAGREE", "integrity", message, { peers }, error);
}

/** When the message did not get through. The providers before the one that failed pass on who it was, as far as they know. */
export function pourFailure(user: CustodyUser, terms: DepositTerms, error: unknown): unknown {
  if (!(error instanceof IntercloudError)) return error;
  const named = (suspectsOf(error) ?? []).filter((peer) => terms.roster.includes(peer));
  const missing = named.length > 0 ? named : [terms.token.home];
  const isRemote = error instanceof RemoteError;
  if (isRemote && error.status === "full") return noRoom(user, missing, error);
  // Of our own errors only these are about a provider; the others are about the message.
  const passing = isRemote ? PASSING : TRANSPORT_FAILURES;
  return passing.has(error.status) ? tooFew(user, terms.roster, missing, error) : disputed(user, error);
}

function tooFew(user: CustodyUser, roster: readonly PeerName[], missing: readonly PeerName[], cause: unknown) {
  return notEnough(user, roster.length - missing.length, roster.length, missing, cause);
}

function noRoom(user: CustodyUser, peers: readonly PeerName[], cause: unknown): IntercloudError {
  const names = peers.map((peer) => user.directory.nameOf(peer)).join(", ");
  const message = `no room at ${names}: its disk is full, or you (or your dealer) have as much there as you may; nothing was kept`;
  return new IntercloudError("NO_ROOM", "full", message, { peers }, cause);
}

function peersOf(failures: readonly Failure[]): PeerName[] {
  return failures.map(({ peer }) => peer);
}

function statusOf(error: unknown): Status | undefined {
  return error instanceof IntercloudError ? error.status : undefined;
}
