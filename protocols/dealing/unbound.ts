/**
 * How much a provider takes of deals that nobody has bound yet: they are kept for a day, used or not. Counted in memory, by who dealt
 * them; what was bound or burnt meanwhile is looked for when a limit is reached, and not before.
 */
import type { Store } from "../storage/index.ts";
import type { Clock } from "../wire/clock.ts";
import { IntercloudError } from "../wire/errors.ts";
import type { PeerName } from "../wire/transport.ts";
import { STAGING_LIFETIME_MS } from "./constants.ts";
import { hexOf, idOfHex, loadHeldDeal, openDeals } from "./held-deal.ts";
import { checkManifest, entryOfPeer } from "./manifest.ts";
import { loadStaging, stagedDeals } from "./staging.ts";

export interface UnboundLimits {
  /** Of one dealer of the federation. All users that deal for themselves count together as one more. */
  readonly maxUnboundDeals: number;
  readonly maxUnboundBytes: number;
  /** Of one user that deals for itself. */
  readonly maxSelfDealtDeals: number;
  readonly maxSelfDealtBytes: number;
}

const GIB = 1024 ** 3;

export const DEFAULT_UNBOUND_LIMITS: UnboundLimits = {
  // 25,000 clients with four deals each in stock; a record of 1.5 KB each
  maxUnboundDeals: 100_000,
  // as much as one owner may have here
  maxUnboundBytes: 256 * GIB,
  // it deals when it deposits, so a few at a time are enough
  maxSelfDealtDeals: 16,
  // two of the longest messages
  maxSelfDealtBytes: 130 * GIB,
};

export interface Unbound {
  /**
   * Counts a deal that is coming; one that is counted already is counted anew.
   * @param bytes of its correction, or of the free share that has to be hashed for it
   * @throws IntercloudError TOO_MANY_DEALS (full), DEAL_EXISTS when another dealer has one with this id.
   */
  admit(dealId: Uint8Array, by: DealtBy, bytes: number): Promise<void>;
  /** It is here, and takes this much. */
  settle(dealId: Uint8Array, bytes: number): void;
  /** It will not come, or is gone. Does nothing when somebody else dealt it. */
  drop(dealId: Uint8Array, by: DealtBy): void;
  /** Looks which deals still wait, so that those that were bound or burnt are counted no more. To be called now and then. */
  sweep(): Promise<void>;
  /** What waits, as far as was looked. */
  waiting(): { readonly deals: number; readonly bytes: number };
}

export interface DealtBy {
  /** A peer's name; of a user that deals for itself, `dealerNameOf`. */
  readonly dealer: PeerName;
  readonly isSelf: boolean;
}

interface Counted extends DealtBy {
  readonly bytes: number;
  readonly admittedAtMs: number;
}

interface Total {
  deals: number;
  bytes: number;
}

/** All users that deal for themselves, as one. No peer has this name. */
const ALL_SELF = "self";
/** Looking through as many records as this takes a while, and must not be done at each refusal. */
const MANY = 1_000;
const MANY_INTERVAL_MS = 10_000;

export interface UnboundOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly limits: UnboundLimits;
  /** Who we are. */
  readonly peer: PeerName;
  /** Of our federation; whoever else dealt did it for itself. */
  readonly isDealer: (peer: PeerName) => boolean;
}

export function createUnbound({ store, clock, limits, peer, isDealer }: UnboundOptions): Unbound {
  const counted = new Map<string, Counted>();
  const totals = new Map<string, Total>();
  const lookedAtMs = new Map<string, number>();
  let sumBytes = 0;
  let loading: Promise<void> | undefined;

  function add(key: string, entry: Counted, sign: 1 | -1): void {
    for (const pool of poolsOf(entry)) {
      const total = totals.get(pool) ?? { deals: 0, bytes: 0 };
      total.deals += sign;
      total.bytes += sign * entry.bytes;
      if (total.deals === 0) totals.delete(pool);
      else totals.set(pool, total);
    }
    sumBytes += sign * entry.bytes;
    if (sign === 1) counted.set(key, entry);
    else counted.delete(key);
  }

  function remove(key: string): void {
    const entry = counted.get(key);
    if (entry !== undefined) add(key, entry, -1);
  }

  /** What was here before this process; when it cannot be read now, the next one tries again. */
  async function loaded(): Promise<void> {
    loading ??= load().catch((error: unknown) => {
      loading = undefined;
      throw error;
    });
    await loading;
  }

  async function load(): Promise<void> {
    const put = (dealId: Uint8Array, dealer: PeerName, bytes: number) => {
      remove(hexOf(dealId));
      add(hexOf(dealId), { dealer, isSelf: !isDealer(dealer), bytes, admittedAtMs: clock.nowMs() }, 1);
    };
    for await (const [dealId, { dealer, lengthBytes }] of stagedDeals(store)) put(dealId, dealer, lengthBytes);
    for (const dealId of await openDeals(store)) {
      const held = await loadHeldDeal(store, dealId);
      if (held?.state !== "dealt") continue;
      const manifest = checkManifest(held.manifest);
      put(dealId, manifest.dealer, entryOfPeer(manifest, peer)?.corrected === true ? manifest.lengthBytes : 0);
    }
  }

  /** Drops the deals that wait no more. */
  async function recount(isMeant: (entry: Counted) => boolean): Promise<void> {
    const nowMs = clock.nowMs();
    for (const [key, entry] of counted) {
      if (!isMeant(entry)) continue;
      const dealId = idOfHex(key);
      const held = await loadHeldDeal(store, dealId);
      const isNew = nowMs - entry.admittedAtMs <= STAGING_LIFETIME_MS;
      const comes = isNew || (await loadStaging(store, dealId)) !== undefined;
      const waits = held === undefined ? comes : held.state === "dealt";
      if (!waits && counted.get(key) === entry) remove(key);
    }
  }

  async function recountPool(pool: string): Promise<void> {
    const nowMs = clock.nowMs();
    const many = (totals.get(pool)?.deals ?? 0) > MANY;
    if (many && nowMs - (lookedAtMs.get(pool) ?? 0) < MANY_INTERVAL_MS) return;
    if (many) lookedAtMs.set(pool, nowMs);
    await recount((entry) => poolsOf(entry).includes(pool));
  }

  function isOver(pool: string, bytes: number): boolean {
    const total = totals.get(pool) ?? { deals: 0, bytes: 0 };
    const isOneUser = pool !== ALL_SELF && !isDealer(pool);
    const maxDeals = isOneUser ? limits.maxSelfDealtDeals : limits.maxUnboundDeals;
    const maxBytes = isOneUser ? limits.maxSelfDealtBytes : limits.maxUnboundBytes;
    return total.deals + 1 > maxDeals || total.bytes + bytes > maxBytes;
  }

  return {
    async admit(dealId, { dealer, isSelf }, bytes) {
      await loaded();
      const key = hexOf(dealId);
      const pools = poolsOf({ dealer, isSelf });
      for (const pool of pools) if (isOver(pool, bytes)) await recountPool(pool);
      // From here on nobody comes in between.
      const earlier = counted.get(key);
      if (earlier !== undefined && earlier.dealer !== dealer) {
        throw new IntercloudError("DEAL_EXISTS", "conflict", "another dealer has a deal with this id");
      }
      remove(key);
      if (pools.some((pool) => isOver(pool, bytes))) {
        if (earlier !== undefined) add(key, earlier, 1);
        const message =
          "we keep no more deals of this dealer that wait to be used; use some of them, or try again tomorrow";
        throw new IntercloudError("TOO_MANY_DEALS", "full", message);
      }
      add(key, { dealer, isSelf, bytes, admittedAtMs: clock.nowMs() }, 1);
    },
    settle(dealId, bytes) {
      const entry = counted.get(hexOf(dealId));
      if (entry === undefined) return;
      remove(hexOf(dealId));
      add(hexOf(dealId), { ...entry, bytes }, 1);
    },
    drop(dealId, { dealer }) {
      if (counted.get(hexOf(dealId))?.dealer === dealer) remove(hexOf(dealId));
    },
    async sweep() {
      await loaded();
      await recount(() => true);
    },
    waiting: () => ({ deals: counted.size, bytes: sumBytes }),
  };
}

function poolsOf({ dealer, isSelf }: DealtBy): readonly string[] {
  return isSelf ? [dealer, ALL_SELF] : [dealer];
}
