import { expect, test } from "vitest";
import { piecesOf, shrink, without } from "../../support/simulation/pieces.ts";
import { type Plan, planOf } from "../../support/simulation/plan.ts";

function bigPlan(): Plan {
  for (let seed = 1; ; seed += 1) {
    const plan = planOf(seed);
    if (plan.stories.length === 3 && plan.faults.length >= 2 && plan.stories.every(({ steps }) => steps.length > 1))
      return plan;
  }
}

test("of a plan everything is left out that it does not take to fail", async () => {
  const plan = bigPlan();
  const [first, second] = [plan.stories[1]!.steps[1]!, plan.faults[0]!];
  const stillFails = async ({ stories, faults }: Plan) =>
    stories.some(({ steps }) => steps.includes(first)) && faults.includes(second);
  const left = await shrink(plan, stillFails);
  const smallest = without(plan, left);
  expect(smallest.faults).toEqual([second]);
  expect(smallest.stories.map(({ name, steps }) => [name, steps])).toEqual([["b", [first]]]);
  expect(piecesOf(plan)).toEqual(expect.arrayContaining([...left]));
});

test("a plan that fails whatever is left out becomes empty", async () => {
  const plan = bigPlan();
  const smallest = without(plan, await shrink(plan, async () => true));
  expect([smallest.stories, smallest.faults]).toEqual([[], []]);
});

test("a plan follows from its seed alone", () => {
  expect(planOf(42)).toEqual(planOf(42));
  expect(planOf(42)).not.toEqual({ ...planOf(43), seed: 42 });
});
