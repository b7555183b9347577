/** A plan and a history in words, for whoever has to find out what went wrong. */
import type { History, Operation } from "../../../testnet/checker/history.ts";
import { without } from "./pieces.ts";
import type { Plan } from "./plan.ts";

export function replayCommand({ seed }: Plan, left: ReadonlySet<string>): string {
  return `scripts/chaos --seed ${seed}${left.size > 0 ? ` --without ${[...left].join(",")}` : ""}`;
}

/** What is left of a plan: a line for each fault, each deposit and each step. */
export function tellPlan(plan: Plan, left: ReadonlySet<string>): string[] {
  const kept = without(plan, left);
  const faults = plan.faults.flatMap((fault, i) => {
    const piece = `f${i + 1}`;
    if (left.has(piece)) return [];
    const until = fault.untilMs === undefined ? "to the end" : `to ${seconds(fault.untilMs)}`;
    const who = fault.targets.map((target) => (typeof target === "number" ? `provider-${target + 1}` : target));
    const detail = fault.lie ?? (fault.offsetMs === undefined ? "" : `by ${fault.offsetMs / 60_000} min`);
    return [
      `${piece}: ${fault.kind} ${who.join(", ")} ${detail} from ${seconds(fault.fromMs)} ${until}`.replace("  ", " "),
    ];
  });
  const stories = kept.stories.map(
    ({ name, protocol, route, providers, threshold, copies, lengthBytes, startMs }) =>
      `${name}: put ${lengthBytes} bytes, Protocol ${protocol}, ${route}, n=${providers} t=${threshold} copies=${copies}, at ${seconds(startMs)}`,
  );
  return [`a federation of ${plan.providers}`, ...faults, ...stories];
}

export function tellHistory({ operations, lies, faults, calmFromMs }: History): string[] {
  const zeroMs = Math.min(
    ...[...operations, ...faults.map(({ fromMs }) => ({ startMs: fromMs }))].map(({ startMs }) => startMs),
  );
  const at = (timeMs: number | undefined) => (timeMs === undefined ? "?" : seconds(timeMs - zeroMs));
  return [
    ...operations.map(
      (operation) =>
        `#${operation.id} ${at(operation.startMs)}-${at(operation.endMs)} ${operation.who}: ${operation.kind} ${operation.deposit} ${outcomeOf(operation)}`,
    ),
    ...lies.slice(0, 20).map(({ peer, lie, atMs }) => `${at(atMs)} ${peer} lies: ${lie}`),
    `faults are over at ${at(calmFromMs)}`,
  ];
}

function outcomeOf(operation: Operation): string {
  const { outcome } = operation;
  if (outcome === undefined) return "has not ended";
  if (outcome.ended === "killed") return "was killed";
  if (outcome.ended === "failed") return `failed: ${outcome.code} (${outcome.status}) ${outcome.peers.join(", ")}`;
  const accused =
    "accused" in operation && operation.accused ? operation.accused.map(({ peer, kind }) => `${peer} (${kind})`) : [];
  const receipts = operation.kind === "destroy" ? `, ${operation.receipts} receipts of ${operation.needed}` : "";
  return `ended well${accused.length > 0 ? `, accuses ${accused.join(", ")}` : ""}${receipts}`;
}

function seconds(timeMs: number): string {
  return `${(timeMs / 1000).toFixed(1)} s`;
}
