import { type DepositHistory, depositsOf, endedWell } from "../deposits.ts";
import { lastLossMs, liarsOf, struckDisks } from "../faults.ts";
import type { DestroyOperation, History } from "../history.ts";
import { type Invariant, type Problem, tellOperation } from "../invariant.ts";

export const destroyedStaysDestroyed: Invariant = {
  name: "destroyed-stays-destroyed",
  about: "Once n-t+1 honest providers have given receipts that they destroyed a deposit, nobody gets it any more.",
  check: (history) =>
    depositsOf(history).flatMap((deposit) =>
      deposit.destroys
        .filter((destroy) => isUnrecoverable(history, destroy))
        .flatMap((destroy) => returnsAfter(deposit, destroy)),
    ),
};

/** A liar may have kept what its receipt says is gone, and a disk that was put back to an older state has it again. */
function isUnrecoverable(history: History, destroy: DestroyOperation): boolean {
  const { receipts, needed, receiptsFrom, startMs } = destroy;
  if (!endedWell(destroy) || receipts === undefined || needed === undefined) return false;
  const liars = liarsOf(history);
  const hasItAgain = (peer: string) =>
    liars.has(peer) || (lastLossMs(history, peer, { isOld: true }) ?? Number.NEGATIVE_INFINITY) >= startMs;
  const suspects = receiptsFrom ?? new Set([...liars, ...struckDisks(history)]);
  return receipts - [...suspects].filter(hasItAgain).length >= needed;
}

function returnsAfter({ gets }: DepositHistory, destroy: DestroyOperation): Problem[] {
  const { id, endMs = Number.POSITIVE_INFINITY, receipts, needed } = destroy;
  return gets
    .filter((get) => endedWell(get) && get.startMs > endMs)
    .map((get) => {
      const text = `${tellOperation(get)} ended well after ${tellOperation(destroy)} with ${receipts} receipts of ${needed} that were needed`;
      return { text, operations: [id, get.id] };
    });
}
