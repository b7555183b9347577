/** The dealer's two keys, derived from the one seed in its key file. */
import { type AgreementKey, agreementKeyFromSeed, deriveKey } from "../protocols/crypto/key-agreement.ts";
import { type Signer, signerFromSeed } from "../protocols/crypto/signing.ts";

export interface DealerKeys {
  /** The Ed25519 private key of the libp2p peer. */
  readonly peerSeed: Uint8Array;
  /** The same key; it signs manifests and the descriptor. */
  readonly signer: Signer;
  readonly agreementKey: AgreementKey;
}

export function dealerKeys(seed: Uint8Array): DealerKeys {
  const derive = (use: string) => deriveKey(seed, new Uint8Array(), `intercloud/${use}/v1`);
  const peerSeed = derive("peer-key");
  return {
    peerSeed,
    signer: signerFromSeed(peerSeed),
    agreementKey: agreementKeyFromSeed(derive("agreement-key")),
  };
}
