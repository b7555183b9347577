/** Sealing: the owner has seen the whole chain and accepts it. From here on the deposit exists. */
import { auditChange } from "../../audit/index.ts";
import { equalBytes } from "../../crypto/digest.ts";
import { closedDealChange, heldDealChange, loadHeldDeal, withDeal } from "../../dealing/held-deal.ts";
import { type CheckedRequest, checkRequest } from "../../identity/request.ts";
import { checkChain } from "../../tokens/chain.ts";
import { readKeeping, readLink } from "../../tokens/link.ts";
import type { CborValue } from "../../wire/codec.ts";
import { IntercloudError } from "../../wire/errors.ts";
import { parseShape } from "../../wire/shape.ts";
import type { PeerName } from "../../wire/transport.ts";
import { chainExpectation, type DepositTerms, keepers } from "../deposit-terms.ts";
import { isSameEnvelope, type KeptEnvelope, requireForm } from "../kept-envelope.ts";
import { closingContentShape, type Received, sealShape } from "../messages.ts";
import { chainDigest } from "../proof.ts";
import { requireBoxes } from "../share-boxes.ts";
import { overQuota } from "./bind.ts";
import { type DepositRecord, depositChange, loadDeposit, ownerIndexChange } from "./deposit-record.ts";
import { letIn } from "./owner-usage.ts";
import type { CustodyProvider } from "./provider.ts";
import { forgetUnsealed } from "./unsealed.ts";

export async function seal(provider: CustodyProvider, body: CborValue): Promise<CborValue> {
  const message = parseShape(sealShape, body, "seal");
  await acceptSeal(provider, checkRequest(message.closing, "deposit", provider.clock.nowMs()), message);
  return {};
}

/** @param request the owner's closing, as it was checked */
export async function acceptSeal(
  provider: CustodyProvider,
  request: CheckedRequest,
  message: SealedChain,
): Promise<void> {
  const content = parseShape(closingContentShape, request.content, "closing request");
  const { terms } = await loadDeposit(provider.store, content.tokenId);
  requireBoxes(terms.token, terms.manifest, content.boxes);
  if (terms.token.owner !== request.identity) {
    throw new IntercloudError("NOT_THE_OWNER", "refused", "only the owner can close its deposit");
  }
  requireForm(terms.token, content.envelope);
  const chain = checkChain(chainExpectation(terms, content.digestFromOwner), message.links, message.keeping);
  if (!chain.valid || !equalBytes(content.chainDigest, chainDigest(message.links, message.keeping))) {
    throw new IntercloudError("CHAIN_BROKEN", "integrity", "the chain to be sealed is broken", {
      peers: chain.firstBreak?.suspects ?? [],
    });
  }
  await withDeal(provider.store, terms.manifest.dealId, async () => {
    const { record } = await loadDeposit(provider.store, content.tokenId);
    // The answer to an earlier attempt may have been lost.
    if (record.state === "sealed" && sameChain(record, message.links)) return;
    await commitSeal(provider, terms, record, message, content.envelope);
  });
  if (keepers(terms).includes(provider.transport.peer)) provider.announce(terms.tokenId);
}

/** The whole chain, with the owner's word that it accepts it. */
interface SealedChain {
  readonly closing: Uint8Array;
  readonly links: Uint8Array[];
  readonly keeping: Uint8Array;
}

async function commitSeal(
  provider: CustodyProvider,
  terms: DepositTerms,
  record: DepositRecord,
  chain: SealedChain,
  envelope: KeptEnvelope | null,
): Promise<void> {
  const self = provider.transport.peer;
  const ownLink = chain.links[terms.roster.indexOf(self)];
  const linked = record.state === "linked" && record.ownLink !== null && ownLink !== undefined;
  if (!linked || !equalBytes(record.ownLink, ownLink)) {
    throw new IntercloudError("WRONG_STATE", "conflict", "we have signed no such link for this deposit");
  }
  const hasWord = record.keeping !== null || record.received !== null;
  if (keepers(terms).includes(self) && (!record.holdsCiphertext || !hasWord)) {
    throw new IntercloudError("NO_CIPHERTEXT", "conflict", "the ciphertext that we should keep has not come");
  }
  if (keepers(terms).includes(self)) requireEnvelope(terms, self, record.envelope, envelope);
  // Looked at before it came, too; but several may have come at once.
  if (record.envelope !== null && !(await letIn(provider, terms.token.owner, record.envelope.lengthBytes))) {
    throw overQuota(provider);
  }
  // In the fanout route nothing but home's word says what the sum is: it must have given the same word to everybody.
  if (record.keeping !== null && !equalBytes(record.keeping, chain.keeping)) {
    throw new IntercloudError("OTHER_KEEPING", "integrity", "home gave us a copy under another closing statement", {
      peers: [terms.token.home],
    });
  }
  if (record.received !== null) requireSameSum(terms, self, record.received, chain);
  const deal = await loadHeldDeal(provider.store, terms.manifest.dealId);
  if (deal?.state !== "bound") throw new IntercloudError("DEAL_USED", "conflict", "the deal of this deposit is gone");
  const sealed: DepositRecord = { ...record, ...chain, received: null, state: "sealed" };
  await provider.store.commit([
    heldDealChange({ ...deal, state: "sealed" }),
    closedDealChange(terms.manifest.dealId),
    depositChange(terms.tokenId, sealed),
    ownerIndexChange(terms, record.storedBytes),
    auditChange({ kind: "sealed", tokenId: terms.tokenId, identity: terms.token.owner }),
  ]);
  forgetUnsealed(provider.store, terms.tokenId);
  provider.observe({ kind: "sealed", tokenId: terms.tokenId });
}

/** In a short deposit each keeper added up for itself: what was given to us must be what was given to home. */
function requireSameSum(
  { roster, token }: DepositTerms,
  self: PeerName,
  received: Received,
  chain: { readonly links: readonly Uint8Array[]; readonly keeping: Uint8Array },
): void {
  const { digestFromOwner, digestKept } = readKeeping(chain.keeping).statement;
  const sent = chain.links.map((link) => readLink(link).statement.digestOut);
  const two = roster.find((_, i) => !equalBytes(received.digestsReceived[i] ?? EMPTY, sent[i] ?? EMPTY));
  const isOwners = equalBytes(received.digestFromOwner, digestFromOwner);
  if (two === undefined && isOwners && equalBytes(received.digest, digestKept)) return;
  const text =
    two !== undefined
      ? "a provider gave us another part than the one that it signed"
      : isOwners
        ? "home says that it keeps another sum than the one of these parts"
        : "the owner gave us other bytes than home";
  throw new IntercloudError("KEEPERS_DISAGREE", "integrity", text, {
    // what came to us was not signed: it is our word against the other's
    peers: two ? [two, self] : isOwners ? [token.home] : [],
  });
}

const EMPTY = new Uint8Array();

/** What is here came from home, unless we are it. */
function requireEnvelope(
  { token }: DepositTerms,
  self: PeerName,
  kept: KeptEnvelope | null,
  closed: KeptEnvelope | null,
): void {
  if (isSameEnvelope(kept, closed)) return;
  if (kept === null) {
    throw new IntercloudError("NO_ENVELOPE", "conflict", "the envelope that we should keep has not come");
  }
  throw new IntercloudError(
    "OTHER_ENVELOPE",
    "integrity",
    "we were given another envelope than the owner closed with",
    {
      peers: token.home === self ? [] : [token.home],
    },
  );
}

function sameChain(record: DepositRecord, links: readonly Uint8Array[]): boolean {
  return (
    record.links.length === links.length &&
    record.links.every((link, i) => equalBytes(link, links[i] ?? new Uint8Array()))
  );
}
