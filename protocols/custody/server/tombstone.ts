/** What stays of a deposit that was destroyed here: enough to tell its owner so, with the receipt that we signed. */
import { hexOf } from "../../dealing/held-deal.ts";
import type { Change, Store } from "../../storage/index.ts";
import type { CborValue } from "../../wire/codec.ts";
import { type CheckedDestroyed, type Destroyed, encodeDestroyed, readDestroyed } from "../destroyed.ts";

function tombstoneKey(tokenId: Uint8Array): string {
  return `destroyed/${hexOf(tokenId)}`;
}

export function tombstoneChange(tokenId: Uint8Array, destroyed: Destroyed): Change {
  return { kind: "put", key: tombstoneKey(tokenId), value: encodeDestroyed(destroyed), isTrace: true };
}

export async function loadTombstone(store: Store, tokenId: Uint8Array): Promise<CheckedDestroyed | undefined> {
  const value = await store.get(tombstoneKey(tokenId));
  return value && readDestroyed(value);
}

/** Undefined when it was not destroyed here, or belonged to somebody else: to others it is as if it had never been. */
export async function destroyedAnswer(
  store: Store,
  tokenId: Uint8Array,
  identity: string,
): Promise<CborValue | undefined> {
  const found = await loadTombstone(store, tokenId);
  return found?.token.owner === identity ? { destroyed: encodeDestroyed(found.bytes) } : undefined;
}
