/** A limited memory of what was needed lately. */
import { expect, it } from "vitest";
import { createRecent } from "../../../protocols/crypto/recent.ts";

it("forgets what has not been needed for longest, and nothing else", () => {
  const recent = createRecent<number>(3);
  for (const [i, key] of ["a", "b", "c"].entries()) recent.set(key, i);
  expect(recent.get("a")).toBe(0);
  recent.set("d", 3);
  expect(["a", "b", "c", "d"].map((key) => recent.get(key))).toEqual([0, undefined, 2, 3]);
});

it("has the newest value of a key, which counts once", () => {
  const recent = createRecent<number>(2);
  recent.set("a", 1);
  recent.set("b", 2);
  recent.set("a", 3);
  recent.set("c", 4);
  expect(["a", "b", "c"].map((key) => recent.get(key))).toEqual([3, undefined, 4]);
});
