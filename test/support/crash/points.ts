/**
 * The places where a process can be killed: before and after each write and each message. A dry run lists them; a run with a
 * plan kills the process that reaches the planned one.
 */

export type When = "before" | "after";

/** The nth time (from 1) that a process gets there since the watch began. The name is the same in each run of one operation. */
export interface CrashPoint {
  readonly process: string;
  readonly what: string;
  readonly nth: number;
  readonly when: When;
}

export interface CrashControl {
  /** From here on points are counted. */
  watch(): void;
  /** No more points from here on. */
  stop(): void;
  /** Those that were passed while it watched, in order. */
  readonly passed: readonly CrashPoint[];
  /** Whether the planned point was reached. */
  readonly killed: boolean;
  /** @returns the number of this time. */
  arrive(process: string, what: string): number;
  /** Whether the process is to be killed now. */
  pass(point: CrashPoint): boolean;
}

export function createCrashControl(plan: CrashPoint | undefined): CrashControl {
  const counts = new Map<string, number>();
  const passed: CrashPoint[] = [];
  let watching = false;
  let killed = false;
  return {
    watch() {
      watching = true;
    },
    stop() {
      watching = false;
    },
    passed,
    get killed() {
      return killed;
    },
    arrive(process, what) {
      if (!watching) return 0;
      const key = `${process} ${what}`;
      const nth = (counts.get(key) ?? 0) + 1;
      counts.set(key, nth);
      return nth;
    },
    pass(point) {
      if (!watching || point.nth === 0) return false;
      passed.push(point);
      if (killed || plan === undefined || describePoint(point) !== describePoint(plan)) return false;
      killed = true;
      return true;
    },
  };
}

export function describePoint({ process, what, nth, when }: CrashPoint): string {
  return `${when} ${process} does "${what}" for the ${nth}. time`;
}
