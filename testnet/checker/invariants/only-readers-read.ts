import { REQUEST_LIFETIME_MS } from "../../../protocols/custody/constants.ts";
import { CLOCK_SKEW_MS } from "../../../protocols/identity/constants.ts";
import { type DepositHistory, depositsOf, endedWell } from "../deposits.ts";
import { lastLossMs, liarsOf, worstClockMs } from "../faults.ts";
import type { GetOperation, GrantOperation, History } from "../history.ts";
import { type Invariant, tellOperation } from "../invariant.ts";

export const onlyReadersRead: Invariant = {
  name: "only-readers-read",
  about: "Nobody gets a deposit but its owner, and whom the owner lets read it at some moment of the get.",
  check: (history) =>
    depositsOf(history).flatMap((deposit) =>
      deposit.gets
        .filter((get) => endedWell(get) && !mayRead(history, deposit, get))
        .map((get) => {
          const { put, grants } = deposit;
          const told = grants.filter(({ reader }) => reader === get.who).map(tellOperation);
          const text = `${tellOperation(get)} ended well, and the owner is ${put.who}; about ${get.who}: ${told.join(", ") || "no grant"}`;
          return { text, operations: [put.id, get.id] };
        }),
    ),
};

function mayRead(history: History, deposit: DepositHistory, get: GetOperation): boolean {
  if (get.kind === "steal") return false;
  return get.who === deposit.put.who || deposit.grants.some((grant) => mayBeInForce(history, deposit, grant, get));
}

/** Whether a grant may let in whoever asks, at some moment of the get. */
function mayBeInForce(
  history: History,
  { put, grants }: DepositHistory,
  grant: GrantOperation,
  { who, startMs, endMs = startMs }: GetOperation,
): boolean {
  if (grant.kind !== "grant" || grant.who !== put.who || grant.reader !== who) return false;
  if (grant.startMs > endMs || hasSurelyFailed(grant)) return false;
  const overMs = (grant.expiresAtMs ?? Number.POSITIVE_INFINITY) + CLOCK_SKEW_MS + worstClockMs(history);
  if (overMs < startMs) return false;
  return !grants.some(
    (revoke) =>
      revoke.kind === "revoke" &&
      revoke.reader === who &&
      revoke.who === put.who &&
      isOver(revoke, startMs) &&
      isSurelyBefore(grant, revoke) &&
      isWidelyKnown(history, revoke),
  );
}

/** With these a grant ends before a provider was told. */
const NOBODY_TOLD: ReadonlySet<string> = new Set([
  ...["BAD_IDENTITY", "GRANT_TO_SELF", "EXPIRY_PAST", "NOT_GRANTABLE", "NOT_THE_OWNER", "NO_SUCH_DEPOSIT"],
  "DESTROYED",
]);

function hasSurelyFailed({ outcome }: GrantOperation): boolean {
  return outcome?.ended === "failed" && NOBODY_TOLD.has(outcome.code);
}

function isOver(operation: GrantOperation, beforeMs: number): boolean {
  return endedWell(operation) && operation.endMs !== undefined && operation.endMs < beforeMs;
}

/** One that did not end well may still be on its way to somebody, as long as what was signed for it is good. */
function isSurelyBefore(grant: GrantOperation, revoke: GrantOperation): boolean {
  if (grant.endMs === undefined) return false;
  const arrivedMs = endedWell(grant) ? 0 : REQUEST_LIFETIME_MS + CLOCK_SKEW_MS;
  return grant.endMs + arrivedMs < revoke.startMs;
}

/**
 * A revoke is good when n-t+1 have it. Liars do not keep it, and a disk that was lost or put back since may have forgotten it: what it takes
 * is that many others.
 */
function isWidelyKnown(history: History, { reached, needed, startMs }: GrantOperation): boolean {
  const liars = liarsOf(history);
  const forgets = (peer: string) =>
    liars.has(peer) || (lastLossMs(history, peer) ?? Number.NEGATIVE_INFINITY) >= startMs;
  if (reached !== undefined && needed !== undefined) return reached.filter((peer) => !forgets(peer)).length >= needed;
  return !history.faults.some(({ peers }) => peers.some(forgets));
}
