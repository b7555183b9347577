/** Histories of any kind in which everybody does what it should, but for one liar perhaps: operations in any order, some of which fail or are killed. */
import fc from "fast-check";
import { failed, KILLED, providers, WELL, WrittenHistory } from "./written-history.ts";

const ALL = providers(1, 2, 3, 4, 5, 6);
const LIAR = "provider-2";
const FORGETFUL = "provider-4";
/** Neither of these. */
export const HONEST: readonly string[] = providers(1, 3, 5, 6);
/** Is there from the beginning to the end. */
export const KEPT = "kept";

const KINDS = [
  ...(["put", "get", "get", "get", "steal", "grant", "revoke", "refresh", "move", "repair", "destroy"] as const),
  ...(["fault", "wait"] as const),
];

const step = fc.record({
  kind: fc.constantFrom(...KINDS),
  name: fc.constantFrom(KEPT, "first", "second"),
  who: fc.constantFrom("alice", "bob", "carol"),
  /** Of how it ends; of what it strikes. */
  chance: fc.nat(99),
  /** Whether it is begun before the one before it has ended. */
  overlaps: fc.boolean(),
  peers: fc.subarray([...ALL], { minLength: 5 }),
  fault: fc.constantFrom(...(["crash", "partition", "slow-link", "reorder", "loss", "full-disk", "clock"] as const)),
});
type Value<A> = A extends fc.Arbitrary<infer V> ? V : never;
type Step = Value<typeof step>;

export const wellBehaved = fc.record({
  steps: fc.array(step, { maxLength: 40 }),
  hasLiar: fc.boolean(),
  /** Before which step a disk is lost, if any, and whether what was there comes back at once. */
  loss: fc.option(fc.record({ before: fc.nat(40), isRestored: fc.boolean() }), { nil: undefined }),
});

/** What is true of a deposit while the history goes on. */
interface State {
  exists: boolean;
  isDestroyed: boolean;
  readonly readers: Map<string, "let in" | "perhaps">;
}

export function writeWellBehaved({ steps, hasLiar, loss }: Value<typeof wellBehaved>): WrittenHistory {
  const run = new WrittenHistory({ count: ALL.length });
  const states = new Map<string, State>();
  if (hasLiar) run.liar(LIAR);
  run.put(KEPT);
  states.set(KEPT, { exists: true, isDestroyed: false, readers: new Map() });
  for (const [i, each] of steps.entries()) {
    if (loss?.before === i) loseDisk(run, states, loss.isRestored);
    take(run, states, each, hasLiar);
  }
  run.lastReads();
  if (hasLiar) Object.assign(run.store(LIAR), { deposits: [], deals: [], events: [], brokenLog: "it lies" });
  return run;
}

function loseDisk(run: WrittenHistory, states: ReadonlyMap<string, State>, isRestored: boolean): void {
  run.fault("lost-disk", [FORGETFUL]);
  run.empty(FORGETFUL, { withLog: true });
  run.wait(31_000);
  for (const [name, { isDestroyed }] of states) {
    const placement = run.deposits.get(name)?.placement;
    const isMember = placement?.roster.includes(FORGETFUL) === true;
    if (isRestored && !isDestroyed && isMember) run.mend(name, placement, [FORGETFUL]);
  }
}

function take(run: WrittenHistory, states: Map<string, State>, each: Step, hasLiar: boolean): void {
  const { kind, name, who, chance, peers, fault } = each;
  const state = states.get(name);
  const more = each.overlaps ? { startMs: run.nowMs - 300 } : {};
  const outcome = chance < 70 ? WELL : chance < 85 ? failed() : KILLED;
  const mayWork = state?.exists === true && !state.isDestroyed;
  const ofOwner = { ...more, outcome: mayWork || outcome === KILLED ? outcome : failed("NO_SUCH_DEPOSIT") };
  if (kind === "put" && state === undefined) {
    run.put(name, { ...more, outcome, to: peers });
    states.set(name, { exists: outcome === WELL, isDestroyed: false, readers: new Map() });
  } else if (kind === "steal") {
    run.steal(name, more);
  } else if (kind === "fault") {
    run.fault(fault, peers.slice(0, 1 + (chance % 3)), { untilMs: run.nowMs + 500 * chance, detail: "2000" });
  } else if (kind === "wait") {
    run.wait(chance * 10_000);
  } else if (kind === "get") {
    get(run, each, state, hasLiar, more);
  } else if (state === undefined) {
    // There is nothing to do anything with.
  } else if (kind === "grant") {
    run.grant(name, { ...ofOwner, reader: who === "alice" ? "bob" : who });
    if (who !== "alice" && mayWork && outcome === WELL) state.readers.set(who, "let in");
    else if (who !== "alice" && mayWork && !state.readers.has(who)) state.readers.set(who, "perhaps");
  } else if (kind === "revoke") {
    run.revoke(name, { ...ofOwner, reader: who });
    if (mayWork && outcome === WELL) state.readers.delete(who);
  } else if (kind === "refresh" || kind === "repair") {
    run[kind](name, ofOwner);
  } else if (kind === "move") {
    run.move(name, peers, ofOwner);
  } else if (kind === "destroy" && name !== KEPT) {
    run.destroy(name, ofOwner);
    state.isDestroyed ||= mayWork && outcome === WELL;
  }
}

/** By the owner it ends well whenever it can; by others as they are let in. */
function get(
  run: WrittenHistory,
  { name, who, chance }: Step,
  state: State | undefined,
  hasLiar: boolean,
  more: { readonly startMs?: number },
): void {
  const isThere = state?.exists === true && !state.isDestroyed;
  const isOpen = who === "alice" || state?.readers.get(who) === "let in" || (state?.readers.has(who) && chance < 50);
  if (!isThere || !isOpen) {
    run.get(name, { ...more, who, outcome: chance < 90 ? failed("NO_SUCH_DEPOSIT") : KILLED });
    return;
  }
  const isNamed = hasLiar && chance % 2 === 0;
  const accused = isNamed ? [{ peer: LIAR, kind: "wrong-answer", isProven: true }] : [];
  const { id } = run.get(name, { ...more, who, accused });
  if (isNamed) run.lie(LIAR, { operation: id });
}
