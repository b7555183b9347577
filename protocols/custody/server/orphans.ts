/** Removes ciphertexts that belong to nothing: a crash in the middle of a burn or a change leaves them. */
import { findChange } from "./change/change-record.ts";
import { ciphertextName, findDeposit, tokenIdOfCiphertext } from "./deposit-record.ts";
import type { CustodyProvider } from "./provider.ts";

/** To be called at start, while nothing comes in. */
export async function removeOrphans({ store }: CustodyProvider): Promise<void> {
  for await (const name of store.bodies.names()) {
    const tokenId = tokenIdOfCiphertext(name);
    if (tokenId === undefined) continue;
    const generations = [
      (await findDeposit(store, tokenId))?.placement.generation,
      (await findChange(store, tokenId))?.change.next.generation,
    ];
    const belongs = generations.some((each) => each !== undefined && name === ciphertextName(tokenId, each));
    if (!belongs) await store.bodies.remove(name);
  }
}
