/**
 * What a node does for itself now and then: burns what has expired, settles with others what was left open, rewrites the store's files after burns, looks at the disk.
 */
import { settleCustody, sweepDeposits } from "../protocols/custody/server/index.ts";
import type { CustodyProvider } from "../protocols/custody/server/provider.ts";
import { sweepDeals, type Unbound } from "../protocols/dealing/index.ts";
import type { Clock } from "../protocols/wire/clock.ts";
import { pause } from "../protocols/wire/pause.ts";
import type { Log } from "../runtime/log.ts";
import type { NodeConfig } from "./config.ts";
import type { NodeEvents } from "./events.ts";
import type { OpenStore } from "./store/index.ts";

/** What takes longer the more is kept is taken from the real work: never more than this part of the time. */
const MAX_SHARE = 0.05;
/** Counting the bodies looks at each of them. */
const COUNT_INTERVAL_MS = 600_000;

export interface HousekeepingOptions {
  readonly provider: CustodyProvider;
  readonly unbound: Unbound;
  readonly store: OpenStore;
  readonly clock: Clock;
  readonly config: Pick<NodeConfig, "sweepIntervalMs" | "purgeIntervalMs">;
  readonly events: NodeEvents;
  readonly log: Log;
  readonly onError: (error: unknown) => void;
  /** Whether something was burnt since the last call. */
  readonly takeBurnt: () => boolean;
}

export interface Housekeeping {
  stop(): Promise<void>;
}

export function startHousekeeping(options: HousekeepingOptions): Housekeeping {
  const { provider, unbound, store, clock, config, events, log } = options;
  const stopping = new AbortController();
  const { signal } = stopping;

  /** Runs `action` again and again; a failure is logged and does not end it. `action` says when to come back. */
  async function repeat(event: string, firstPauseMs: number, action: () => Promise<number>): Promise<void> {
    let pauseMs = firstPauseMs;
    for (;;) {
      await pause(clock, pauseMs, signal);
      if (signal.aborted) return;
      try {
        pauseMs = await action();
      } catch (error) {
        if (signal.aborted) return;
        options.onError(error);
        log.error(event, { error });
      }
    }
  }

  async function sweep(): Promise<number> {
    await sweepDeposits(provider, false);
    await sweepDeals(provider.store, clock.nowMs());
    await unbound.sweep();
    events.onDisk(await store.freeBytes());
    return config.sweepIntervalMs;
  }

  let purgeDue = false;

  async function purge(): Promise<number> {
    // Taken before, so that what is burnt meanwhile counts for the next time; stays due when it fails.
    purgeDue = options.takeBurnt() || purgeDue;
    if (!purgeDue) return config.purgeIntervalMs;
    const startedAt = performance.now();
    await store.purge();
    purgeDue = false;
    const durationMs = performance.now() - startedAt;
    events.onPurge(durationMs / 1000);
    return Math.max(config.purgeIntervalMs, durationMs / MAX_SHARE);
  }

  async function countBodies(): Promise<number> {
    const startedAt = performance.now();
    let sumBytes = 0;
    for await (const name of store.bodies.names()) {
      if (signal.aborted) return 0;
      sumBytes += (await store.bodies.lengthBytes(name)) ?? 0;
    }
    events.onBodies(sumBytes);
    return Math.max(COUNT_INTERVAL_MS, (performance.now() - startedAt) / MAX_SHARE);
  }

  async function settle(): Promise<number> {
    await settleCustody(provider, signal);
    return config.sweepIntervalMs;
  }

  const work = [
    repeat("sweep-failed", config.sweepIntervalMs, sweep),
    // apart from the sweep, because it waits for other peers
    repeat("settle-failed", config.sweepIntervalMs, settle),
    repeat("purge-failed", config.purgeIntervalMs, purge),
    repeat("count-failed", 0, countBodies),
  ];
  return {
    async stop() {
      stopping.abort();
      await Promise.all(work);
    },
  };
}
