/** What is to happen in one run, as plain data that follows from its seed: a failing run is made smaller by leaving parts of it out. */
import type { FaultKind, OperationKind } from "../../../testnet/checker/history.ts";
import { createRandom, type Random } from "./random.ts";

export interface Plan {
  readonly seed: number;
  /** Of the federation. */
  readonly providers: number;
  readonly stories: readonly Story[];
  readonly faults: readonly PlannedFault[];
}

/** The life of one deposit. Stories run at the same time. */
export interface Story {
  readonly name: string;
  readonly startMs: number;
  readonly lengthBytes: number;
  readonly protocol: 1 | 2 | 3;
  readonly route: "chain" | "fanout";
  readonly providers: number;
  readonly threshold: number;
  readonly copies: number;
  readonly steps: readonly Step[];
}

export interface Step {
  readonly kind: Exclude<OperationKind, "put">;
  readonly who: "owner" | "friend" | "thief";
  /** After the end of the step before it. */
  readonly pauseMs: number;
  /** The next step does not wait for it. */
  readonly isBeside: boolean;
  readonly route?: "chain" | "fanout";
  /** Of a grant: undefined for one that does not expire. */
  readonly expiresInMs?: number | undefined;
  /** Of a move. */
  readonly destination?: {
    readonly candidates: readonly number[];
    readonly threshold: number;
    readonly copies: number;
  };
}

/** A provider by its place, `dealer`, or `owner` for the process of the user that owns all deposits. */
export type Target = number | "dealer" | "owner";

export interface PlannedFault {
  readonly kind: FaultKind;
  readonly targets: readonly Target[];
  readonly fromMs: number;
  /** Undefined for one that does not end. */
  readonly untilMs: number | undefined;
  /** Of a crash: not at `fromMs`, but at so manieth write to the disk behind it, just before or after that is on the platter. */
  readonly atWrite?: { readonly nth: number; readonly when: "before" | "after" };
  /** Of a clock: by how much it is wrong. */
  readonly offsetMs?: number;
  /** Of a liar. */
  readonly lie?: string;
}

/** Faults begin within so long: about as long as most stories take. */
const ACTIVE_MS = 15_000;

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;

export function planOf(seed: number, lies: readonly string[] = [], dealerLies: readonly string[] = []): Plan {
  const random = createRandom(seed, "plan");
  const providers = random.between(3, 6);
  // In more than half of them every deposit can do without at least one provider, so that one may lie, or lose what it has.
  const spared = random.chance(0.6) ? 1 : 0;
  const stories = Array.from({ length: random.between(1, 3) }, (_, i) => storyOf(random, "abc"[i]!, providers, spared));
  const spare = Math.min(...stories.flatMap(sparesOf));
  const bad = random.shuffled(Array.from({ length: providers }, (_, i) => i)).slice(0, spare);
  const lasting = bad.filter(() => random.chance(0.7)).map((target) => lastingFault(random, target, lies));
  const passing = Array.from({ length: random.below(5) }, () => passingFault(random, providers));
  const dealer = dealerLies.length > 0 && random.chance(0.1) ? [lyingDealer(random, dealerLies)] : [];
  return { seed, providers, stories, faults: [...lasting, ...passing, ...dealer] };
}

/** How many providers each of its generations can lose, and as many keepers. */
function sparesOf({ providers, threshold, copies, steps }: Story): number[] {
  const moved = steps.flatMap(({ destination }) =>
    destination === undefined ? [] : [destination.candidates.length - destination.threshold, destination.copies - 1],
  );
  return [providers - threshold, copies - 1, ...moved];
}

function storyOf(random: Random, name: string, federation: number, spared: number): Story {
  const providers = random.between(2 + spared, federation);
  const threshold = random.between(2, providers - spared);
  const protocol = random.pick([3, 3, 3, 3, 2, 1] as const);
  const isLong = random.chance(0.15);
  return {
    ...{ name, providers, threshold, protocol },
    startMs: random.below(SECOND_MS),
    lengthBytes: isLong ? random.between(70_000, 150_000) : random.between(1, 600),
    route: random.pick(["fanout", "fanout", "chain"] as const),
    copies: random.between(1 + spared, Math.min(3, providers)),
    steps: stepsOf(random, federation, protocol, spared),
  };
}

/** What is done with a deposit in turn: anything, or one of the ways in which one thing depends on another. */
function stepsOf(random: Random, federation: number, protocol: 1 | 2 | 3, spared: number): Step[] {
  const some = (kinds: readonly StepName[]) => kinds.map((kind) => stepOf(random, kind, federation, spared));
  const ways: (readonly StepName[])[] = [
    ["refresh", "get", "move", "get", "repair"],
    ["move", "refresh", "get"],
    ["get", "destroy", "get", "steal"],
  ];
  // Deposits of the other protocols cannot be shared.
  if (protocol === 3) {
    ways.push(["grant", "friend", "revoke", "friend"], ["short grant", "friend", "late friend"]);
    ways.push(["grant", "move", "friend", "destroy", "friend"]);
  }
  if (random.chance(0.5)) return some(random.pick(ways));
  const alone = ["get", "get", "refresh", "move", "repair", "destroy", "steal"] as const;
  const shared = ["grant", "short grant", "friend", "revoke"] as const;
  const kinds: readonly StepName[] = protocol === 3 ? [...alone, ...shared] : alone;
  return some(Array.from({ length: random.between(1, 5) }, () => random.pick(kinds)));
}

type StepName = Step["kind"] | "short grant" | "friend" | "late friend";

function stepOf(random: Random, name: StepName, federation: number, spared: number): Step {
  const pauseMs = random.below(random.chance(0.2) ? 10 * SECOND_MS : SECOND_MS);
  const step = (kind: Step["kind"], rest: Partial<Step> = {}): Step => ({
    ...{ kind, who: "owner", pauseMs, isBeside: false },
    ...rest,
  });
  const route = random.pick(["fanout", "chain"] as const);
  switch (name) {
    case "get":
      return step("get", { route, isBeside: random.chance(0.3) });
    case "friend":
      return step("get", { route, who: "friend", isBeside: random.chance(0.2) });
    case "late friend":
      // Later than any clock that is still thought right can make of it.
      return step("get", { route, who: "friend", pauseMs: random.between(5, 10) * MINUTE_MS });
    case "steal":
      return step("steal", { route, who: "thief", isBeside: random.chance(0.5) });
    case "short grant":
      return step("grant", { expiresInMs: random.between(1, 20) * SECOND_MS });
    case "move": {
      const count = random.between(2 + spared, federation);
      const candidates = random.shuffled(Array.from({ length: federation }, (_, i) => i)).slice(0, count);
      const copies = random.between(1 + spared, Math.min(3, count));
      return step("move", { destination: { candidates, threshold: random.between(2, count - spared), copies } });
    }
    default:
      return step(name);
  }
}

function lastingFault(random: Random, target: number, lies: readonly string[]): PlannedFault {
  const kind = lies.length > 0 && random.chance(0.6) ? "liar" : random.pick(["lost-disk", "old-disk"] as const);
  const common: PlannedFault = { kind, targets: [target], fromMs: random.below(ACTIVE_MS), untilMs: undefined };
  return kind === "liar"
    ? { ...common, fromMs: random.pick([0, random.below(ACTIVE_MS / 4)]), lie: random.pick(lies) }
    : common;
}

function lyingDealer(random: Random, lies: readonly string[]): PlannedFault {
  return { kind: "liar", targets: ["dealer"], fromMs: 0, untilMs: undefined, lie: random.pick(lies) };
}

const PASSING = [
  ...(["crash", "crash", "crash", "partition", "slow-link", "reset", "reorder", "duplicate", "loss"] as const),
  ...(["slow-disk", "full-disk", "clock"] as const),
];
const CLOCK_OFFSETS_MS = [-3 * 60, -1, 1, 3 * 60].map((minutes) => minutes * MINUTE_MS);

function passingFault(random: Random, providers: number): PlannedFault {
  const kind = random.pick(PASSING);
  // Half of them early, when most stories do something.
  const fromMs = random.below(random.chance(0.5) ? ACTIVE_MS : ACTIVE_MS / 5);
  const untilMs = fromMs + random.between(1, 25) * SECOND_MS;
  const some = random.shuffled(Array.from({ length: providers }, (_, i) => i)).slice(0, random.between(1, 2));
  const isOfAll = kind === "crash" || kind === "partition" || kind === "slow-link" || kind === "reset";
  const one = random.chance(0.3) ? random.pick(["dealer", "owner", "owner"] as const) : undefined;
  const targets = isOfAll && one !== undefined ? [one] : some;
  const offset = kind === "clock" ? { offsetMs: random.pick(CLOCK_OFFSETS_MS) } : {};
  if (kind === "crash" && typeof targets[0] === "number" && random.chance(0.7)) {
    const atWrite = { nth: random.between(1, 12), when: random.pick(["before", "after"] as const) };
    return { kind, targets: [targets[0]], fromMs: random.below(ACTIVE_MS / 4), untilMs, atWrite };
  }
  return { kind, targets, fromMs, untilMs, ...offset };
}
