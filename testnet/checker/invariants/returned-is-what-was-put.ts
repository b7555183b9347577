import { depositsOf, endedWell, isGet } from "../deposits.ts";
import { type Invariant, tellOperation } from "../invariant.ts";

export const returnedIsWhatWasPut: Invariant = {
  name: "returned-is-what-was-put",
  about: "What a get returns is what was put, bit by bit, or an error.",
  check: (history) => {
    const puts = new Map(depositsOf(history).map(({ put }) => [put.deposit, put]));
    return history.operations.filter(isGet).flatMap((get) => {
      if (!endedWell(get)) return [];
      const put = puts.get(get.deposit);
      if (put === undefined) return [{ text: `${tellOperation(get)} returned what nobody put`, operations: [get.id] }];
      if (get.message === put.message) return [];
      const text = `${tellOperation(get)} returned ${get.message ?? "nothing"}; put ${put.id} was of ${put.message}`;
      return [{ text, operations: [put.id, get.id] }];
    });
  },
};
