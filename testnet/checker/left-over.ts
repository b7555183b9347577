/** What a provider still has in the end, and should not. */
import type { FinalStore, Finals, History, KeptDeposit, Name } from "./history.ts";

/** A run when everything has come to rest. */
export interface World {
  readonly history: History;
  readonly finals: Finals;
  /** Who is of no use to the end. */
  readonly gone: ReadonlySet<Name>;
  /** Of all providers but these. */
  readonly stores: readonly FinalStore[];
}

/** In plain words. */
export function leftOver(world: World, store: FinalStore): string[] {
  return [
    ...openDeposits(world, store),
    ...looseShares(world, store),
    ...looseRecords(world, store),
    ...looseBodies(store),
  ].map((what) => `${store.peer} has ${what}`);
}

/**
 * Who has signed the link of a deposit waits until all others have said that they did not close it, as long as it takes: one that is gone for
 * good keeps it open.
 */
function openDeposits({ gone, stores }: World, { deposits }: FinalStore): string[] {
  const isClosed = (tokenId: string) =>
    stores.some((store) => store.deposits.some((each) => each.tokenId === tokenId && each.state === "sealed"));
  const waits = ({ tokenId, state, roster }: KeptDeposit) =>
    state === "linked" && roster.some((peer) => gone.has(peer)) && !isClosed(tokenId);
  return deposits
    .filter((kept) => kept.state !== "sealed" && !waits(kept))
    .map(({ tokenId, state }) => `deposit ${tokenId}, which is ${state} and was never closed`);
}

/** In the same way who has prepared a change waits with the share that it has for it. */
function looseShares({ gone }: World, { deposits, deals }: FinalStore): string[] {
  const held = new Map(deposits.map(({ dealId, state }) => [dealId, state]));
  return deals
    .filter(({ dealId, state }) => {
      if (state === "sealed") return held.get(dealId) !== "sealed";
      // What belongs to a deposit is judged with it.
      return state === "bound" && !held.has(dealId) && gone.size === 0;
    })
    .map(({ dealId, state }) => `a share of deal ${dealId}, which is ${state} and belongs to no deposit`);
}

/** What a provider has to do, or to wait for. */
const UNDER_WAY: ReadonlySet<string> = new Set(["deal-open", "deal-staging", "change", "change-due", "abandon-due"]);
/** What belongs to a deposit, and ends with the id of its token. */
const OF_DEPOSIT: ReadonlySet<string> = new Set(["owner", "grant", "grantee"]);

function looseRecords({ gone }: World, { deposits, deals, records = [] }: FinalStore): string[] {
  const unused = new Set(deals.filter(({ state }) => state === "dealt").map(({ dealId }) => dealId));
  const kept = new Set(deposits.map(({ tokenId }) => tokenId));
  return records
    .filter((key) => {
      const [what = "", ...ids] = key.split("/");
      const id = ids.at(-1) ?? "";
      if (OF_DEPOSIT.has(what)) return !kept.has(id);
      return UNDER_WAY.has(what) && gone.size === 0 && !unused.has(id);
    })
    .map((key) => `${key}, which belongs to nothing`);
}

function looseBodies({ deposits, deals, bodies = [] }: FinalStore): string[] {
  // What waits is judged as a share.
  const waiting = deals.filter(({ state }) => state === "bound").flatMap(({ dealId, boundTo }) => [dealId, boundTo]);
  const named = new Set([
    ...deposits.flatMap((kept) => [ciphertextOf(kept), `envelope-${kept.tokenId}`]),
    ...deals.filter(({ state }) => state !== "burnt").map(({ dealId }) => `correction-${dealId}`),
  ]);
  return bodies
    .filter((name) => !named.has(name) && !waiting.some((id) => id !== undefined && name.includes(id)))
    .map((name) => `${name}, which belongs to nothing`);
}

/** Each generation has one of its own. */
export function ciphertextOf({ tokenId, generation }: KeptDeposit): string {
  return `ciphertext-${tokenId}${generation === 0 ? "" : `-${generation}`}`;
}
