/**
 * What a provider keeps about a deposit, beside the deal that it is on. bound -> linked -> sealed; whatever is not sealed in
 * time is burnt with its deal. An index by owner is kept for sealed deposits only.
 */
import * as v from "valibot";
import { type AuditEvent, auditChange } from "../../audit/index.ts";
import { digestOf } from "../../crypto/digest.ts";
import { burnDeal, hexOf, idOfHex } from "../../dealing/held-deal.ts";
import { checkKeptRequest } from "../../identity/request.ts";
import { MAX_PROVIDERS, TOKEN_ID_BYTES } from "../../rounds/constants.ts";
import type { Change, Store } from "../../storage/index.ts";
import { MAX_LINK_BYTES, MAX_MANIFEST_BYTES } from "../../tokens/constants.ts";
import { type CborValue, decodeCanonical, encodeCanonical } from "../../wire/codec.ts";
import { IntercloudError } from "../../wire/errors.ts";
import { boundedBytes, integer, parseShape } from "../../wire/shape.ts";
import { readChangeProof } from "../change/change-proof.ts";
import { MAX_CHANGE_PROOF_BYTES, MAX_PROOF_BYTES } from "../constants.ts";
import type { DepositTerms } from "../deposit-terms.ts";
import { type KeptEnvelope, keptEnvelopeShape } from "../kept-envelope.ts";
import { keptTerms } from "../kept-terms.ts";
import { closingContentShape, receivedShape } from "../messages.ts";
import { originPlacement, type Placement } from "../placement.ts";
import type { Proof } from "../proof.ts";
import { forgottenGrants } from "./grant-record.ts";
import { type LotItem, loadLotProof, lotItemShape } from "./lot/lot-record.ts";

const recordShape = v.strictObject({
  version: v.literal(1),
  state: v.picklist(["bound", "linked", "sealed"]),
  /** The owner's signed request and the signed manifest. */
  request: boundedBytes(MAX_PROOF_BYTES),
  manifest: boundedBytes(MAX_MANIFEST_BYTES),
  /** The link that we signed. */
  ownLink: v.nullable(boundedBytes(2 * MAX_LINK_BYTES)),
  /** The whole chain, once it is known. */
  links: v.pipe(v.array(boundedBytes(2 * MAX_LINK_BYTES)), v.maxLength(MAX_PROVIDERS)),
  keeping: v.nullable(boundedBytes(64 * MAX_LINK_BYTES)),
  closing: v.nullable(boundedBytes(MAX_PROOF_BYTES)),
  /** The proof of the last refresh or move; null while the deposit is where the token says. */
  change: v.nullable(boundedBytes(MAX_CHANGE_PROOF_BYTES)),
  /** Whether the ciphertext is here, synced. */
  holdsCiphertext: v.boolean(),
  /** A keeper's own sum of a short deposit, until it is held against what home says. */
  received: v.nullable(receivedShape),
  /** The envelope that is here, synced; null when none is. */
  envelope: v.nullable(keptEnvelopeShape),
  /** Bytes on disk that count against the owner's quota. */
  storedBytes: integer(0, Number.MAX_SAFE_INTEGER),
});

export type DepositRecord = Readonly<v.InferOutput<typeof recordShape>>;

const storedShape = v.union([recordShape, lotItemShape]);

export interface StoredDeposit {
  readonly record: DepositRecord;
  readonly terms: DepositTerms;
  /** Where it is now. */
  readonly placement: Placement;
}

const RECORD_PREFIX = "deposit/";

const CIPHERTEXT_PREFIX = "ciphertext-";
const ENVELOPE_PREFIX = "envelope-";

/** Each generation has a ciphertext of its own. */
export function ciphertextName(tokenId: Uint8Array, generation = 0): string {
  return `${CIPHERTEXT_PREFIX}${hexOf(tokenId)}${generation === 0 ? "" : `-${generation}`}`;
}

/** Undefined for a body that is no ciphertext. */
export function tokenIdOfCiphertext(name: string): Uint8Array | undefined {
  if (!name.startsWith(CIPHERTEXT_PREFIX)) return undefined;
  return idOfHex(name.slice(CIPHERTEXT_PREFIX.length, CIPHERTEXT_PREFIX.length + 2 * TOKEN_ID_BYTES));
}

/** All generations have the same. */
export function envelopeName(tokenId: Uint8Array): string {
  return ENVELOPE_PREFIX + hexOf(tokenId);
}

/** Undefined for a body that is no envelope. */
export function tokenIdOfEnvelope(name: string): Uint8Array | undefined {
  return name.startsWith(ENVELOPE_PREFIX) ? idOfHex(name.slice(ENVELOPE_PREFIX.length)) : undefined;
}

/** The envelope that belongs to a sealed deposit, by the owner's word, whether it is here or not. */
export function envelopeOf({ record, terms }: Pick<StoredDeposit, "record" | "terms">): KeptEnvelope | null {
  if (terms.token.policy.form !== "envelope" || record.closing === null) return null;
  const { content } = checkKeptRequest(record.closing, "deposit");
  return parseShape(closingContentShape, content, "closing request").envelope;
}

export function depositChange(tokenId: Uint8Array, record: DepositRecord): Change {
  return { kind: "put", key: RECORD_PREFIX + hexOf(tokenId), value: encodeCanonical(record as CborValue) };
}

/** @throws IntercloudError NO_SUCH_DEPOSIT. */
export async function loadDeposit(store: Store, tokenId: Uint8Array): Promise<StoredDeposit> {
  const deposit = await findDeposit(store, tokenId);
  if (deposit !== undefined) return deposit;
  throw noSuchDeposit();
}

export function noSuchDeposit(): IntercloudError {
  const text = "there is no such deposit here; it may be at another provider";
  return new IntercloudError("NO_SUCH_DEPOSIT", "not-found", text);
}

export async function findDeposit(store: Store, tokenId: Uint8Array): Promise<StoredDeposit | undefined> {
  const value = await store.get(RECORD_PREFIX + hexOf(tokenId));
  return value && stored(await readRecord(store, value));
}

async function readRecord(store: Store, value: Uint8Array): Promise<DepositRecord> {
  const record = readStored(value);
  return "lot" in record ? await ordinaryRecord(store, record) : record;
}

function readStored(value: Uint8Array): DepositRecord | LotItem {
  return parseShape(storedShape, decodeCanonical(value), "deposit record");
}

/** Of a deposit that came in a lot. */
async function ordinaryRecord(store: Store, item: LotItem): Promise<DepositRecord> {
  const proof = await loadLotProof(store, item);
  const { holdsCiphertext, storedBytes } = item;
  const ownLink = proof.links[item.point - 1]!;
  const state = { version: 1, state: "sealed", received: null, envelope: null } as const;
  return { ...proof, ...state, ownLink, holdsCiphertext, storedBytes };
}

/** The record of a deposit that came in a lot, until something about it changes. */
export function lotItemChange(tokenId: Uint8Array, item: LotItem): Change {
  return { kind: "put", key: RECORD_PREFIX + hexOf(tokenId), value: encodeCanonical(item) };
}

/** Its place in the lot; undefined when it is gone, or has a record of its own by now. */
export async function findLotItem(store: Store, tokenId: Uint8Array): Promise<LotItem | undefined> {
  const value = await store.get(RECORD_PREFIX + hexOf(tokenId));
  const record = value && readStored(value);
  return record !== undefined && "lot" in record ? record : undefined;
}

/** What forgets a deposit of a lot that did not become one, but for its deal. */
export function forgottenItemChanges(owner: string, tokenId: Uint8Array): Change[] {
  return [RECORD_PREFIX + hexOf(tokenId), ownerKey(owner, tokenId)].map((key) => ({ kind: "delete", key }));
}

function stored(record: DepositRecord): StoredDeposit {
  const terms = keptTerms(record.request, record.manifest);
  const placement =
    record.change === null ? originPlacement(terms, record.keeping) : readChangeProof(record.change).placement;
  return { record, terms, placement };
}

/** What a proof of the deposit is made of; undefined while it is not sealed. */
export function proofParts({
  state,
  request,
  manifest,
  links,
  keeping,
  closing,
  change,
}: DepositRecord): Proof | undefined {
  if (state !== "sealed" || keeping === null || closing === null) return undefined;
  return { request, manifest, links, keeping, closing, change };
}

/** Removes the files of one generation, and the envelope. */
export async function removeFiles(store: Store, tokenId: Uint8Array, generation = 0): Promise<void> {
  await store.bodies.remove(ciphertextName(tokenId, generation));
  await store.bodies.remove(envelopeName(tokenId));
}

/**
 * Forgets a deposit: seed, correction, ciphertext, envelope, grants and record. The deal's id stays burnt for ever, and so does the event.
 * @param event what the audit log says about it.
 * @param also changes to commit in the same batch.
 */
export async function burnDeposit(
  store: Store,
  deposit: StoredDeposit,
  event: AuditEvent,
  also: readonly Change[] = [],
): Promise<void> {
  const { terms, placement } = deposit;
  const forgotten = await forgottenChanges(store, deposit);
  await burnDeal(store, placement.manifest.dealId, [auditChange(event), ...forgotten, ...also]);
  await removeFiles(store, terms.tokenId, placement.generation);
}

/** What forgets all records of a deposit but that of its deal. */
export async function forgottenChanges(store: Store, { terms, record }: StoredDeposit): Promise<Change[]> {
  const { tokenId, token } = terms;
  const changes = await forgottenGrants(store, tokenId);
  changes.push({ kind: "delete", key: RECORD_PREFIX + hexOf(tokenId) });
  if (record.state === "sealed") changes.push({ kind: "delete", key: ownerKey(token.owner, tokenId) });
  return changes;
}

/** Lists a sealed deposit under its owner. */
export function ownerIndexChange({ token, tokenId }: DepositTerms, storedBytes: number): Change {
  return ownedChange(token.owner, tokenId, storedBytes);
}

export function ownedChange(owner: string, tokenId: Uint8Array, storedBytes: number): Change {
  return { kind: "put", key: ownerKey(owner, tokenId), value: encodeCanonical(storedBytes) };
}

/** Token ids of an owner's sealed deposits here, in order, with the bytes that each takes. */
export async function* ownedTokens(store: Store, owner: string): AsyncIterable<readonly [Uint8Array, number]> {
  const prefix = ownerPrefix(owner);
  for await (const [key, value] of store.entries(prefix)) {
    yield [idOfHex(key.slice(prefix.length)), decodeCanonical(value) as number];
  }
}

/** All sealed deposits in the order of their ids, from the one behind `after` on. */
export async function* sealedDeposits(store: Store, after: Uint8Array | null): AsyncIterable<StoredDeposit> {
  for await (const [key, value] of store.entries(RECORD_PREFIX)) {
    if (after !== null && key <= RECORD_PREFIX + hexOf(after)) continue;
    const record = await readRecord(store, value);
    if (record.state === "sealed") yield stored(record);
  }
}

/** Reads all records. Of those that are not sealed, whatever their age: see `unsealedDeposits`. */
export async function* unsealedIds(store: Store): AsyncIterable<Uint8Array> {
  for await (const [key, value] of store.entries(RECORD_PREFIX)) {
    const record = readStored(value);
    if (!("lot" in record) && record.state !== "sealed") yield idOfHex(key.slice(RECORD_PREFIX.length));
  }
}

function ownerKey(owner: string, tokenId: Uint8Array): string {
  return ownerPrefix(owner) + hexOf(tokenId);
}

function ownerPrefix(owner: string): string {
  return `owner/${hexOf(digestOf("intercloud/owner-index/v1", Buffer.from(owner, "utf8")))}/`;
}
