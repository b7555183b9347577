/** How many deals run at a time. */
import { expect, it } from "vitest";
import { MAX_INLINE_CORRECTION_BYTES } from "../../../protocols/dealing/constants.ts";
import { createDealQuota } from "../../../protocols/dealing/quota.ts";

const limits = { maxDeals: 3, maxDealsPerIdentity: 2, maxLengthBytes: 2 ** 40, dealLifetimeMs: 1 };
const LONG = MAX_INLINE_CORRECTION_BYTES + 1;
const busy = expect.objectContaining({ code: "BUSY", status: "busy" });

it("of one identity, and of all; who leaves makes room", () => {
  const { enter } = createDealQuota(limits);
  const leave = [enter("a", LONG), enter("a", LONG)];
  expect(() => enter("a", LONG)).toThrow(busy);
  leave.push(enter("b", LONG));
  expect(() => enter("c", LONG)).toThrow(busy);
  leave[0]?.();
  enter("c", LONG);
  expect(() => enter("a", LONG)).toThrow(busy);
});

it("sixteen short ones count as one long one", () => {
  const { enter } = createDealQuota(limits);
  const leave = Array.from({ length: 16 }, () => enter("a", MAX_INLINE_CORRECTION_BYTES));
  leave.push(enter("a", LONG));
  expect(() => enter("a", 1)).toThrow(busy);
  leave[0]?.();
  enter("a", 1);
  expect(() => enter("a", 1)).toThrow(busy);
  for (const each of leave.slice(1)) each();
  enter("a", LONG);
});
