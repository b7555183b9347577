/** What the final stores say of where a deposit is. Those of liars say nothing. */
import { type DepositHistory, isMended } from "./deposits.ts";
import { goneForGood, liarsOf, struckDisks } from "./faults.ts";
import type { FinalStore, Finals, History, KeptDeposit, Name } from "./history.ts";

export function honestStores(history: History, { stores }: Finals): FinalStore[] {
  const liars = liarsOf(history);
  return stores.filter(({ peer }) => !liars.has(peer));
}

/** The providers among these peers. */
export function providersIn(peers: Iterable<Name>, { stores }: Finals): ReadonlySet<Name> {
  const providers = new Set(stores.map(({ peer }) => peer));
  return new Set([...peers].filter((peer) => providers.has(peer)));
}

/** The newest generation: as somebody keeps it, one for each deal that it is on. There are two when two moves were made at once. */
export function newestOf(history: History, finals: Finals, tokenId: string): KeptDeposit[] {
  const kept = honestStores(history, finals)
    .flatMap(({ deposits }) => deposits)
    .filter((each) => each.tokenId === tokenId && each.state === "sealed");
  const newest = Math.max(...kept.map(({ generation }) => generation));
  const byDeal = new Map(kept.filter((each) => each.generation === newest).map((each) => [each.dealId, each]));
  return [...byDeal.values()];
}

/** Home and those that are to have copies of the ciphertext. */
export function keepersOf({ roster, copies }: Pick<KeptDeposit, "roster" | "copies">): readonly Name[] {
  return roster.slice(0, copies);
}

/** Whether the peer has all that it should of the deposit as it is in this generation. */
function isWholeAt(finals: Finals, peer: Name, placement: KeptDeposit): boolean {
  const kept = finals.stores
    .find((store) => store.peer === peer)
    ?.deposits.find(({ dealId }) => dealId === placement.dealId);
  return kept?.state === "sealed" && (kept.holdsCiphertext || !keepersOf(placement).includes(peer));
}

/** Its providers that are faulty for good: gone, or with a disk that lost what nobody has mended. */
export function faultyOf(
  history: History,
  finals: Finals,
  deposit: DepositHistory | undefined,
  placement: KeptDeposit,
): ReadonlySet<Name> {
  const gone = goneForGood(history);
  const struck = struckDisks(history);
  const isLost = (peer: Name) =>
    struck.has(peer) &&
    !isWholeAt(finals, peer, placement) &&
    !(deposit !== undefined && isMended(history, deposit, peer));
  return new Set(placement.roster.filter((peer) => gone.has(peer) || isLost(peer)));
}

/** Whether these are so many that the others are not enough to read a deposit, or none of them is to keep the ciphertext. */
export function isTooMany(
  faulty: ReadonlySet<Name>,
  { roster, threshold, copies }: Pick<KeptDeposit, "roster" | "threshold" | "copies">,
): boolean {
  const left = roster.filter((peer) => !faulty.has(peer));
  return left.length < threshold || keepersOf({ roster, copies }).every((peer) => faulty.has(peer));
}
