/**
 * What a provider keeps about a deposit, beside the deal that it is on. bound -> linked -> sealed; whatever is not sealed in
 * time is burnt with its deal. An index by owner is kept for sealed deposits only.
 */
import * as v from "valibot";
import { digestOf } from "../../crypto/digest.ts";
import { burnDeal, hexOf, idOfHex } from "../../dealing/held-deal.ts";
import { checkKeptRequest } from "../../identity/request.ts";
import { MAX_PROVIDERS } from "../../rounds/constants.ts";
import type { Change, Store } from "../../storage/index.ts";
import { MAX_LINK_BYTES, MAX_MANIFEST_BYTES } from "../../tokens/constants.ts";
import { type CborValue, decodeCanonical, encodeCanonical } from "../../wire/codec.ts";
import { IntercloudError } from "../../wire/errors.ts";
import { boundedBytes, integer, parseShape } from "../../wire/shape.ts";
import { MAX_PROOF_BYTES } from "../constants.ts";
import { type DepositTerms, readTerms } from "../deposit-terms.ts";
import { forgottenGrants } from "./grant-record.ts";

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
  /** Whether the ciphertext is here, synced. */
  holdsCiphertext: v.boolean(),
  /** Bytes on disk that count against the owner's quota. */
  storedBytes: integer(0, Number.MAX_SAFE_INTEGER),
});

export type DepositRecord = Readonly<v.InferOutput<typeof recordShape>>;

export interface StoredDeposit {
  readonly record: DepositRecord;
  readonly terms: DepositTerms;
}

const RECORD_PREFIX = "deposit/";

const CIPHERTEXT_PREFIX = "ciphertext-";

export function ciphertextName(tokenId: Uint8Array): string {
  return CIPHERTEXT_PREFIX + hexOf(tokenId);
}

/** Removes ciphertexts without a record: a crash in the middle of a burn leaves them. */
export async function removeOrphans(store: Store): Promise<void> {
  for await (const name of store.bodies.names()) {
    if (!name.startsWith(CIPHERTEXT_PREFIX)) continue;
    const record = await store.get(RECORD_PREFIX + name.slice(CIPHERTEXT_PREFIX.length));
    if (record === undefined) await store.bodies.remove(name);
  }
}

export function depositChange(tokenId: Uint8Array, record: DepositRecord): Change {
  return { kind: "put", key: RECORD_PREFIX + hexOf(tokenId), value: encodeCanonical(record as CborValue) };
}

/** @throws IntercloudError NO_SUCH_DEPOSIT. */
export async function loadDeposit(store: Store, tokenId: Uint8Array): Promise<StoredDeposit> {
  const deposit = await findDeposit(store, tokenId);
  if (deposit !== undefined) return deposit;
  throw new IntercloudError(
    "NO_SUCH_DEPOSIT",
    "not-found",
    "there is no such deposit here; it may be at another provider",
  );
}

export async function findDeposit(store: Store, tokenId: Uint8Array): Promise<StoredDeposit | undefined> {
  const value = await store.get(RECORD_PREFIX + hexOf(tokenId));
  return value === undefined ? undefined : stored(readRecord(value));
}

function readRecord(value: Uint8Array): DepositRecord {
  return parseShape(recordShape, decodeCanonical(value), "deposit record");
}

function stored(record: DepositRecord): StoredDeposit {
  return { record, terms: readTerms(checkKeptRequest(record.request, "deposit"), record.manifest) };
}

/** Forgets a deposit: seed, correction, ciphertext, grants and record. The deal's id stays burnt for ever. */
export async function burnDeposit(store: Store, deposit: StoredDeposit): Promise<void> {
  const { tokenId, manifest } = deposit.terms;
  await burnDeal(store, manifest.dealId, await forgottenChanges(store, deposit));
  await store.bodies.remove(ciphertextName(tokenId));
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
export function ownerIndexChange(terms: DepositTerms, storedBytes: number): Change {
  const value = encodeCanonical(storedBytes);
  return { kind: "put", key: ownerKey(terms.token.owner, terms.tokenId), value };
}

/** Token ids of an owner's sealed deposits here, in order, with the bytes that each takes. */
export async function* ownedTokens(store: Store, owner: string): AsyncIterable<readonly [Uint8Array, number]> {
  const prefix = ownerPrefix(owner);
  for await (const [key, value] of store.entries(prefix)) {
    yield [idOfHex(key.slice(prefix.length)), decodeCanonical(value) as number];
  }
}

/** All deposits that are not sealed, whatever their age. */
export async function* unsealedDeposits(store: Store): AsyncIterable<StoredDeposit> {
  for await (const [, value] of store.entries(RECORD_PREFIX)) {
    const record = readRecord(value);
    if (record.state !== "sealed") yield stored(record);
  }
}

function ownerKey(owner: string, tokenId: Uint8Array): string {
  return ownerPrefix(owner) + hexOf(tokenId);
}

function ownerPrefix(owner: string): string {
  return `owner/${hexOf(digestOf("intercloud/owner-index/v1", Buffer.from(owner, "utf8")))}/`;
}
