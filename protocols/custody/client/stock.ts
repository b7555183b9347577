/** Deals that were fetched ahead: which of them a deposit can take, and how the stock is filled and emptied. */
import type { FreshDeal } from "../../dealing/client.ts";
import { providersOf } from "../../dealing/manifest.ts";
import { type DealStock, type DealTerms, fits, isStockable, type StockedDeal } from "../../dealing/stock.ts";
import { IntercloudError } from "../../wire/errors.ts";
import type { PeerName } from "../../wire/transport.ts";
import { abandon } from "./abandon.ts";
import { chooseProviders } from "./choose-providers.ts";
import { type DealerChoice, dealersFor, type FreshDealOptions, freshDeal } from "./fresh-deal.ts";
import type { CustodyUser } from "./user.ts";

/** What a deal must be like, and between whom. */
export interface StockTerms {
  /** n and t. */
  readonly providers: number;
  readonly threshold: number;
  readonly lengthBytes: number;
  /** In the order of preference. */
  readonly candidates: readonly PeerName[];
  /** Home must be this one; any of them by default. */
  readonly home?: PeerName | undefined;
  readonly dealer?: DealerChoice | undefined;
}

/** The deals in stock that a deposit of these terms may take, if their providers are willing. */
export async function fittingDeals(
  user: Pick<CustodyUser, "stock" | "directory">,
  terms: StockTerms,
): Promise<readonly StockedDeal[]> {
  if (user.stock === undefined || terms.dealer === "self") return [];
  const { candidates, home } = terms;
  const wanted: DealTerms = { ...terms, dealers: dealersFor(user, terms.dealer) };
  return (await user.stock.deals()).filter(({ manifest }) => {
    const roster = providersOf(manifest);
    const isKnown = roster.every((peer) => candidates.includes(peer));
    return isKnown && fits(manifest, wanted) && (home === undefined || roster[0] === home);
  });
}

export interface TakenDeal extends FreshDeal {
  readonly isStocked: boolean;
}

/** A deal of exactly these providers: out of the stock while one is left there, and then a fresh one. @throws IntercloudError NO_DEAL. */
export async function takeDeal(
  user: CustodyUser,
  stocked: readonly StockedDeal[],
  options: FreshDealOptions,
): Promise<TakenDeal> {
  for (const each of stocked) {
    const deal = isRoster(each, options.providers) ? await each.take() : undefined;
    if (deal !== undefined) return { ...deal, isStocked: true };
  }
  try {
    return { ...(await freshDeal(user, options)), isStocked: false };
  } catch (error) {
    throw await withStock(error, user.stock);
  }
}

function isRoster({ manifest }: StockedDeal, peers: readonly PeerName[]): boolean {
  const roster = providersOf(manifest);
  return roster.length === peers.length && roster.every((peer, i) => peer === peers[i]);
}

/** Says what is in stock, when a deal would have helped. */
async function withStock(error: unknown, stock: DealStock | undefined): Promise<unknown> {
  if (!(error instanceof IntercloudError) || error.code !== "NO_DEAL" || stock === undefined || stock.size === 0) {
    return error;
  }
  const left = (await stock.deals()).length;
  const text = left === 0 ? "the stock of deals is empty" : `none of the ${left} deals in stock is of this kind`;
  const details = { ...error.details, stock: left };
  return new IntercloudError(error.code, error.status, `${error.message}; ${text}`, details, error);
}

/**
 * Fetches deals until there are as many of these terms as are to be kept.
 * @returns how many were fetched. @throws IntercloudError NOT_ENOUGH_PROVIDERS, HOME_AWAY, NO_DEAL, DEALS_TOO_SHORT; what was fetched before stays.
 */
export async function fillStock(user: CustodyUser, terms: StockTerms, signal: AbortSignal): Promise<number> {
  const { stock } = user;
  if (stock === undefined || terms.dealer === "self") return 0;
  const isFull = async () => (await fittingDeals(user, terms)).length >= stock.size;
  if (await isFull()) return 0;
  const providers = await chooseProviders(user, terms.candidates, terms.providers, signal);
  if (terms.home !== undefined && providers[0] !== terms.home) {
    const message = `the home that was chosen, ${user.directory.nameOf(terms.home)}, does not answer; choose another, or try again later`;
    throw new IntercloudError("HOME_AWAY", "unreachable", message, { peers: [terms.home] });
  }
  let fetched = 0;
  // Looked at each time, because another command may fill it, or take from it, meanwhile; at the most each leaves one too many.
  for (; fetched < stock.size && !(await isFull()); fetched += 1) {
    signal.throwIfAborted();
    const deal = await freshDeal(user, { ...terms, providers, signal });
    try {
      if (!isStockable(deal.manifest, user.clock.nowMs())) {
        await abandon(user, providers, deal.manifest.dealId, null);
        throw tooShort(user, deal.manifest.dealer);
      }
      await stock.keep(deal);
    } finally {
      deal.userSeed.fill(0);
    }
  }
  return fetched;
}

function tooShort({ directory }: CustodyUser, dealer: PeerName): IntercloudError {
  const message = `deals of ${directory.nameOf(dealer)} expire too soon to be kept in stock; use another dealer, or none`;
  return new IntercloudError("DEALS_TOO_SHORT", "refused", message, { peers: [dealer] });
}

/** Empties the stock; the providers are told, and need not keep their shares for the rest of the day. @returns how many there were. */
export async function dropStock(user: CustodyUser): Promise<number> {
  let dropped = 0;
  for (const each of (await user.stock?.deals()) ?? []) {
    const deal = await each.take();
    if (deal === undefined) continue;
    deal.userSeed.fill(0);
    await abandon(user, providersOf(deal.manifest), deal.manifest.dealId, null);
    dropped += 1;
  }
  return dropped;
}
