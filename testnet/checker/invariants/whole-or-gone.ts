import { type DepositHistory, depositOfToken, isMended, mayHaveForked } from "../deposits.ts";
import { goneForGood, struckDisks } from "../faults.ts";
import type { FinalStore, KeptDeposit, Name } from "../history.ts";
import type { Invariant, Problem } from "../invariant.ts";
import { ciphertextOf, leftOver, type World } from "../left-over.ts";
import { faultyOf, honestStores, isTooMany, keepersOf, newestOf, providersIn } from "../stores.ts";

export const wholeOrGone: Invariant = {
  name: "whole-or-gone",
  about:
    "In the end each deposit is whole in one generation at all its honest providers, or at none, and none of them keeps anything else.",
  check: (history, finals) => {
    const gone = providersIn(goneForGood(history), finals);
    const world: World = {
      history,
      finals,
      gone,
      stores: honestStores(history, finals).filter(({ peer }) => !gone.has(peer)),
    };
    const struck = struckDisks(history);
    const deposits = depositOfToken(history, finals);
    const tokenIds = new Set(world.stores.flatMap((store) => store.deposits.map(({ tokenId }) => tokenId)));
    const texts = [
      ...[...tokenIds].flatMap((tokenId) => partlyThere(world, tokenId, deposits.get(tokenId))),
      ...world.stores.filter(({ peer }) => !struck.has(peer)).flatMap((store) => leftOver(world, store)),
    ];
    return texts.map((text): Problem => ({ text, operations: [] }));
  },
};

interface Kept {
  readonly peer: Name;
  readonly kept: KeptDeposit;
}

function partlyThere(world: World, tokenId: string, deposit: DepositHistory | undefined): string[] {
  const { history, finals } = world;
  // Who destroyed it has done so by right, and the others were not told, or not reached.
  const isDestroyed = ({ events }: FinalStore) =>
    events.some((event) => event.kind === "destroyed" && event.tokenId === tokenId);
  if (honestStores(history, finals).some(isDestroyed)) return [];
  const stores = world.stores.filter(({ peer }) => !mayHaveForgotten(world, tokenId, deposit, peer));
  const kept = stores.flatMap(({ peer, deposits }) =>
    deposits
      .filter((each) => each.tokenId === tokenId && each.state === "sealed")
      .map((each) => ({ peer, kept: each })),
  );
  const groups = [...Map.groupBy(kept, (each) => each.kept.dealId).values()];
  const isForked = deposit !== undefined && mayHaveForked(deposit) && areApart(groups);
  const newest = Math.max(...kept.map((each) => each.kept.generation));
  const counted = isForked ? groups : groups.filter(([first]) => first?.kept.generation === newest).slice(0, 1);
  const first = counted[0]?.[0];
  const others = kept.filter((each) => !counted.some((group) => group.includes(each)));
  return [
    ...counted.flatMap((group) => missing(stores, group)),
    ...others.filter((each) => !mayLinger(world, deposit, each, first?.kept)).map((each) => tellOther(each, first)),
  ];
}

/** Whether its disk has lost the deposit, or has it as it was once, and nobody has mended that: nothing is asked of it. */
function mayHaveForgotten(
  { history, finals }: World,
  tokenId: string,
  deposit: DepositHistory | undefined,
  peer: Name,
): boolean {
  if (!struckDisks(history).has(peer)) return false;
  const isMember = newestOf(history, finals, tokenId).some(({ roster }) => roster.includes(peer));
  return !isMember || deposit === undefined || !isMended(history, deposit, peer);
}

/** What is not as it should be where a deposit is on one deal. */
function missing(stores: readonly FinalStore[], group: readonly Kept[]): string[] {
  const [first] = group;
  if (first === undefined) return [];
  const { tokenId, generation, roster } = first.kept;
  const what = `deposit ${tokenId} in generation ${generation}`;
  return stores.flatMap(({ peer, bodies }) => {
    const own = group.find((each) => each.peer === peer)?.kept;
    const isMember = roster.includes(peer);
    if (own === undefined) return isMember ? [`${peer} does not have ${what}, which ${first.peer} has`] : [];
    if (!isMember) return [`${peer} has ${what}, and is none of its providers`];
    if (own.generation !== generation || own.roster.join() !== roster.join())
      return [`${peer} and ${first.peer} disagree about ${what}`];
    const hasCiphertext = own.holdsCiphertext && bodies?.includes(ciphertextOf(own)) !== false;
    return keepersOf(own).includes(peer) && !hasCiphertext ? [`${peer} keeps no ciphertext of ${what}`] : [];
  });
}

/** Two changes that were made at once have no provider in common. */
function areApart(groups: readonly (readonly Kept[])[]): boolean {
  const placements = groups.flatMap(([first]) => first?.kept ?? []);
  const members = placements.flatMap(({ roster }) => roster);
  return new Set(members).size === members.length && placements.every(({ generation }) => generation > 0);
}

function tellOther({ peer, kept }: Kept, newest: Kept | undefined): string {
  const { tokenId, generation, dealId } = kept;
  return `${peer} has deposit ${tokenId} in generation ${generation} on deal ${dealId}, and ${newest?.peer} in generation ${newest?.kept.generation} on deal ${newest?.kept.dealId}`;
}

/**
 * A provider that a deposit left hears of it from the new home, and asks the new providers whether they have it before it forgets its share.
 * When they do not say so it keeps it.
 */
function mayLinger(
  { history, finals, gone }: World,
  deposit: DepositHistory | undefined,
  { peer }: Kept,
  newest: KeptDeposit | undefined,
): boolean {
  if (newest === undefined || newest.roster.includes(peer)) return false;
  const [home = ""] = newest.roster;
  const isSilent = gone.has(home) || struckDisks(history).has(home);
  const faulty = faultyOf(history, finals, deposit, newest);
  return isSilent || isTooMany(faulty, { ...newest, copies: newest.roster.length });
}
