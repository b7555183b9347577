/** What can be said of the faults of a run: who is up to no good, who is gone for good, and when nothing was wrong. */
import { ASK_TIMEOUT_MS } from "../../protocols/custody/constants.ts";
import type { Fault, FaultKind, History, Name } from "./history.ts";

/** A provider looks every minute at what was left open, and asks the others about it. */
export const SETTLE_MS = 60_000 + ASK_TIMEOUT_MS;

export function liarsOf({ faults }: History): ReadonlySet<Name> {
  return new Set(faults.filter(({ kind }) => kind === "liar").flatMap(({ peers }) => peers));
}

/** Whoever is struck by one of these is of no use; the others make it slow. */
const DISABLING: ReadonlySet<FaultKind> = new Set(["crash", "partition", "loss", "full-disk", "clock"]);

/** Who is of no use to the end: liars, and whom something strikes that does not end. What a disk has lost can be mended: see `lastLossMs`. */
export function goneForGood({ faults, endMs }: History): ReadonlySet<Name> {
  const isForGood = ({ kind, untilMs = Number.POSITIVE_INFINITY }: Fault) => DISABLING.has(kind) && untilMs >= endMs;
  return new Set(faults.filter((fault) => fault.kind === "liar" || isForGood(fault)).flatMap(({ peers }) => peers));
}

function isLoss({ kind }: Fault): boolean {
  return kind === "lost-disk" || kind === "old-disk";
}

/** When the peer's disk was lost, or put back to an older state, for the last time until `untilMs`. */
export function lastLossMs(
  { faults }: History,
  peer: Name,
  { untilMs = Number.POSITIVE_INFINITY, isOld = false } = {},
): number | undefined {
  const times = faults
    .filter((fault) => isLoss(fault) && (!isOld || fault.kind === "old-disk") && fault.peers.includes(peer))
    .map(({ fromMs }) => fromMs)
    .filter((fromMs) => fromMs <= untilMs);
  return times.length === 0 ? undefined : Math.max(...times);
}

/** Everybody whose disk was ever lost or put back. */
export function struckDisks({ faults }: History): ReadonlySet<Name> {
  return new Set(faults.filter(isLoss).flatMap(({ peers }) => peers));
}

/** Whether nothing was wrong all the time, and a while before, but that there were liars, and disks that had lost something. */
export function isCalm({ faults }: History, fromMs: number, untilMs: number): boolean {
  return faults.every((fault) => {
    if (fault.kind === "liar" || fault.fromMs > untilMs) return true;
    const overMs = fault.untilMs ?? (isLoss(fault) ? fault.fromMs : Number.POSITIVE_INFINITY);
    return overMs + SETTLE_MS < fromMs;
  });
}

/** For how long something was wrong in a span of time. What never ends is no excuse for anything that has to end. */
export function disturbedMs({ faults }: History, fromMs: number, untilMs: number): number {
  const spans = faults
    .filter(({ kind }) => kind !== "liar")
    .map((fault) => [Math.max(fault.fromMs, fromMs), Math.min(fault.untilMs ?? 0, untilMs)] as const)
    .sort(([a], [b]) => a - b);
  let sumMs = 0;
  let overMs = fromMs;
  for (const [beginMs, endMs] of spans) {
    sumMs += Math.max(0, endMs - Math.max(beginMs, overMs));
    overMs = Math.max(overMs, endMs);
  }
  return sumMs;
}

/** By how much the clock of a peer was wrong at most; without end when that cannot be told. */
export function worstClockMs({ faults }: History): number {
  const offs = faults.filter(({ kind }) => kind === "clock").map(({ detail }) => Math.abs(Number(detail)));
  return Math.max(0, ...offs.map((offMs) => (Number.isNaN(offMs) ? Number.POSITIVE_INFINITY : offMs)));
}
