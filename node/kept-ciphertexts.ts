/** Which ciphertexts are here, by the files that hold them. */
import { tokenIdOfCiphertext } from "../protocols/custody/server/deposit-record.ts";
import type { Store } from "../protocols/storage/index.ts";

/** Token ids. One that is not sealed yet may be among them: what is announced is a hint only. */
export async function* keptCiphertexts(store: Store): AsyncIterable<Uint8Array> {
  for await (const name of store.bodies.names()) {
    const tokenId = tokenIdOfCiphertext(name);
    if (tokenId !== undefined) yield tokenId;
  }
}
