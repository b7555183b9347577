import { isGet } from "../deposits.ts";
import { lastLossMs, liarsOf } from "../faults.ts";
import type { Accused, GetOperation, History, Name, Operation } from "../history.ts";
import { type Invariant, type Problem, tellNames, tellOperation } from "../invariant.ts";

export const noHonestPeerAccused: Invariant = {
  name: "no-honest-peer-accused",
  about:
    "Evidence names liars, and who lost what it should keep, and nobody else; it convinces others; and an error that says who spoilt a deposit is right.",
  check: (history) =>
    history.operations.flatMap((operation) => [
      ...(isGet(operation) ? wrongEvidence(history, operation) : []),
      ...wrongError(history, operation),
    ]),
};

function wrongEvidence(history: History, get: GetOperation): Problem[] {
  return (get.accused ?? []).flatMap((accused) => {
    const { peer, kind, isProven } = accused;
    const told = `${tellOperation(get)} accused ${peer} of ${kind}`;
    const problems: Problem[] = [];
    if (!isRight(history, get, accused))
      problems.push({ text: `${told}, which did nothing wrong`, operations: [get.id] });
    if (!isProven) problems.push({ text: `${told}, and the evidence does not convince others`, operations: [get.id] });
    return problems;
  });
}

function isRight(history: History, { endMs }: GetOperation, { peer, kind }: Accused): boolean {
  const hasLost = lastLossMs(history, peer, endMs === undefined ? {} : { untilMs: endMs }) !== undefined;
  return liarsOf(history).has(peer) || (kind === "lost" && hasLost);
}

function wrongError(history: History, operation: Operation): Problem[] {
  const { outcome, id } = operation;
  if (outcome?.ended !== "failed" || outcome.peers.length === 0) return [];
  const { code, peers } = outcome;
  const liars = liarsOf(history);
  const isRightAbout = (peer: Name) =>
    liars.has(peer) || (code === "DEPOSIT_SPOILT" && wasAway(history, peer, operation));
  if (!blames(code, peers) || peers.some(isRightAbout)) return [];
  return [
    {
      text: `${tellOperation(operation)} failed with ${code} and blames ${tellNames(peers)}, where nobody lied`,
      operations: [id],
    },
  ];
}

/** Whether the error says that one of them did wrong. Where a chain breaks between two, it is one of both. */
function blames(code: string, peers: readonly Name[]): boolean {
  return code === "DEPOSIT_SPOILT" || code === "WRONG_DEAL" || (code === "CHAIN_BROKEN" && peers.length === 1);
}

/** Who does not show what it did when somebody spoilt a deposit is named for that, and may have been away. */
function wasAway({ faults }: History, peer: Name, { startMs, endMs = Number.POSITIVE_INFINITY }: Operation): boolean {
  return faults.some(
    ({ kind, peers, fromMs, untilMs = Number.POSITIVE_INFINITY }) =>
      (peers.includes(peer) || kind === "partition") && fromMs <= endMs && untilMs >= startMs,
  );
}
