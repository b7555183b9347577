import { disturbedMs } from "../faults.ts";
import { type Invariant, tellOperation, tellTime } from "../invariant.ts";

const DEFAULT_LIMIT_MS = 5 * 60_000;

export const everyOperationEnds: Invariant = {
  name: "every-operation-ends",
  about:
    "Every operation has ended when the run ends, and took no longer than a limit and the time for which faults lasted meanwhile.",
  check: (history, _, { operationLimitMs = DEFAULT_LIMIT_MS } = {}) =>
    history.operations.flatMap((operation) => {
      const { id, startMs, endMs, outcome } = operation;
      if (endMs === undefined || outcome === undefined) {
        return [{ text: `${tellOperation(operation)} had not ended when the run ended`, operations: [id] }];
      }
      const limitMs = operationLimitMs + disturbedMs(history, startMs, endMs);
      if (endMs - startMs <= limitMs) return [];
      const text = `${tellOperation(operation)} took ${tellTime(endMs - startMs)}, and ${tellTime(limitMs)} are allowed`;
      return [{ text, operations: [id] }];
    }),
};
