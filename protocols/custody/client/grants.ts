/**
 * Granting and revoking. A new list is made from the newest one that the providers have, so enough of them must answer to be sure of
 * it, and is put to all of them. A grant is good when t providers have it: they can serve the grantee. A revoke is good when
 * n-t+1 have it: those that do not are fewer than t. A provider that missed a list gets it at the owner's next `grant`,
 * `revoke` or `show`.
 */
import type { Identity } from "../../identity/identity.ts";
import { keyOfIdentity } from "../../identity/identity.ts";
import type { TokenText } from "../../tokens/token-text.ts";
import { IntercloudError } from "../../wire/errors.ts";
import { parseShape } from "../../wire/shape.ts";
import type { PeerName } from "../../wire/transport.ts";
import { ASK_TIMEOUT_MS, MAX_GRANTS } from "../constants.ts";
import { neededToDestroy } from "../destroyed.ts";
import {
  compareGrants,
  type Grant,
  type GrantList,
  type GrantPurpose,
  grantToSelf,
  isExpired,
  orderedPurposes,
  requireGrantable,
} from "../grants.ts";
import { grantAnswerShape } from "../messages.ts";
import { type Site, siteOf } from "../placement.ts";
import { askAll } from "./ask-all.ts";
import { clockError } from "./clock-error.ts";
import { destroyedError } from "./destroyed.ts";
import { findProof } from "./find-proof.ts";
import { askStanding, readListAt, type Standing } from "./standing.ts";
import { type CustodyUser, notEnough, signedRequest } from "./user.ts";

export interface GrantOptions {
  readonly token: TokenText;
  readonly identity: Identity;
  readonly purposes: readonly GrantPurpose[];
  /** Null: until it is revoked. */
  readonly expiresAtMs: number | null;
  readonly signal: AbortSignal;
}

export type RevokeOptions = Pick<GrantOptions, "token" | "identity" | "signal">;

export interface GrantsChanged {
  /** The list that counts from now on. */
  readonly list: GrantList;
  /** Providers that have it; for a revoke also those where the deposit was destroyed. */
  readonly reached: readonly PeerName[];
  readonly missing: readonly PeerName[];
  /** How many had to be reached. */
  readonly needed: number;
}

/**
 * @throws IntercloudError BAD_IDENTITY, GRANT_TO_SELF, EXPIRY_PAST, NOT_GRANTABLE, NOT_THE_OWNER, DESTROYED, TOO_MANY_GRANTS,
 * GRANTS_CHANGED, and NOT_ENOUGH_PROVIDERS when fewer than t took it.
 */
export async function grant(user: CustodyUser, options: GrantOptions): Promise<GrantsChanged> {
  const { identity, expiresAtMs, signal } = options;
  const nowMs = user.clock.nowMs();
  const entry: Grant = { identity, purposes: orderedPurposes(options.purposes), expiresAtMs };
  keyOfIdentity(identity);
  if (identity === user.session.identity) throw grantToSelf();
  if (isExpired(entry, nowMs)) throw expiryPast();
  const site = await ownSite(user, options);
  requireGrantable(site.token);
  const standing = await currentStanding(user, site, signal);
  if (standing.destroyed.size > 0) throw destroyedError([...standing.destroyed.values()]);
  const change: Change = (before) => {
    if (before?.grants.some((each) => sameGrant(each, entry))) return before;
    return nextList(site, before, [...othersIn(before, identity, nowMs), entry], nowMs);
  };
  return await putToAll(user, site, standing, { change, needed: site.threshold, what: "granted", signal });
}

/** @throws IntercloudError NO_SUCH_GRANT, NOT_THE_OWNER, GRANTS_CHANGED, and NOT_ENOUGH_PROVIDERS when fewer than n-t+1 took it. */
export async function revoke(user: CustodyUser, options: RevokeOptions): Promise<GrantsChanged> {
  const { identity, signal } = options;
  const nowMs = user.clock.nowMs();
  keyOfIdentity(identity);
  const site = await ownSite(user, options);
  const standing = await currentStanding(user, site, signal);
  const newest = standing.newest?.list;
  const isNamed = (list: GrantList | undefined) => list?.grants.some((each) => each.identity === identity) === true;
  // Not in the newest list, but some have an older one: an earlier revoke did not reach them.
  const nothingToDo = !isNamed(newest) && (newest === undefined || haveIt(standing, newest) === site.roster.length);
  if (nothingToDo) throw noSuchGrant(identity);
  const change: Change = (before) => {
    if (before !== undefined && !isNamed(before)) return before;
    return nextList(site, before, othersIn(before, identity, nowMs), nowMs);
  };
  return await putToAll(user, site, standing, {
    change,
    needed: neededToDestroy(site),
    what: "revoked",
    signal,
  });
}

/** Brings the newest list to those that answered and have an older one. For whoever looked anyway; tells of no failure. */
export async function repairGrants(
  user: CustodyUser,
  site: Site,
  { lists, newest }: Standing,
  signal: AbortSignal,
): Promise<void> {
  if (newest === undefined) return;
  const behind = [...lists].filter(([, each]) => each === undefined || compareGrants(each.list, newest.list) < 0);
  const peers = behind.map(([peer]) => peer);
  if (peers.length > 0) await putTo(user, site, peers, newest.list, signal);
}

async function ownSite(user: CustodyUser, { token, signal }: RevokeOptions): Promise<Site> {
  const { proof } = await findProof(user, token, signal);
  if (proof.terms.token.owner === user.session.identity) return siteOf(proof.terms, proof.placement);
  const message = "only the owner of a deposit can grant it to others; use the home of the identity that owns it";
  throw new IntercloudError("NOT_THE_OWNER", "refused", message);
}

/**
 * A list that is made from an old one would undo what came after that. Any t lists together hold the newest revoke, which
 * n-t+1 have, and any n-t+1 the newest grant, which t have.
 */
async function currentStanding(user: CustodyUser, site: Site, signal: AbortSignal): Promise<Standing> {
  const standing = await askStanding(user, site, site.roster, { timeoutMs: ASK_TIMEOUT_MS, signal });
  signal.throwIfAborted();
  const { lists, destroyed, failures } = standing;
  const needed = Math.max(site.threshold, neededToDestroy(site));
  if (lists.size >= needed) return standing;
  const clock = await clockError(user, failures, signal);
  if (clock !== undefined) throw clock;
  if (destroyed.size > 0) throw destroyedError([...destroyed.values()]);
  const missing = site.roster.filter((peer) => !lists.has(peer));
  throw notEnough(user, lists.size, needed, missing, failures[0]?.error);
}

function othersIn(before: GrantList | undefined, identity: Identity, nowMs: number): Grant[] {
  return (before?.grants ?? []).filter((each) => each.identity !== identity && !isExpired(each, nowMs));
}

function nextList(site: Site, before: GrantList | undefined, grants: readonly Grant[], nowMs: number): GrantList {
  if (grants.length > MAX_GRANTS) {
    const message = `a deposit can be granted to ${MAX_GRANTS} identities; revoke one first`;
    throw new IntercloudError("TOO_MANY_GRANTS", "bad-request", message);
  }
  const ordered = [...grants].sort((a, b) => (a.identity < b.identity ? -1 : 1));
  return { tokenId: site.tokenId, version: (before?.version ?? 0) + 1, madeAtMs: nowMs, grants: ordered };
}

/** Makes the list that is wanted from the newest one; the same list when nothing is to be changed. */
type Change = (before: GrantList | undefined) => GrantList;

interface Put {
  readonly change: Change;
  readonly needed: number;
  readonly what: "granted" | "revoked";
  readonly signal: AbortSignal;
}

/** Two clients of one owner that change the grants at the same time are done after two tries each. */
const MAX_TRIES = 5;

async function putToAll(
  user: CustodyUser,
  site: Site,
  standing: Standing,
  { change, needed, what, signal }: Put,
): Promise<GrantsChanged> {
  // Also to those that did not answer before: they may be back.
  const peers = site.roster.filter((peer) => !standing.destroyed.has(peer));
  let list = change(standing.newest?.list);
  let outcome = await putTo(user, site, peers, list, signal);
  for (let tries = 1; outcome.unknown !== undefined; tries += 1) {
    signal.throwIfAborted();
    if (tries === MAX_TRIES) {
      const message =
        "the grants of this deposit are being changed by somebody else as well; look with show, and try again";
      throw new IntercloudError("GRANTS_CHANGED", "conflict", message);
    }
    // The same change once more, on top of the one that we did not know of.
    const { version } = list;
    const next = change(outcome.unknown);
    list = { ...next, version: Math.max(version, outcome.unknown.version) + 1 };
    outcome = await putTo(user, site, peers, list, signal);
  }
  signal.throwIfAborted();
  const reached = site.roster.filter((peer) => outcome.took.has(peer) || standing.destroyed.has(peer));
  const missing = site.roster.filter((peer) => !reached.includes(peer));
  if (reached.length >= needed) return { list, reached, missing, needed };
  const names = missing.map((peer) => user.directory.nameOf(peer)).join(", ");
  const message =
    `${what} at ${reached.length} of ${site.roster.length} providers, and ${needed} are needed for it to take effect; ` +
    `do it again when more of ${names} are up`;
  const details = { answered: reached.length, needed, peers: missing };
  throw new IntercloudError("NOT_ENOUGH_PROVIDERS", "unreachable", message, details);
}

interface PutOutcome {
  readonly took: ReadonlySet<PeerName>;
  /** The newest list that was somewhere and that ours was not made from. */
  readonly unknown: GrantList | undefined;
}

async function putTo(
  user: CustodyUser,
  site: Site,
  peers: readonly PeerName[],
  list: GrantList,
  signal: AbortSignal,
): Promise<PutOutcome> {
  // Signed afresh, also when the list is an old one: providers take no request that is older than a few minutes.
  const request = signedRequest(user, "grant", { ...list, grants: list.grants.map((each) => ({ ...each })) });
  // What is not a list of the owner's counts as if the provider had not taken it.
  const { answers } = await askAll(
    ...([user, peers, "grant", { request }, { timeoutMs: ASK_TIMEOUT_MS, signal }] as const),
    (answer, peer) => {
      const there = parseShape(grantAnswerShape, answer, "grant");
      const kept = readListAt(peer, site, there.list).list;
      return { kept, replaced: there.replaced === null ? undefined : readListAt(peer, site, there.replaced).list };
    },
  );
  const took = new Set<PeerName>();
  let unknown: GrantList | undefined;
  for (const [peer, { kept, replaced }] of answers) {
    const order = compareGrants(kept, list);
    if (order === 0) took.add(peer);
    const other = order > 0 ? kept : replaced;
    if (other !== undefined && other.version >= list.version) unknown = newer(unknown, other);
  }
  return { took, unknown };
}

function newer(a: GrantList | undefined, b: GrantList): GrantList {
  return a === undefined || compareGrants(b, a) > 0 ? b : a;
}

/** At how many providers the list, or nothing any more, is. */
function haveIt({ lists, destroyed }: Standing, list: GrantList): number {
  const same = [...lists.values()].filter((each) => each !== undefined && compareGrants(each.list, list) === 0);
  return same.length + destroyed.size;
}

function sameGrant(a: Grant, b: Grant): boolean {
  return a.identity === b.identity && a.expiresAtMs === b.expiresAtMs && a.purposes.join() === b.purposes.join();
}

function expiryPast(): IntercloudError {
  const message = "the grant would have expired already; name a later time";
  return new IntercloudError("EXPIRY_PAST", "refused", message);
}

function noSuchGrant(identity: Identity): IntercloudError {
  const message = `${identity} has no grant of this deposit; show lists who has`;
  return new IntercloudError("NO_SUCH_GRANT", "not-found", message);
}
