import { expect, test } from "vitest";
import { depositPlan, withDefaults } from "../../../client/deposit-plan.ts";

const directory = {
  providers: ["p1", "p2", "p3", "p4", "p5"],
  dealers: ["dealer-peer"],
  nameOf: (peer: string) => `name-of-${peer}`,
};
const settings = withDefaults({ threshold: 3 }, 5);

test("what is chosen comes before what the home says", () => {
  expect(depositPlan(settings, {}, directory)).toEqual({
    ...{ providers: 5, threshold: 3, copies: 3, protocol: 3, route: undefined, candidates: directory.providers },
  });
  const chosen = { providers: 4, threshold: 2, copies: 1, protocol: 2, route: "fanout" } as const;
  expect(depositPlan(settings, chosen, directory)).toMatchObject(chosen);
});

test("copies shrink with the providers unless they were asked for", () => {
  expect(depositPlan(settings, { providers: 2, threshold: 2 }, directory).copies).toBe(2);
  expect(() => depositPlan(settings, { providers: 2, threshold: 2, copies: 3 }, directory)).toThrow("3 copies");
});

test.each([
  [{ providers: 6 }, "lists 5"],
  [{ providers: 2 }, "the threshold is 3"],
  [{ threshold: 1 }, "the threshold is 1"],
  [{ copies: 0 }, "0 copies"],
  [{ home: "name-of-p9" }, "name-of-p1, name-of-p2"],
])("%o is wrong use", (chosen, message) => {
  expect(() => depositPlan(settings, chosen, directory)).toThrow(
    expect.objectContaining({ status: "bad-request", message: expect.stringContaining(message) }),
  );
});

test("home comes first, and the others stay in order", () => {
  expect(depositPlan(settings, { home: "name-of-p3" }, directory).candidates).toEqual(["p3", "p1", "p2", "p4", "p5"]);
});

test("providers that are to have no part are left out, and the others are all", () => {
  const without = ["name-of-p2", "p4"];
  expect(depositPlan(settings, { without }, directory)).toMatchObject({
    ...{ providers: 3, threshold: 3, candidates: ["p1", "p3", "p5"] },
  });
  expect(depositPlan({ ...settings, home: "name-of-p2" }, { without }, directory).home).toBeUndefined();
  expect(() => depositPlan(settings, { without, home: "name-of-p2" }, directory)).toThrow("name-of-p1, name-of-p3");
  expect(() => depositPlan(settings, { without, providers: 4 }, directory)).toThrow("lists 5, of which 3 are left");
  expect(() => depositPlan(settings, { without: ["p9"] }, directory)).toThrow('no provider is called "p9"');
});
