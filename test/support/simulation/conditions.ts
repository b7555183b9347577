/** How it is just now: what stands between peers, how quick disks are, and what clocks show. Faults change it; network, disks and clocks ask. */
import type { PeerName } from "../../../protocols/wire/transport.ts";
import type { Random } from "./random.ts";

export interface Conditions {
  /** Each is a set of peers that nobody else can talk to. */
  readonly partitions: Set<ReadonlySet<PeerName>>;
  /** By how many times more slowly messages of a peer travel. */
  readonly slowLinks: Map<PeerName, number>;
  /** Peers that see requests late, twice, or not at all. */
  readonly reorders: Set<PeerName>;
  readonly duplicates: Set<PeerName>;
  readonly losses: Set<PeerName>;
  readonly slowDisks: Set<PeerName>;
  readonly fullDisks: Set<PeerName>;
  /** What is added to the true time. */
  readonly clockOffsetsMs: Map<PeerName, number>;
}

export function calm(): Conditions {
  return {
    ...{ partitions: new Set(), slowLinks: new Map(), reorders: new Set(), duplicates: new Set(), losses: new Set() },
    ...{ slowDisks: new Set(), fullDisks: new Set(), clockOffsetsMs: new Map() },
  };
}

export function isCut({ partitions }: Conditions, a: PeerName, b: PeerName): boolean {
  for (const side of partitions) if (side.has(a) !== side.has(b)) return true;
  return false;
}

const LEAST_MS = 1;
const MOST_MS = 40;

/** Of one message, one way. */
export function delayMs({ slowLinks }: Conditions, from: PeerName, to: PeerName, random: Random): number {
  const factor = Math.max(slowLinks.get(from) ?? 1, slowLinks.get(to) ?? 1);
  return random.between(LEAST_MS, MOST_MS) * factor;
}
