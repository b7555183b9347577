/** The owner's newest signed list of grants of a deposit, kept beside its record, and an index by grantee. */
import * as v from "valibot";
import { auditChange } from "../../audit/index.ts";
import { digestOf } from "../../crypto/digest.ts";
import { hexOf, idOfHex } from "../../dealing/held-deal.ts";
import type { Change, Store } from "../../storage/index.ts";
import { decodeCanonical, encodeCanonical } from "../../wire/codec.ts";
import { boundedBytes, parseShape } from "../../wire/shape.ts";
import { MAX_GRANT_LIST_BYTES } from "../constants.ts";
import { compareGrants, readKeptGrants, type SignedGrantList } from "../grants.ts";

const recordShape = v.strictObject({ version: v.literal(1), request: boundedBytes(MAX_GRANT_LIST_BYTES) });

export async function loadGrants(store: Store, tokenId: Uint8Array): Promise<SignedGrantList | undefined> {
  const value = await store.get(recordKey(tokenId));
  return value && readKeptGrants(parseShape(recordShape, decodeCanonical(value), "grant record").request);
}

/** What replaces one list by another. */
export function grantsChanges(before: SignedGrantList | undefined, after: SignedGrantList): Change[] {
  const { tokenId, grants } = after.list;
  const record = encodeCanonical({ version: 1, request: after.request });
  return [
    auditChange({
      kind: "grants",
      tokenId,
      identity: after.owner,
      version: after.list.version,
      granted: grants.length,
    }),
    ...indexGone(before),
    ...grants.map(({ identity }): Change => ({ kind: "put", key: indexKey(identity, tokenId), value: NOTHING })),
    { kind: "put", key: recordKey(tokenId), value: record },
  ];
}

/** What takes a list that came with the deposit itself, unless there is a newer one. */
export async function newerGrants(store: Store, tokenId: Uint8Array, request: Uint8Array | null): Promise<Change[]> {
  if (request === null) return [];
  const [before, offered] = [await loadGrants(store, tokenId), readKeptGrants(request)];
  return before === undefined || compareGrants(offered.list, before.list) > 0 ? grantsChanges(before, offered) : [];
}

/** What removes a deposit's list and all that points to it. */
export async function forgottenGrants(store: Store, tokenId: Uint8Array): Promise<Change[]> {
  const kept = await loadGrants(store, tokenId);
  return kept === undefined ? [] : [...indexGone(kept), { kind: "delete", key: recordKey(tokenId) }];
}

/** Token ids of the deposits whose lists name an identity, in order. Its grant may have expired. */
export async function* tokensGrantedTo(store: Store, identity: string): AsyncIterable<Uint8Array> {
  const prefix = indexPrefix(identity);
  for await (const [key] of store.entries(prefix)) yield idOfHex(key.slice(prefix.length));
}

const NOTHING = encodeCanonical(null);

function indexGone(before: SignedGrantList | undefined): Change[] {
  if (before === undefined) return [];
  const { tokenId, grants } = before.list;
  return grants.map(({ identity }) => ({ kind: "delete", key: indexKey(identity, tokenId) }));
}

function recordKey(tokenId: Uint8Array): string {
  return `grant/${hexOf(tokenId)}`;
}

function indexKey(identity: string, tokenId: Uint8Array): string {
  return indexPrefix(identity) + hexOf(tokenId);
}

function indexPrefix(identity: string): string {
  return `grantee/${hexOf(digestOf("intercloud/grantee-index/v1", Buffer.from(identity, "utf8")))}/`;
}
