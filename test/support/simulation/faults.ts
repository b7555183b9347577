/** Brings faults about, and ends them. */
import type { Fault, LieTold } from "../../../testnet/checker/history.ts";
import type { LiarTools } from "../../../testnet/liars/index.ts";
import type { MemoryStore } from "../memory-store.ts";
import { copyOfDisk, putOnDisk } from "./disk.ts";
import type { PlannedFault, Target } from "./plan.ts";
import { createRandom } from "./random.ts";
import type { Workload } from "./workload.ts";
import type { Parts, SimulatedWorld } from "./world.ts";

export interface Faults {
  /** As they really happened. */
  readonly happened: Fault[];
  /** Begins and ends them when their time has come. */
  schedule(): void;
  /** A provider is at a write to its disk. */
  onWrite(i: number, when: "before" | "after"): void;
  /** Ends all that have not ended and can end. */
  endAll(): Promise<void>;
}

export interface FaultsOptions {
  readonly seed: number;
  readonly world: SimulatedWorld;
  readonly workload: Workload;
  readonly planned: readonly PlannedFault[];
  readonly partsOf: (lie: string, tools: LiarTools) => Parts;
  readonly onLie: (lie: LieTold) => void;
  /** While an operation was under way or not. */
  readonly onFault: (fault: PlannedFault, isWhileBusy: boolean) => void;
}

/** By which a get asks for a part of what it wants. */
const READS: ReadonlySet<string> = new Set(["read", "retrieve"]);

const RESTART_MS = 2_000;
const OLD_AFTER_MS = 5_000;
const SLOW_FACTOR = 25;

export function createFaults({ seed, world, workload, planned, partsOf, onLie, onFault }: FaultsOptions): Faults {
  const { time, conditions, network, peers, dealer } = world;
  const count = peers.length;
  const happened: Fault[] = [];
  const running = new Map<PlannedFault, () => Promise<void>>();
  const lies = new Map<number, () => Parts>();

  const peerOf = (target: Target) =>
    target === "owner" ? world.user("owner").transport.peer : target === "dealer" ? dealer : peers[target]!;
  const nameOf = (target: Target) => (target === "owner" ? "owner" : world.nameOf(peerOf(target)));
  const nodeOf = (target: Target) => (target === "dealer" ? count : (target as number));
  /** A node that cannot start, for one because its disk is full, is started again until it can. */
  const restart = async (i: number): Promise<void> => {
    try {
      await world.start(i, lies.get(i)?.());
    } catch {
      world.kill(i);
      await new Promise<void>((resolve) => void time.after(RESTART_MS, resolve));
      if (world.isDown(i)) await restart(i);
    }
  };

  /** @returns what ends it. */
  function begin(fault: PlannedFault): () => Promise<void> {
    const members = fault.targets.map(peerOf);
    const among = (set: Set<string>) => {
      for (const peer of members) set.add(peer);
      return async () => {
        for (const peer of members) set.delete(peer);
      };
    };
    const mapped = <T>(map: Map<string, T>, value: T) => {
      for (const peer of members) map.set(peer, value);
      return async () => {
        for (const peer of members) map.delete(peer);
      };
    };
    switch (fault.kind) {
      case "crash":
        return crash(fault.targets);
      case "partition": {
        const side = new Set(members);
        conditions.partitions.add(side);
        return async () => {
          conditions.partitions.delete(side);
          network.heal();
        };
      }
      case "slow-link":
        return mapped(conditions.slowLinks, SLOW_FACTOR);
      case "clock":
        return mapped(conditions.clockOffsetsMs, fault.offsetMs ?? 0);
      case "reset":
        for (const peer of members) network.reset(peer);
        return async () => {};
      case "reorder":
        return among(conditions.reorders);
      case "duplicate":
        return among(conditions.duplicates);
      case "loss":
        return among(conditions.losses);
      case "slow-disk":
        return among(conditions.slowDisks);
      case "full-disk":
        return among(conditions.fullDisks);
      case "lost-disk":
      case "old-disk":
        return otherDisk(fault);
      case "liar":
        return turnLiar(fault);
    }
  }

  function crash(targets: readonly Target[]): () => Promise<void> {
    for (const target of targets) {
      if (target === "owner") {
        workload.killed("owner");
        world.killUser("owner");
      } else world.kill(nodeOf(target));
    }
    return async () => {
      for (const target of targets) {
        if (target !== "owner" && world.isDown(nodeOf(target))) await restart(nodeOf(target));
      }
    };
  }

  /** The machine is back with an empty disk, or with a backup. */
  function otherDisk({ kind, targets }: PlannedFault): () => Promise<void> {
    for (const target of targets) {
      const disk = world.disks[nodeOf(target)]!;
      const before = kind === "old-disk" ? backups.get(nodeOf(target)) : undefined;
      world.kill(nodeOf(target));
      if (before !== undefined) putOnDisk(disk, before);
      else putOnDisk(disk, { records: new Map(), files: new Map(), events: [] } as unknown as MemoryStore);
      void restart(nodeOf(target));
    }
    return async () => {};
  }

  const backups = new Map<number, MemoryStore>();

  function turnLiar({ targets, lie }: PlannedFault): () => Promise<void> {
    for (const target of targets) {
      const i = nodeOf(target);
      world.kill(i);
      const peer = world.nameOf(peerOf(target));
      lies.set(i, () => partsOf(lie ?? "", toolsOf(peer, lie ?? "")));
      void restart(i);
    }
    return async () => {};
  }

  /** A lie that a get was told is about that get, if there is no other one of the same deposit at the same time. */
  function toolsOf(peer: string, lie: string): LiarTools {
    const { bytes } = createRandom(seed, `lies of ${peer}`);
    return {
      ...{ entropy: bytes, clock: time },
      told(method, { tokenId }) {
        const gets = tokenId === undefined || !READS.has(method) ? [] : workload.getsUnderWay(tokenId);
        const [get] = gets;
        const operation = gets.length === 1 ? { operation: get! } : {};
        onLie({ peer, lie: gets.length === 1 ? lie : `${lie} (${method})`, atMs: time.nowMs(), ...operation });
      },
    };
  }

  function note({ kind, targets, untilMs, lie, offsetMs, fromMs }: PlannedFault): void {
    const detail = lie ?? (offsetMs === undefined ? undefined : String(offsetMs));
    happened.push({
      ...{ kind, peers: targets.map(nameOf), fromMs: time.nowMs() },
      untilMs: untilMs === undefined ? undefined : time.nowMs() + untilMs - fromMs,
      ...(detail !== undefined && { detail }),
    });
  }

  function fire(fault: PlannedFault): void {
    onFault(fault, workload.underWay() > 0);
    note(fault);
    running.set(fault, begin(fault));
    if (fault.untilMs === undefined) return;
    time.after(fault.untilMs - fault.fromMs, () => {
      const end = running.get(fault);
      running.delete(fault);
      void end?.();
    });
  }

  /** Writes that are left until they strike. */
  const waiting = new Map<PlannedFault, number>();

  return {
    happened,
    schedule() {
      for (const fault of planned) {
        if (fault.kind === "old-disk") {
          time.after(Math.max(0, fault.fromMs - OLD_AFTER_MS), () => {
            for (const target of fault.targets) backups.set(nodeOf(target), copyOfDisk(world.disks[nodeOf(target)]!));
          });
        }
        const { atWrite } = fault;
        time.after(fault.fromMs, () => (atWrite === undefined ? fire(fault) : waiting.set(fault, atWrite.nth)));
      }
    },
    onWrite(i, when) {
      for (const [fault, left] of waiting) {
        if (fault.targets[0] !== i || fault.atWrite?.when !== when) continue;
        waiting.set(fault, left - 1);
        if (left > 1) continue;
        waiting.delete(fault);
        fire(fault);
      }
    },
    async endAll() {
      waiting.clear();
      for (const end of running.values()) await end();
      running.clear();
      for (let i = 0; i <= count; i += 1) if (world.isDown(i)) await restart(i);
    },
  };
}
