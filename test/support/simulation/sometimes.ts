/** What has to happen sooner or later in so many simulations: a run in which it never did has tested nothing of it. */

/** In fewer simulations than this, chance alone may leave something out. */
export const ENOUGH_SEEDS = 1_000;

const FAULTS_WHILE_BUSY = [
  ...(["crash", "partition", "slow-link", "reset", "reorder", "duplicate", "loss", "slow-disk", "full-disk"] as const),
  ...(["clock", "lost-disk", "old-disk"] as const),
].map((kind) => `${kind} while busy`);

const RECOVERIES = [
  // what was left half done was given up, or finished by the others
  ...["event burnt", "event change-dropped", "event changed", "event moved-away"],
  // what was lost came back
  "event repaired",
];

const ENDS = [
  ...["put", "get", "grant", "revoke", "refresh", "move", "repair", "destroy"].map((kind) => `${kind} well`),
  ...["put", "refresh", "move"].map((kind) => `${kind} killed`),
];

const REFUSALS = ["steal NOT_THE_OWNER", "get DESTROYED", "get NOT_THE_OWNER", "get GRANT_EXPIRED"];

const EXPECTED: readonly string[] = [...FAULTS_WHILE_BUSY, ...RECOVERIES, ...ENDS, ...REFUSALS];

/** @param seen in how many simulations something happened */
export function unseen(seen: ReadonlyMap<string, number>): string[] {
  return EXPECTED.filter((each) => !seen.has(each));
}
