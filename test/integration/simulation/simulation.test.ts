import { randomInt } from "node:crypto";
import { expect, test } from "vitest";
import { judge } from "../../support/simulation/judge.ts";
import { newPlan } from "../../support/simulation/lies.ts";
import { simulateAll } from "../../support/simulation/pool.ts";

test("a simulation is the same each time, to the last byte, whatever ran before it", async () => {
  const seed = randomInt(2 ** 31);
  const first = await judge(newPlan(seed));
  await judge(newPlan(seed + 1));
  const second = await judge(newPlan(seed));
  expect(second.run.digest, `seed ${seed}`).toBe(first.run.digest);
  expect(second.violations, `seed ${seed}`).toEqual(first.violations);
});

test("in another process it is the same as well", async () => {
  const seed = randomInt(2 ** 31);
  const { run } = await judge(newPlan(seed));
  const digests: string[] = [];
  await simulateAll({
    ...{ from: seed, seeds: 1, jobs: 1 },
    onResult({ digest }) {
      digests.push(digest);
      return true;
    },
  });
  expect(digests, `seed ${seed}`).toEqual([run.digest]);
});
