/**
 * Participants that are killed before and after a write or a message, a few of all the places where that can happen. `scripts/crash-points`
 * runs them all, and one again that is told of here.
 */
import { expect, test } from "vitest";
import { MUTANTS } from "../../support/crash/mutants.ts";
import { ALL } from "../../support/crash/operations.ts";
import {
  type Bench,
  type Crash,
  crashesOf,
  createBench,
  describeCrash,
  newSeed,
  problemsOfCrash,
  reportOf,
  sample,
} from "../../support/crash/run.ts";

const BUDGET_MS = 15_000;

test("a sample of all crashes: each operation happened or did not, and no deposit is left half", async () => {
  const seed = newSeed();
  process.stdout.write(`crash points: seed ${seed}\n`);
  const startMs = performance.now();
  const isOver = () => performance.now() - startMs > BUDGET_MS;
  let crashes = 0;
  for (let round = 0; !isOver(); round += 1) {
    for (const operation of sample(ALL, ALL.length, seed + round)) {
      if (isOver()) break;
      const bench = await createBench(operation);
      for (const crash of sample(crashesOf(bench), 2, seed + round)) {
        crashes += 1;
        expect(await wrongIn(bench, crash), `seed ${seed}`).toEqual([]);
      }
    }
  }
  expect(crashes).toBeGreaterThan(0);
});

async function wrongIn(bench: Bench, crash: Crash): Promise<string[]> {
  const problems = await problemsOfCrash(bench, crash);
  return problems.length === 0 ? [] : [reportOf(bench.operation, crash), ...problems];
}

/** Each was wrong once. */
const FOUND: readonly (readonly [operation: string, crash: string])[] = [
  ...["chain", "fanout"].flatMap((route) => [
    // The user gives the deposit up, and one provider that has sealed it does not hear of it.
    [
      `put (${route}, Protocol 3)`,
      'after provider 1 does "answer seal of a user" for the 1. time (restarted at once, retried at once)',
    ] as const,
    // Some have heard that it is sealed, and nobody tells the others.
    [
      `put (${route}, Protocol 3)`,
      'before user 1 does "ask provider 2 to seal" for the 1. time (heard out, retried later)',
    ] as const,
  ]),
  // It is sealed here, the owner gives it up everywhere else, and nobody tells this one.
  ["put a lot", 'after provider 4 does "commit delete deal-open" for the 1. time (restarted at once, retried at once)'],
  // It is sealed at one only, and the others have forgotten what they had signed when they are started again.
  [
    "put a lot",
    'after user 1 does "send a body on seal-lot to provider 1" for the 1. time (heard out, retried at once)',
  ],
  // The second move forgot whom the first had not reached.
  [
    "move to 5 4 3",
    'after provider 1 does "send a message on change-part of provider 5" for the 1. time (restarted at once, retried at once)',
  ],
  [
    "move to 5 6 7",
    'after provider 1 does "serve change-part of provider 5" for the 1. time (restarted at once, retried at once)',
  ],
  // A change that is under way at a provider which the deposit leaves: its settling failed, and with it that of all others.
  [
    "move to 4 5 + move to 2 3 1",
    'before user 1 does "ask provider 4 to change-activate" for the 1. time (cut off, retried later)',
  ],
  // A provider that missed a generation and is in the next one again gave what it had of the old one.
  [
    "move to 4 5 + move to 2 3 1",
    'before provider 2 does "send a message on change-copy to provider 3" for the 1. time (restarted later, retried at once)',
  ],
  [
    "move to 4 5 + move to 2 3 1",
    'before provider 4 does "send a message on change-transfer of a user" for the 1. time (restarted later, retried at once)',
  ],
];

for (const [name, crash] of FOUND) {
  test(`${name}, ${crash}`, async () => {
    const bench = await createBench(ALL.find((operation) => operation.name === name)!);
    const found = crashesOf(bench).find((each) => describeCrash(each) === crash);
    expect(found).toBeDefined();
    expect(await wrongIn(bench, found!)).toEqual([]);
  });
}

for (const mutant of MUTANTS) {
  test(`it is found out: ${mutant.name}`, async () => {
    const operation = ALL.find(({ name }) => name === mutant.operation)!;
    const bench = await createBench(operation, mutant);
    const crashes = crashesOf(bench).filter(({ point }) => point.what.includes(mutant.near));
    // Nothing but a crash shows it.
    expect(await problemsOfCrash(bench, undefined)).toEqual([]);
    const seed = newSeed();
    for (const crash of sample(crashes, crashes.length, seed)) {
      if ((await problemsOfCrash(bench, crash)).length > 0) return;
    }
    expect.unreachable(`${crashes.length} crashes did not show it`);
  });
}
