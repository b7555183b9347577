/** The node's keys, derived from the one seed in its key file. */
import { type AgreementKey, agreementKeyFromSeed, deriveKey } from "../protocols/crypto/key-agreement.ts";
import { type Signer, signerFromSeed } from "../protocols/crypto/signing.ts";

export interface NodeKeys {
  /** The Ed25519 private key of the libp2p peer. */
  readonly peerSeed: Uint8Array;
  /** The same key; it signs links and the descriptor. */
  readonly signer: Signer;
  /** Users agree on masks with it, dealers seal seeds to it. */
  readonly agreementKey: AgreementKey;
  /** Everything in the store is sealed under it. */
  readonly storeKey: Uint8Array;
  /** The keys of the events in the audit log come from it. */
  readonly auditKey: Uint8Array;
}

export function nodeKeys(seed: Uint8Array): NodeKeys {
  const derive = (use: string) => deriveKey(seed, new Uint8Array(), `intercloud/${use}/v1`);
  const peerSeed = derive("peer-key");
  return {
    peerSeed,
    signer: signerFromSeed(peerSeed),
    agreementKey: agreementKeyFromSeed(derive("agreement-key")),
    storeKey: derive("store-key"),
    auditKey: derive("audit-key"),
  };
}
