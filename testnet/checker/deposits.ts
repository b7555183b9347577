/**
 * The history of each deposit, and what may have become of it. Of two moments that are written down as the same nobody knows which came first:
 * whatever that would excuse is excused, here and in the invariants.
 */
import { CHANGE_LIFETIME_MS } from "../../protocols/custody/constants.ts";
import { CLOCK_SKEW_MS } from "../../protocols/identity/constants.ts";
import { lastLossMs, SETTLE_MS } from "./faults.ts";
import type {
  ChangeOperation,
  DestroyOperation,
  Finals,
  GetOperation,
  GrantOperation,
  History,
  Name,
  Operation,
  PutOperation,
} from "./history.ts";

export interface DepositHistory {
  readonly put: PutOperation;
  readonly gets: readonly GetOperation[];
  readonly grants: readonly GrantOperation[];
  readonly changes: readonly ChangeOperation[];
  readonly destroys: readonly DestroyOperation[];
}

/** Of every deposit that somebody tried to put. */
export function depositsOf({ operations }: History): DepositHistory[] {
  const byName = Map.groupBy(operations, ({ deposit }) => deposit);
  return operations.filter(isPut).map((put) => {
    const own = byName.get(put.deposit) ?? [];
    return {
      put,
      gets: own.filter(isGet),
      grants: own.filter(isGrant),
      changes: own.filter(isChange),
      destroys: own.filter(isDestroy),
    };
  });
}

function isPut(operation: Operation): operation is PutOperation {
  return operation.kind === "put";
}

export function isGet(operation: Operation): operation is GetOperation {
  return operation.kind === "get" || operation.kind === "steal";
}

function isGrant(operation: Operation): operation is GrantOperation {
  return operation.kind === "grant" || operation.kind === "revoke";
}

function isChange(operation: Operation): operation is ChangeOperation {
  return operation.kind === "refresh" || operation.kind === "move" || operation.kind === "repair";
}

function isDestroy(operation: Operation): operation is DestroyOperation {
  return operation.kind === "destroy";
}

export function endedWell({ outcome }: Operation): boolean {
  return outcome?.ended === "well";
}

/** With these a destroy ends before a provider was asked to do it. With all others an answer may have been lost. */
const NOTHING_ASKED: ReadonlySet<string> = new Set(["NO_SUCH_DEPOSIT", "BUSY"]);

/** Whether somebody may have destroyed its part of the deposit because of a destroy that was begun by `untilMs`. */
export function mayBeDestroyed({ put, destroys }: DepositHistory, untilMs = Number.POSITIVE_INFINITY): boolean {
  return destroys.some(({ who, startMs, outcome }) => {
    const nothingAsked = outcome?.ended === "failed" && NOTHING_ASKED.has(outcome.code);
    return who === put.who && startMs <= untilMs && !nothingAsked;
  });
}

/** When nobody changes anything more because of it: providers finish among themselves what its owner's client has left to them. */
export function settledAtMs(change: ChangeOperation): number {
  if (change.endMs === undefined) return Number.POSITIVE_INFINITY;
  if (endedWell(change)) return change.endMs + SETTLE_MS;
  return Math.max(change.endMs, change.startMs + CHANGE_LIFETIME_MS + 2 * CLOCK_SKEW_MS) + SETTLE_MS;
}

/**
 * Two clients of one owner may move a deposit at the same time, to providers that do not meet: it is there twice then. One that died or
 * failed may have left its change to others, who go on with it later.
 */
export function mayHaveForked({ changes }: DepositHistory): boolean {
  const begun = changes.filter(({ kind }) => kind !== "repair");
  return begun.some((first) =>
    begun.some((second) => {
      const isAtOnce = second.startMs <= (first.endMs ?? Number.POSITIVE_INFINITY) || !endedWell(first);
      return first.id < second.id && isAtOnce;
    }),
  );
}

/** Whether the peer has got everything of the deposit since its disk lost it, by the word of those that gave it back. */
export function isMended(
  history: History,
  { changes }: DepositHistory,
  peer: Name,
  untilMs = Number.POSITIVE_INFINITY,
): boolean {
  const lostMs = lastLossMs(history, peer, { untilMs }) ?? Number.NEGATIVE_INFINITY;
  return changes.some((change) => {
    const isBetween = change.startMs > lostMs && change.endMs !== undefined && change.endMs < untilMs;
    return isBetween && (endedWell(change) || change.mended?.includes(peer) === true);
  });
}

/** By the id of its token; undefined for one that nobody has acknowledged. */
export function depositOfToken(history: History, { tokenIds }: Finals): ReadonlyMap<string, DepositHistory> {
  const deposits = new Map(depositsOf(history).map((deposit) => [deposit.put.deposit, deposit]));
  const known = Object.entries(tokenIds).flatMap(([name, tokenId]) => {
    const deposit = deposits.get(name);
    return deposit === undefined ? [] : [[tokenId, deposit] as const];
  });
  return new Map(known);
}
