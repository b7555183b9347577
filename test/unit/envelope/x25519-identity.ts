/** An X25519 identity as age writes it down, `AGE-SECRET-KEY-1...`: the published vectors need one, our product makes its own of a user's key. */
import { bech32 } from "@scure/base";
import { agreementKeyFromSeed } from "../../../protocols/crypto/key-agreement.ts";
import type { Stanza } from "../../../protocols/envelope/header.ts";
import { unwrapWithKey } from "../../../protocols/envelope/recipient.ts";

export function keyOfIdentity(identity: string) {
  return agreementKeyFromSeed(bech32.decodeToBytes(identity).bytes);
}

/** Undefined when none of the stanzas is for this identity. */
export function unwrapX25519(identity: string, stanzas: readonly Stanza[]): Uint8Array | undefined {
  return unwrapWithKey(keyOfIdentity(identity), stanzas);
}
