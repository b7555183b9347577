/** Which ciphertexts are here, by the files that hold them. */
import { ciphertextName } from "../protocols/custody/server/deposit-record.ts";
import type { Store } from "../protocols/storage/index.ts";

const PREFIX = ciphertextName(new Uint8Array());

/** Token ids. One that is not sealed yet may be among them: what is announced is a hint only. */
export async function* keptCiphertexts(store: Store): AsyncIterable<Uint8Array> {
  for await (const name of store.bodies.names()) {
    if (name.startsWith(PREFIX)) yield new Uint8Array(Buffer.from(name.slice(PREFIX.length), "hex"));
  }
}
