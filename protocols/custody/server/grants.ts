/** Grants at a provider: takes the owner's newest list, shows it to the owner, and tells grantees what they may read. */
import { withDeal } from "../../dealing/held-deal.ts";
import { checkRequest } from "../../identity/request.ts";
import { encodeToken } from "../../tokens/token.ts";
import type { CborValue } from "../../wire/codec.ts";
import { IntercloudError } from "../../wire/errors.ts";
import { parseShape } from "../../wire/shape.ts";
import { LIST_PAGE } from "../constants.ts";
import { allows, compareGrants, grantListOf, isExpired, requireGrantable, type SignedGrantList } from "../grants.ts";
import { type GrantedDeposit, listContentShape, requestShape, showContentShape } from "../messages.ts";
import { requireOwner, requireSealed } from "./access.ts";
import type { ActiveDeposits } from "./active.ts";
import { envelopeOf, findDeposit, loadDeposit } from "./deposit-record.ts";
import { grantsChanges, loadGrants, tokensGrantedTo } from "./grant-record.ts";
import type { CustodyProvider } from "./provider.ts";
import { requireAsked } from "./queries.ts";
import { retrievalsOf } from "./retrieve.ts";
import { destroyedAnswer } from "./tombstone.ts";

/**
 * Takes a list when it is newer than what is here, and answers with what is here then, and with the list that it replaced if the
 * owner did not know that one when it made this: two clients of the owner were at it at the same time. The request names no provider and is not
 * remembered: whoever sends it on does what the owner wants, and after a newer list it changes nothing.
 */
export async function grant(provider: CustodyProvider, active: ActiveDeposits, body: CborValue): Promise<CborValue> {
  const message = parseShape(requestShape, body, "grant");
  const offered = grantListOf(message.request, checkRequest(message.request, "grant", provider.clock.nowMs()));
  const { tokenId } = offered.list;
  const { placement } = await loadDeposit(provider.store, tokenId);
  const { before, now } = await withDeal(provider.store, placement.manifest.dealId, () => take(provider, offered));
  const reason = new IntercloudError("GRANT_REVOKED", "refused", "the owner revoked the grant that this went by");
  for (const identity of shutOut(before, now)) await active.stop(tokenId, reason, retrievalsOf(identity));
  const unknown = before !== undefined && now !== before && before.list.version >= now.list.version;
  return { list: now.request, replaced: unknown ? before.request : null };
}

/** Call it under `withDeal`. */
async function take(provider: CustodyProvider, offered: SignedGrantList) {
  const { store } = provider;
  const { tokenId } = offered.list;
  const deposit = await loadDeposit(store, tokenId);
  requireSealed(deposit);
  requireOwner(deposit.terms.token.owner, offered.owner);
  requireGrantable(deposit.terms.token);
  const before = await loadGrants(store, tokenId);
  if (before !== undefined && compareGrants(offered.list, before.list) <= 0) return { before, now: before };
  await store.commit(grantsChanges(before, offered));
  if (shutOut(before, offered).length > 0) provider.observe({ kind: "revoked", tokenId });
  if (offered.list.grants.some((each) => !before?.list.grants.some((was) => was.identity === each.identity))) {
    provider.observe({ kind: "granted", tokenId });
  }
  return { before, now: offered };
}

/** Who could get the message by the one list and cannot by the other. */
function shutOut(before: SignedGrantList | undefined, after: SignedGrantList): string[] {
  const may = (list: SignedGrantList | undefined) =>
    (list?.list.grants ?? []).filter((each) => allows(each, "retrieve")).map(({ identity }) => identity);
  const still = new Set(may(after));
  return may(before).filter((identity) => !still.has(identity));
}

/** The list as it is here, for the owner. */
export async function grants(provider: CustodyProvider, body: CborValue): Promise<CborValue> {
  const message = parseShape(requestShape, body, "grants");
  const request = checkRequest(message.request, "read", provider.clock.nowMs());
  const { tokenId, provider: asked } = parseShape(showContentShape, request.content, "grants request");
  requireAsked(provider, asked);
  const gone = await destroyedAnswer(provider.store, tokenId, request.identity);
  if (gone !== undefined) return gone;
  const deposit = await loadDeposit(provider.store, tokenId);
  requireSealed(deposit);
  requireOwner(deposit.terms.token.owner, request.identity);
  return { list: (await loadGrants(provider.store, tokenId))?.request ?? null };
}

/** Deposits of others that the asker may read, a page at a time, in the order of their ids. */
export async function granted(provider: CustodyProvider, body: CborValue): Promise<CborValue> {
  const message = parseShape(requestShape, body, "granted");
  const { store, clock } = provider;
  const nowMs = clock.nowMs();
  const request = checkRequest(message.request, "read", nowMs);
  const { after, provider: asked } = parseShape(listContentShape, request.content, "granted request");
  requireAsked(provider, asked);
  const deposits: GrantedDeposit[] = [];
  for await (const tokenId of tokensGrantedTo(store, request.identity)) {
    if (after !== null && Buffer.compare(tokenId, after) <= 0) continue;
    const list = (await loadGrants(store, tokenId))?.list;
    const own = list?.grants.find((each) => each.identity === request.identity);
    if (list === undefined || own === undefined || isExpired(own, nowMs)) continue;
    if (deposits.length === LIST_PAGE) return { deposits, more: true };
    const { purposes, expiresAtMs } = own;
    const deposit = await findDeposit(store, tokenId);
    if (deposit === undefined) continue; // destroyed since
    const envelopeBytes = envelopeOf(deposit)?.lengthBytes ?? null;
    const { token } = deposit.terms;
    deposits.push({
      ...{ token: encodeToken(token), envelopeBytes, grant: { purposes, expiresAtMs }, version: list.version },
    });
  }
  return { deposits, more: false };
}
