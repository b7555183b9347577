import { endedWell, isGet } from "../deposits.ts";
import { SETTLE_MS } from "../faults.ts";
import type { GetOperation, History, LieTold } from "../history.ts";
import { type Invariant, tellOperation, tellTime } from "../invariant.ts";

export const liarsAreNamed: Invariant = {
  name: "liars-are-named",
  about: "A get that ended well although a lie was told in it that can be shown to others has named the liar.",
  check: (history, _, { attributable = [] } = {}) =>
    history.lies
      .filter(({ lie }) => attributable.includes(lie))
      .flatMap((told) => {
        const get = getItWasToldTo(history, told);
        const isNamed = get?.accused?.some(({ peer }) => peer === told.peer);
        if (get === undefined || !endedWell(get) || isNamed) return [];
        const text = `${tellOperation(get)} ended well and did not name ${told.peer}, which told the lie ${told.lie} at ${tellTime(told.atMs)}`;
        return [{ text, operations: [get.id] }];
      }),
};

/** The get in which a lie was told, if that is certain: when it is not written down, nothing else may have been under way, nor have left something behind. */
function getItWasToldTo({ operations }: History, { operation: id, atMs }: LieTold): GetOperation | undefined {
  const told = operations.filter((operation) => {
    if (id !== undefined) return operation.id === id;
    const { startMs, endMs = Number.POSITIVE_INFINITY } = operation;
    return startMs <= atMs && atMs <= endMs + SETTLE_MS;
  });
  const [only] = told;
  const isInTime = only !== undefined && (id !== undefined || atMs <= (only.endMs ?? Number.POSITIVE_INFINITY));
  return told.length === 1 && isInTime && isGet(only) ? only : undefined;
}
