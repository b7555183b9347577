/** Removes ciphertexts, envelopes and sums of lots that belong to nothing: a crash in the middle of a burn or a change leaves them. */
import { findChange } from "./change/change-record.ts";
import { ciphertextName, envelopeName, findDeposit, tokenIdOfCiphertext, tokenIdOfEnvelope } from "./deposit-record.ts";
import { isLinkedLot, lotIdOfSum } from "./lot/linked-lot.ts";
import type { CustodyProvider } from "./provider.ts";

/** To be called at start, while nothing comes in. */
export async function removeOrphans(provider: CustodyProvider): Promise<void> {
  for await (const name of provider.store.bodies.names()) {
    const tokenId = tokenIdOfCiphertext(name) ?? tokenIdOfEnvelope(name);
    if (tokenId !== undefined && !(await belongs(provider, name, tokenId))) await provider.store.bodies.remove(name);
    const lotId = lotIdOfSum(name);
    if (lotId !== undefined && !(await isLinkedLot(provider.store, lotId))) await provider.store.bodies.remove(name);
  }
}

/** All files of one deposit that belong to no generation of it. */
export async function removeOrphansOf(provider: CustodyProvider, tokenId: Uint8Array): Promise<void> {
  const first = ciphertextName(tokenId);
  for await (const name of provider.store.bodies.names()) {
    const isOf = name.startsWith(first) || name === envelopeName(tokenId);
    if (isOf && !(await belongs(provider, name, tokenId))) await provider.store.bodies.remove(name);
  }
}

async function belongs({ store }: CustodyProvider, name: string, tokenId: Uint8Array): Promise<boolean> {
  const deposit = await findDeposit(store, tokenId);
  const change = await findChange(store, tokenId);
  if (name === envelopeName(tokenId)) return [deposit, change].some((each) => (each?.record.envelope ?? null) !== null);
  const generations = [deposit?.placement.generation, change?.change.next.generation];
  return generations.some((each) => each !== undefined && name === ciphertextName(tokenId, each));
}
