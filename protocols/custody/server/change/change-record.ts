/**
 * What a provider of the new generation keeps about a refresh or move that is under way. prepared -> active, and then the deposit
 * record takes its place; or it is given up, with the fresh deal.
 */
import * as v from "valibot";
import { auditChange } from "../../../audit/index.ts";
import { equalBytes } from "../../../crypto/digest.ts";
import { burnDeal, closedDealChange, hexOf, idOfHex, withDeal } from "../../../dealing/held-deal.ts";
import { checkKeptRequest } from "../../../identity/request.ts";
import type { Change, Store } from "../../../storage/index.ts";
import { type CborValue, decodeCanonical, encodeCanonical } from "../../../wire/codec.ts";
import { IntercloudError } from "../../../wire/errors.ts";
import { boundedBytes, integer, parseShape } from "../../../wire/shape.ts";
import { type ChangeTerms, readChange } from "../../change/change-terms.ts";
import { MAX_GRANT_LIST_BYTES, MAX_HOLDING_BYTES, MAX_PROOF_BYTES, MAX_STATEMENT_BYTES } from "../../constants.ts";
import { keptEnvelopeShape } from "../../kept-envelope.ts";
import { placementDigest } from "../../placement.ts";
import { type CheckedProof, readProof } from "../../proof.ts";
import { ciphertextName, envelopeName, envelopeOf, findDeposit, type StoredDeposit } from "../deposit-record.ts";
import type { CustodyProvider } from "../provider.ts";

const recordShape = v.strictObject({
  version: v.literal(1),
  /** active: we have promised to hold the new generation. */
  state: v.picklist(["prepared", "active"]),
  /** The owner's signed change request. */
  request: boundedBytes(MAX_PROOF_BYTES),
  /** The proof of the deposit as it is before the change, unless our own record of it is that. */
  proof: v.nullable(boundedBytes(MAX_PROOF_BYTES)),
  /** The owner's list of those who may read it, as it came along. */
  grants: v.nullable(boundedBytes(MAX_GRANT_LIST_BYTES)),
  /** The new home's statement, once it is known. */
  keeping: v.nullable(boundedBytes(2 * MAX_STATEMENT_BYTES)),
  /** Our own receipt, once we are active. */
  holding: v.nullable(boundedBytes(MAX_HOLDING_BYTES)),
  /** Whether the new ciphertext is here, synced. */
  holdsCiphertext: v.boolean(),
  /** The envelope, once it is here, synced, and if we are to keep it. */
  envelope: v.nullable(keptEnvelopeShape),
  storedBytes: integer(0, Number.MAX_SAFE_INTEGER),
});
export type ChangeRecord = Readonly<v.InferOutput<typeof recordShape>>;

export interface StoredChange {
  readonly record: ChangeRecord;
  readonly change: ChangeTerms;
}

const PREFIX = "change/";

export function changeRecordChange(tokenId: Uint8Array, record: ChangeRecord): Change {
  return { kind: "put", key: PREFIX + hexOf(tokenId), value: encodeCanonical(record as CborValue) };
}

export function noChangeChange(tokenId: Uint8Array): Change {
  return { kind: "delete", key: PREFIX + hexOf(tokenId) };
}

export async function findChange(store: Store, tokenId: Uint8Array): Promise<StoredChange | undefined> {
  const value = await store.get(PREFIX + hexOf(tokenId));
  if (value === undefined) return undefined;
  const record = parseShape(recordShape, decodeCanonical(value), "change record");
  return { record, change: readChange(record.request, checkKeptRequest(record.request, "change")) };
}

export async function changesUnderWay(store: Store): Promise<Uint8Array[]> {
  const tokenIds: Uint8Array[] = [];
  for await (const [key] of store.entries(PREFIX)) tokenIds.push(idOfHex(key.slice(PREFIX.length)));
  return tokenIds;
}

/** The change as we prepared it. @throws IntercloudError NO_SUCH_CHANGE. */
export async function loadChange({ store }: CustodyProvider, change: ChangeTerms): Promise<StoredChange> {
  const found = await findChange(store, change.tokenId);
  if (found !== undefined && equalBytes(found.change.digest, change.digest)) return found;
  throw new IntercloudError("NO_SUCH_CHANGE", "not-found", "we have not prepared this change, or have given it up");
}

/** Changes the record while nobody else does. @throws IntercloudError NO_SUCH_CHANGE. */
export async function advanceChange(
  provider: CustodyProvider,
  change: ChangeTerms,
  event: "change-active" | "change-kept",
  advance: (record: ChangeRecord) => ChangeRecord,
): Promise<ChangeRecord> {
  return await withDeal(provider.store, change.next.manifest.dealId, async () => {
    const { record } = await loadChange(provider, change);
    const next = advance(record);
    if (next !== record) {
      const trace = auditChange({ kind: event, ...namesOf(change) });
      // What we have promised to hold, we hold beyond the time of its deal.
      const closed = event === "change-active" ? [closedDealChange(change.next.manifest.dealId)] : [];
      await provider.store.commit([trace, changeRecordChange(change.tokenId, next), ...closed]);
    }
    return next;
  });
}

/** Nothing is begun after its time: those that wait for it have to know that it will not come any more. */
export function requireOpen(provider: CustodyProvider, { round }: ChangeTerms): void {
  if (provider.clock.nowMs() <= round.expiresAtMs) return;
  throw new IntercloudError("CHANGE_EXPIRED", "expired", "the time of this change is over; ask for a new one");
}

/** How the audit log names a change. */
export function namesOf({ tokenId, next, digest }: ChangeTerms) {
  return { tokenId, generation: next.generation, change: digest };
}

/** Gives the new generation up: its share first. Call it under `withDeal` of the fresh deal. */
export async function dropChange(store: Store, { change }: StoredChange, why: "abandoned" | "expired"): Promise<void> {
  const { dealId } = change.next.manifest;
  const trace = auditChange({ kind: "change-dropped", ...namesOf(change), dealId, why });
  await burnDeal(store, dealId, [trace, noChangeChange(change.tokenId)]);
  await store.bodies.remove(ciphertextName(change.tokenId, change.next.generation));
  const deposit = await findDeposit(store, change.tokenId);
  if ((deposit?.record.envelope ?? null) === null) await store.bodies.remove(envelopeName(change.tokenId));
}

/** Whether the deposit is here as it was when the owner asked for the change. We may have missed a change before it. */
export function isBefore(change: ChangeTerms, deposit: StoredDeposit | undefined): deposit is StoredDeposit {
  return deposit !== undefined && equalBytes(change.previous, placementDigest(change.tokenId, deposit.placement));
}

/** Where the deposit is before the change, by our own record or the proof that came along. */
export async function before(
  store: Store,
  { record, change }: StoredChange,
): Promise<Pick<CheckedProof, "terms" | "placement" | "envelope">> {
  const deposit = await findDeposit(store, change.tokenId);
  if (isBefore(change, deposit)) return { ...deposit, envelope: envelopeOf(deposit) };
  return readProof(record.proof ?? new Uint8Array());
}
