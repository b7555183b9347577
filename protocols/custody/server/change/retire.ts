/**
 * The end of a refresh or move. It needs the receipts of all providers of the new generation and the owner's word; then the old share
 * is forgotten, and where the deposit stays, its record names the new generation. Whoever has the proof may bring it: it speaks
 * for itself, so providers finish among themselves what a client began.
 */
import { auditChange } from "../../../audit/index.ts";
import { equalBytes } from "../../../crypto/digest.ts";
import { burnDeal, closedDealChange, heldDealChange, loadHeldDeal, withDeal } from "../../../dealing/held-deal.ts";
import { CLOCK_SKEW_MS } from "../../../identity/constants.ts";
import type { Change } from "../../../storage/index.ts";
import type { CborValue } from "../../../wire/codec.ts";
import { IntercloudError } from "../../../wire/errors.ts";
import { parseShape } from "../../../wire/shape.ts";
import type { Context, PeerName } from "../../../wire/transport.ts";
import { type CheckedChange, readChangeProof } from "../../change/change-proof.ts";
import type { ChangeTerms } from "../../change/change-terms.ts";
import { signStatement } from "../../change/statements.ts";
import { ASK_TIMEOUT_MS, CUSTODY_PROTOCOL } from "../../constants.ts";
import { changeStatusAnswerShape, retireShape } from "../../messages.ts";
import { keepersOf } from "../../placement.ts";
import { type CheckedProof, encodeProof, readProof } from "../../proof.ts";
import {
  ciphertextName,
  type DepositRecord,
  depositChange,
  envelopeName,
  findDeposit,
  forgottenChanges,
  ownerIndexChange,
  proofParts,
  type StoredDeposit,
} from "../deposit-record.ts";
import { newestDue } from "../dues.ts";
import { newerGrants } from "../grant-record.ts";
import type { CustodyProvider } from "../provider.ts";
import { before, changeRecordChange, findChange, namesOf, noChangeChange, type StoredChange } from "./change-record.ts";

export async function retire(provider: CustodyProvider, body: CborValue, context: Context): Promise<CborValue> {
  const { proof } = parseShape(retireShape, body, "retire");
  const checked = readChangeProof(proof);
  requireInTime(provider, checked.change, context.from);
  await complete(provider, proof, checked);
  return { retired: ownRetired(provider, checked.change) };
}

/** After its time an owner cannot end a change any more, because some may have given it up; a provider tells what was ended in time. */
function requireInTime(provider: CustodyProvider, { round, next }: ChangeTerms, from: PeerName): void {
  const isProvider =
    next.roster.includes(from) || round.summands.some(({ members }) => members.some(({ peer }) => peer === from));
  if (isProvider || provider.clock.nowMs() <= round.expiresAtMs + CLOCK_SKEW_MS) return;
  throw new IntercloudError("CHANGE_EXPIRED", "expired", "the time of this change is over; ask for a new one");
}

/** Completes the last change of a deposit here if we missed that. Without a share of it we stay as we are: the next change, or a repair, takes us along. */
export async function catchUp(provider: CustodyProvider, { parts, change }: CheckedProof): Promise<void> {
  if (parts.change === null || change === undefined) return;
  try {
    await complete(provider, parts.change, change);
  } catch (error) {
    if (!(error instanceof IntercloudError) || error.code !== "NO_SUCH_CHANGE") throw error;
  }
}

/** Done already is fine. @throws IntercloudError NOT_THE_OWNER, NO_SUCH_CHANGE, NOT_HELD. */
export async function complete(provider: CustodyProvider, proof: Uint8Array, { change }: CheckedChange): Promise<void> {
  if (await isToLeave(provider, change)) await requireHeld(provider, change);
  await withDeal(provider.store, change.next.manifest.dealId, async () => {
    const deposit = await findDeposit(provider.store, change.tokenId);
    const stays = change.next.roster.includes(provider.transport.peer);
    if (deposit !== undefined && deposit.placement.generation >= change.next.generation) return;
    if (deposit === undefined && !stays) return;
    // We may have missed generations in between, so this is all that it has to fit.
    if (deposit !== undefined && deposit.terms.token.owner !== change.owner) {
      throw new IntercloudError("NOT_THE_OWNER", "refused", "only the owner may change where a deposit is kept");
    }
    const keeps = keepersOf(change.next).includes(provider.transport.peer);
    const changes = stays
      ? await joining(provider, proof, change, deposit)
      : [
          ...(await leaving(provider, deposit!)),
          ...(await newestDue(provider.store, change.tokenId, proof, [])),
          auditChange({ kind: "left", ...namesOf(change) }),
        ];
    if (deposit === undefined) await provider.store.commit(changes);
    else await leaveOld(provider, deposit, changes, keeps);
    provider.observe({ kind: stays ? "changed" : "moved-away", tokenId: change.tokenId });
    if (keeps) provider.announce(change.tokenId);
  });
}

async function isToLeave({ store, transport }: CustodyProvider, { tokenId, next }: ChangeTerms): Promise<boolean> {
  if (next.roster.includes(transport.peer)) return false;
  const deposit = await findDeposit(store, tokenId);
  return deposit !== undefined && deposit.placement.generation < next.generation;
}

/**
 * Before a share goes that will never come back: as many as can read the deposit must say that they hold it where it went, or that it was
 * destroyed there. Somebody who
 * kept the owner's last word back until the others had given the new generation up shows us the truth, and too late.
 */
async function requireHeld(provider: CustodyProvider, { tokenId, digest, next }: ChangeTerms): Promise<void> {
  const options = { timeoutMs: ASK_TIMEOUT_MS };
  const enough = Promise.withResolvers<void>();
  let holding = 0;
  const asked = next.roster.map(async (peer) => {
    try {
      const body = { tokenId, change: digest };
      const answer = await provider.transport.ask(peer, CUSTODY_PROTOCOL, "change-status", body, options);
      const { state } = parseShape(changeStatusAnswerShape, answer, "answer about a change");
      // What its owner has destroyed nobody needs to hold.
      if (state === "active" || state === "completed" || state === "destroyed") holding += 1;
      if (holding >= next.manifest.threshold) enough.resolve();
    } catch {
      // who does not answer does not count
    }
  });
  await Promise.race([enough.promise, Promise.all(asked)]);
  if (holding >= next.manifest.threshold) return;
  const message = "too few of those that the deposit went to say that they have it; tell us again when they are up";
  throw new IntercloudError("NOT_HELD", "unreachable", message, { answered: holding, needed: next.manifest.threshold });
}

/** What forgets a deposit that goes away. Another change that would bring it back goes on without our record of it. */
async function leaving({ store }: CustodyProvider, deposit: StoredDeposit): Promise<Change[]> {
  const { tokenId } = deposit.terms;
  const changes = await forgottenChanges(store, deposit);
  const other = await findChange(store, tokenId);
  const parts = proofParts(deposit.record);
  if (other === undefined || other.record.proof !== null || parts === undefined) return changes;
  return [...changes, changeRecordChange(tokenId, { ...other.record, proof: encodeProof(parts) })];
}

/** The commit that forgets the old seed is the one that names the new generation: there is nothing in between. */
export async function leaveOld(
  provider: CustodyProvider,
  deposit: StoredDeposit,
  changes: readonly Change[],
  keepsEnvelope: boolean,
): Promise<void> {
  const { placement, terms } = deposit;
  await withDeal(provider.store, placement.manifest.dealId, () =>
    burnDeal(provider.store, placement.manifest.dealId, changes),
  );
  await provider.store.bodies.remove(ciphertextName(terms.tokenId, placement.generation));
  if (!keepsEnvelope) await provider.store.bodies.remove(envelopeName(terms.tokenId));
}

/** What makes the new generation the deposit's. */
async function joining(
  provider: CustodyProvider,
  proof: Uint8Array,
  change: ChangeTerms,
  deposit: StoredDeposit | undefined,
): Promise<Change[]> {
  const stored = await findChange(provider.store, change.tokenId);
  const deal = await loadHeldDeal(provider.store, change.next.manifest.dealId);
  if (
    stored?.record.state !== "active" ||
    !equalBytes(stored.change.digest, change.digest) ||
    deal?.state !== "bound"
  ) {
    const text = "we have not prepared this change, or have given it up; repair the deposit";
    throw new IntercloudError("NO_SUCH_CHANGE", "not-found", text);
  }
  const { record, terms } = deposit ?? origin(stored);
  const { holdsCiphertext, envelope, storedBytes } = stored.record;
  const isHome = change.next.roster[0] === provider.transport.peer;
  const left = isHome ? (await before(provider.store, stored)).placement.roster : [];
  const others = left.filter((peer) => peer !== provider.transport.peer);
  return [
    auditChange({ kind: "changed", ...namesOf(change), dealId: deal.dealId }),
    heldDealChange({ ...deal, state: "sealed" }),
    closedDealChange(deal.dealId),
    depositChange(change.tokenId, { ...record, change: proof, holdsCiphertext, envelope, storedBytes }),
    ownerIndexChange(terms, storedBytes),
    noChangeChange(change.tokenId),
    ...(await newerGrants(provider.store, change.tokenId, stored.record.grants)),
    ...(await newestDue(provider.store, change.tokenId, proof, others)),
  ];
}

/** The record of a deposit that is new to us, from the proof that came along. */
function origin({ record }: StoredChange): Pick<StoredDeposit, "record" | "terms"> {
  const { terms, parts } = readProof(record.proof ?? new Uint8Array());
  const deposit: DepositRecord = {
    ...{ version: 1, state: "sealed", request: parts.request, manifest: parts.manifest, ownLink: null },
    ...{ links: [...parts.links], keeping: parts.keeping, closing: parts.closing, change: null },
    ...{ holdsCiphertext: false, envelope: null, storedBytes: 0, received: null },
  };
  return { record: deposit, terms };
}

function ownRetired(provider: CustodyProvider, change: ChangeTerms): Uint8Array {
  return signStatement(
    {
      ...{ kind: "retired", version: 1, tokenId: change.tokenId, generation: change.next.generation },
      ...{ change: change.digest, peer: provider.transport.peer, timeMs: provider.clock.nowMs() },
    },
    provider.signer,
  );
}
