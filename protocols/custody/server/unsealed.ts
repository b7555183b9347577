/**
 * Which deposits are not sealed yet. The sweeps look for them every minute, and a provider keeps many more that are sealed; so they are
 * remembered by their ids, and all records are read once only, at the first sweep.
 */
import { hexOf, idOfHex } from "../../dealing/held-deal.ts";
import type { Store } from "../../storage/index.ts";
import { findDeposit, type StoredDeposit, unsealedIds } from "./deposit-record.ts";

interface Remembered {
  /** All that are not sealed, and some that are gone. */
  readonly ids: Set<string>;
  /** Those that were here before this process. */
  reading: Promise<void> | undefined;
}

const byStore = new WeakMap<Store, Remembered>();

function rememberedOf(store: Store): Remembered {
  const remembered = byStore.get(store) ?? { ids: new Set<string>(), reading: undefined };
  byStore.set(store, remembered);
  return remembered;
}

/** To be called for every deposit that is bound, as soon as it may be in the store. */
export function rememberUnsealed(store: Store, tokenId: Uint8Array): void {
  rememberedOf(store).ids.add(hexOf(tokenId));
}

/** It is sealed. One that is burnt need not be told of: the next sweep finds nothing. */
export function forgetUnsealed(store: Store, tokenId: Uint8Array): void {
  byStore.get(store)?.ids.delete(hexOf(tokenId));
}

async function readAll(store: Store, { ids }: Remembered): Promise<void> {
  for await (const tokenId of unsealedIds(store)) ids.add(hexOf(tokenId));
}

/** All deposits that are not sealed, whatever their age. */
export async function* unsealedDeposits(store: Store): AsyncIterable<StoredDeposit> {
  const remembered = rememberedOf(store);
  remembered.reading ??= readAll(store, remembered).catch((error: unknown) => {
    remembered.reading = undefined;
    throw error;
  });
  await remembered.reading;
  for (const id of [...remembered.ids]) {
    const deposit = await findDeposit(store, idOfHex(id));
    if (deposit === undefined || deposit.record.state === "sealed") remembered.ids.delete(id);
    else yield deposit;
  }
}
