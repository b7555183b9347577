/** The parts of a plan that can be left out, by their names: `a` is a deposit with all that is done with it, `a.2` the second step of that, `f1` the first fault. */
import type { Plan } from "./plan.ts";

export function piecesOf({ stories, faults }: Plan): string[] {
  return [
    ...faults.map((_, i) => `f${i + 1}`),
    ...stories.map(({ name }) => name),
    ...stories.flatMap(({ name, steps }) => steps.map((_, i) => `${name}.${i + 1}`)),
  ];
}

export function without(plan: Plan, pieces: ReadonlySet<string>): Plan {
  return {
    ...plan,
    faults: plan.faults.filter((_, i) => !pieces.has(`f${i + 1}`)),
    stories: plan.stories
      .filter(({ name }) => !pieces.has(name))
      .map((story) => ({ ...story, steps: story.steps.filter((_, i) => !pieces.has(`${story.name}.${i + 1}`)) })),
  };
}

/**
 * Leaves out one piece after the other for as long as it still fails, until nothing more can be left out.
 * @returns what was left out
 */
export async function shrink(plan: Plan, stillFails: (smaller: Plan) => Promise<boolean>): Promise<Set<string>> {
  const left = new Set<string>();
  for (let goesOn = true; goesOn; ) {
    goesOn = false;
    for (const piece of piecesOf(plan)) {
      const [story = ""] = piece.split(".");
      if (left.has(piece) || left.has(story)) continue;
      const tried = new Set([...left, piece]);
      if (!(await stillFails(without(plan, tried)))) continue;
      left.add(piece);
      goesOn = true;
    }
  }
  // A deposit that is left out takes its steps with it.
  return new Set([...left].filter((piece) => !piece.includes(".") || !left.has(piece.split(".")[0] ?? "")));
}
