/** What a dealer has to know of its federation; asked anew each time, because members come and go. */
import type { PeerName } from "../wire/transport.ts";

export interface ProviderDirectory {
  /** The X25519 key that a provider's seeds are sealed to; undefined when this peer is not a provider of ours. */
  agreementKeyOf(peer: PeerName): Uint8Array | undefined;
}
