/** What a provider's custody needs from outside. All of it is passed in. */
import type { Entropy } from "../../crypto/entropy.ts";
import type { AgreementKey } from "../../crypto/key-agreement.ts";
import type { Signer } from "../../crypto/signing.ts";
import type { ReplayGuard } from "../../identity/replay-guard.ts";
import type { RoundTools } from "../../rounds/layer.ts";
import type { Store } from "../../storage/index.ts";
import type { Clock } from "../../wire/clock.ts";
import type { PeerName, Transport } from "../../wire/transport.ts";

export interface CustodyProvider {
  readonly transport: Transport;
  readonly store: Store;
  readonly clock: Clock;
  readonly entropy: Entropy;
  /** Signs links; its public key is the peer's. */
  readonly signer: Signer;
  /** Agrees on mask keys with users. */
  readonly agreementKey: AgreementKey;
  readonly tools: RoundTools;
  readonly replayGuard: ReplayGuard;
  /** X25519 keys of the federation's providers, for masks in rounds among providers. */
  agreementKeyOf(peer: PeerName): Uint8Array | undefined;
  /** Dealers of the federation, whose manifests may be bound. */
  isDealer(peer: PeerName): boolean;
  /** Room on the disk that holds bodies. */
  freeBytes(): Promise<number>;
  /** Where the ciphertext of a deposit may be: a hint from the DHT, never the truth. */
  locate(tokenId: Uint8Array, signal: AbortSignal): Promise<readonly PeerName[]>;
  /** Tells the DHT that we keep the ciphertext of a deposit. Returns at once. */
  announce(tokenId: Uint8Array): void;
  readonly limits: CustodyLimits;
  readonly observe: (event: CustodyEvent) => void;
}

export interface CustodyLimits {
  /** Bytes of ciphertext and corrections that one owner may have here. */
  readonly maxOwnerBytes: number;
  readonly maxMessageBytes: number;
}

/** What the node logs and counts. No secrets, no text from a peer. */
export type CustodyEvent =
  | {
      readonly kind: "bound" | "linked" | "sealed" | "burnt" | "copied" | "kept-envelope";
      readonly tokenId: Uint8Array;
    }
  | {
      readonly kind: "change-prepared" | "change-active" | "change-dropped" | "changed" | "moved-away" | "repaired";
      readonly tokenId: Uint8Array;
    }
  | { readonly kind: "granted" | "revoked" | "destroyed"; readonly tokenId: Uint8Array }
  | { readonly kind: "served"; readonly tokenId: Uint8Array; readonly lengthBytes: number };
