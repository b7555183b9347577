import { type DepositHistory, depositsOf, endedWell, isMended, mayBeDestroyed, settledAtMs } from "../deposits.ts";
import { goneForGood, isCalm, lastLossMs, liarsOf, struckDisks } from "../faults.ts";
import type { Finals, GetOperation, History, KeptDeposit } from "../history.ts";
import { type Invariant, type Problem, tellNames, tellOperation } from "../invariant.ts";
import { faultyOf, isTooMany, newestOf, providersIn } from "../stores.ts";

export const acknowledgedIsRetrievable: Invariant = {
  name: "acknowledged-is-retrievable",
  about:
    "The owner of an acknowledged deposit gets it while at most n-t of its providers, and not all that keep the ciphertext, are faulty: " +
    "in the end, and whenever nothing else is wrong.",
  check: (history, finals) =>
    depositsOf(history)
      .filter(({ put }) => endedWell(put))
      .flatMap((deposit) => [...inTheEnd(history, finals, deposit), ...inBetween(history, finals, deposit)]),
};

function inTheEnd(history: History, finals: Finals, deposit: DepositHistory): Problem[] {
  const { put, gets } = deposit;
  if (mayBeDestroyed(deposit)) return [];
  const reads = gets.filter((get) => isOwners(get, deposit) && isLast(get, history) && get.outcome?.ended !== "killed");
  if (reads.length === 0) {
    return [
      {
        text: `${tellOperation(put)} was acknowledged, and its owner did not read it in the end`,
        operations: [put.id],
      },
    ];
  }
  const failed = reads.filter(({ outcome }) => outcome?.ended === "failed");
  if (failed.length === 0 || mayBeLost(history, finals, deposit)) return [];
  return failed.map((get) => problem(deposit, get, "in the end"));
}

function inBetween(history: History, finals: Finals, deposit: DepositHistory): Problem[] {
  return deposit.gets
    .filter((get) => isOwners(get, deposit) && !get.isLast && get.outcome?.ended === "failed")
    .filter((get) => isUndisturbed(history, deposit, get) && !mayBeAway(history, finals, deposit, get))
    .map((get) => problem(deposit, get, "while nothing was wrong"));
}

function problem({ put }: DepositHistory, get: GetOperation, when: string): Problem {
  const { outcome } = get;
  const [code, peers] = outcome?.ended === "failed" ? [outcome.code, outcome.peers] : ["", []];
  const text = `${tellOperation(get)} failed ${when}: ${code}, naming ${tellNames(peers)}; the deposit was acknowledged by put ${put.id}`;
  return { text, operations: [put.id, get.id] };
}

function isOwners({ kind, who }: GetOperation, { put }: DepositHistory): boolean {
  return kind === "get" && who === put.who;
}

function isLast(get: GetOperation, { calmFromMs }: History): boolean {
  return get.isLast === true && get.startMs >= calmFromMs;
}

/** Whether more is faulty for good than a deposit bears. */
function mayBeLost(history: History, finals: Finals, deposit: DepositHistory): boolean {
  const placements = placementsOf(history, finals, deposit);
  const faulty = providersIn([...goneForGood(history), ...struckDisks(history)], finals);
  if (placements.length === 0) return faulty.size > toleratedBy(deposit);
  return placements.some(
    (placement) =>
      isTooMany(faultyOf(history, finals, deposit, placement), placement) ||
      mayHaveBeenLostOnTheWay(history, finals, deposit, placement.threshold),
  );
}

function placementsOf(history: History, finals: Finals, { put }: DepositHistory): KeptDeposit[] {
  const tokenId = finals.tokenIds[put.deposit];
  return tokenId === undefined ? [] : newestOf(history, finals, tokenId);
}

/** That many faulty ones it bears wherever it was, whoever they are. */
function toleratedBy({ put, changes }: DepositHistory, untilMs = Number.POSITIVE_INFINITY): number {
  const moves = changes.filter(({ kind, startMs }) => kind === "move" && startMs <= untilMs);
  const bears = [put, ...moves].map(({ providers = 0, threshold = 0, copies = 1 }) =>
    Math.min(providers - threshold, copies - 1),
  );
  return Math.min(...bears);
}

/** Of the providers that a deposit moves to, t liars can have the old ones forget it. */
function mayHaveBeenLostOnTheWay(
  history: History,
  finals: Finals,
  { changes }: DepositHistory,
  threshold: number,
): boolean {
  const thresholds = changes.filter(({ kind }) => kind === "move").map((move) => move.threshold ?? threshold);
  const liars = providersIn(liarsOf(history), finals);
  return thresholds.length > 0 && liars.size >= Math.min(threshold, ...thresholds);
}

/** Whether the deposit was there when the get began, no fault disturbed it, and nobody changed or destroyed it meanwhile. */
function isUndisturbed(history: History, deposit: DepositHistory, { startMs, endMs = startMs }: GetOperation): boolean {
  const { put, changes } = deposit;
  const isChanged = changes.some((change) => change.startMs <= endMs && settledAtMs(change) >= startMs);
  const isThere = put.endMs !== undefined && put.endMs < startMs;
  return isThere && !isChanged && !mayBeDestroyed(deposit, endMs) && isCalm(history, startMs, endMs);
}

/** Whether liars, and those whose disk had lost the deposit, may have been too many when it was read. */
function mayBeAway(
  history: History,
  finals: Finals,
  deposit: DepositHistory,
  { startMs, endMs }: GetOperation,
): boolean {
  const lost = [...struckDisks(history)].filter(
    (peer) =>
      lastLossMs(history, peer, { untilMs: endMs ?? startMs }) !== undefined &&
      !isMended(history, deposit, peer, startMs),
  );
  const faulty = providersIn([...liarsOf(history), ...lost], finals);
  const isMoved = deposit.changes.some(({ kind }) => kind === "move");
  // Where it stayed all the time is known from where it is in the end.
  const [placement] = isMoved ? [] : placementsOf(history, finals, deposit);
  if (placement !== undefined) return isTooMany(faulty, placement);
  const { threshold } = deposit.put;
  return faulty.size > toleratedBy(deposit, endMs) || mayHaveBeenLostOnTheWay(history, finals, deposit, threshold);
}
