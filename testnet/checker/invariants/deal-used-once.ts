import { liarsOf } from "../faults.ts";
import type { FinalStore, Finals, History } from "../history.ts";
import type { Invariant, Problem } from "../invariant.ts";
import { honestStores } from "../stores.ts";

export const dealUsedOnce: Invariant = {
  name: "deal-used-once",
  about:
    "A deal is used for one deposit and one generation of it, at all honest providers together, and never again after its share was given up.",
  check: (history, finals) => [...usedTwice(history, finals), ...honestStores(history, finals).flatMap(usedAgain)],
};

function usedTwice(history: History, finals: Finals): Problem[] {
  const uses = honestStores(history, finals).flatMap(usesIn);
  // A dealer that lies can give two deals one id, at providers that do not meet: nobody can know, and each has the share of one of them.
  const isOneDeal = ![...liarsOf(history)].some((name) => finals.stores.every(({ peer }) => peer !== name));
  const dealOf = ({ dealId, peer }: Use) => (isOneDeal ? dealId : `${dealId} at ${peer}`);
  return [...Map.groupBy(uses, dealOf)].flatMap(([dealId, ofDeal]) => {
    const tokens = Map.groupBy(ofDeal, ({ tokenId }) => tokenId);
    const generations = new Set(ofDeal.flatMap(({ generation }) => generation ?? []));
    if (tokens.size === 1 && generations.size <= 1) return [];
    const told = [...tokens].map(
      ([tokenId, of]) => `${tokenId} at ${[...new Set(of.map(({ peer }) => peer))].join(", ")}`,
    );
    const text =
      tokens.size > 1
        ? `deal ${dealId} is used for more than one token: ${told.join("; ")}`
        : `deal ${dealId} is used for generations ${[...generations].join(" and ")} of ${told.join("; ")}`;
    return [{ text, operations: [] }];
  });
}

interface Use {
  readonly peer: string;
  readonly dealId: string;
  readonly tokenId: string;
  /** Undefined where it is not told. */
  readonly generation: number | undefined;
}

function usesIn({ peer, deals, deposits, events }: FinalStore): Use[] {
  const told = [
    ...deals.map(({ dealId, boundTo }) => ({ dealId, tokenId: boundTo, generation: undefined })),
    ...events.map(({ dealId, tokenId }) => ({ dealId, tokenId, generation: undefined })),
    ...deposits,
  ];
  return told.flatMap(({ dealId, tokenId, generation }) =>
    dealId === undefined || tokenId === undefined ? [] : [{ peer, dealId, tokenId, generation }],
  );
}

const COMES: ReadonlySet<string> = new Set(["dealt", "bound", "change-prepared"]);
const GOES: ReadonlySet<string> = new Set(["burnt", "change-dropped", "destroyed"]);

function usedAgain({ peer, events }: FinalStore): Problem[] {
  const gone = new Set<string>();
  const problems: Problem[] = [];
  for (const { kind, dealId } of events) {
    if (dealId === undefined) continue;
    if (GOES.has(kind)) gone.add(dealId);
    else if (COMES.has(kind) && gone.has(dealId)) {
      problems.push({
        text: `${peer} tells that deal ${dealId} was ${kind} after its share was given up`,
        operations: [],
      });
    }
  }
  return problems;
}
