/** One deal from its seeds to the signed manifest, by whoever deals: a dealer of the federation, or a user for itself. Nothing of it is ever written to disk here. */
import type { Entropy } from "../crypto/entropy.ts";
import type { Keystream } from "../crypto/keystream.ts";
import { peerNameOf } from "../crypto/peer-name.ts";
import { sealTo } from "../crypto/sealed-box.ts";
import type { Signer } from "../crypto/signing.ts";
import type { FieldKernel } from "../field/index.ts";
import { DEAL_ID_BYTES } from "../rounds/constants.ts";
import { shareDigest, userShareDigest } from "../rounds/share.ts";
import type { Clock } from "../wire/clock.ts";
import type { Transport } from "../wire/transport.ts";
import { type Deal, dealShares } from "./deal.ts";
import {
  type Authorize,
  deliverAll,
  forgetAll,
  type HandOutOptions,
  type Recipient,
  sendCorrections,
} from "./hand-out.ts";
import { type ManifestEntry, signManifest } from "./manifest.ts";
import { sealedSeedContext } from "./messages.ts";
import { isCorrected } from "./points.ts";
import { createShareDigests, type ShareDigests } from "./share-digests.ts";

export interface MakeDealOptions {
  readonly transport: Transport;
  /** Signs the manifest, which names its key as the dealer. */
  readonly signer: Signer;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly keystream: Keystream;
  readonly kernel: FieldKernel;
  readonly threshold: number;
  readonly lengthBytes: number;
  readonly recipients: readonly Recipient[];
  readonly lifetimeMs: number;
  /** Shows the providers in whose name we deal, when that is not our peer's. */
  readonly authorize?: Authorize | undefined;
  readonly signal: AbortSignal;
  readonly onProgress: (dealtBytes: number) => void;
}

export interface MadeDeal {
  readonly dealId: Uint8Array;
  /** The signed bytes. */
  readonly manifestBytes: Uint8Array;
  /** To be copied: it is overwritten when `use` is done. */
  readonly userSeed: Uint8Array;
}

/**
 * Draws a deal, hands it out and lends it to `use` once every provider has its share on disk. Whatever happens, no seed outlives this
 * function; when it fails, also in `use`, the providers are asked to forget the deal.
 * @throws IntercloudError PROVIDERS_FAILED, BAD_THRESHOLD, and what `use` throws.
 */
export async function makeDeal<T>(options: MakeDealOptions, use: (made: MadeDeal) => Promise<T>): Promise<T> {
  const { transport, entropy, threshold, lengthBytes, recipients, authorize, signal } = options;
  const dealId = entropy(DEAL_ID_BYTES);
  const digests = createShareDigests(recipients.length);
  const deal = dealShares({ ...options, providers: recipients.length, onShare: digests.add });
  const sealedSeedOf = ({ point, agreementKey }: Recipient) =>
    sealTo(agreementKey, sealedSeedContext(dealId, point), deal.seeds[point - 1] as Uint8Array, entropy);
  const handOut: HandOutOptions = {
    ...{ transport, dealId, lengthBytes, threshold, recipients, sealedSeedOf, authorize, signal },
  };
  try {
    const corrections = await sendCorrections(handOut, deal, digests.digestOf, options.onProgress);
    const manifestBytes = signDeal(options, dealId, deal, digests);
    await deliverAll(handOut, manifestBytes, corrections);
    return await use({ dealId, manifestBytes, userSeed: deal.seeds[recipients.length] as Uint8Array });
  } catch (error) {
    deal.wipe();
    await forgetAll(handOut);
    throw error;
  } finally {
    deal.wipe();
  }
}

function signDeal(
  { threshold, lengthBytes, recipients, clock, lifetimeMs, signer }: MakeDealOptions,
  dealId: Uint8Array,
  deal: Deal,
  digests: ShareDigests,
): Uint8Array {
  const nowMs = clock.nowMs();
  const shares = deal.seeds.map((seed, index): ManifestEntry => {
    const point = index + 1;
    const corrected = isCorrected(point, threshold, recipients.length);
    const recipient = recipients[index];
    if (recipient === undefined) return { point, peer: "", digest: userShareDigest(dealId, point, seed), corrected };
    return { point, peer: recipient.peer, digest: shareDigest(dealId, point, digests.digestOf(point)), corrected };
  });
  return signManifest(
    {
      version: 1,
      dealId,
      dealer: peerNameOf(signer.publicKey),
      threshold,
      lengthBytes,
      pads: "derived",
      createdAtMs: nowMs,
      expiresAtMs: nowMs + lifetimeMs,
      shares,
    },
    signer,
  );
}
