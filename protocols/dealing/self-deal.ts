/** A user deals for itself: what a dealer does, with its own randomness and straight to the providers. */
import type { Signer } from "../crypto/signing.ts";
import type { Session } from "../identity/tag.ts";
import type { FreshDeal } from "./client.ts";
import { DEAL_LIFETIME_MS } from "./constants.ts";
import type { MakeDealOptions } from "./make-deal.ts";
import { makeDeal } from "./make-deal.ts";
import { checkManifest } from "./manifest.ts";
import { selfRequests } from "./self-request.ts";

type Shared = "transport" | "clock" | "entropy" | "keystream" | "kernel" | "threshold" | "lengthBytes" | "recipients";

export interface SelfDealOptions extends Pick<MakeDealOptions, Shared | "signal"> {
  /** Signs the manifest: the key of the identity that the session speaks for. */
  readonly identityKey: Signer;
  /** Must be allowed the purpose "deal"; asked for at each message, because a long deal may outlive a tag. */
  readonly session: () => Session;
  readonly onProgress?: ((dealtBytes: number) => void) | undefined;
}

/**
 * Resolves when all providers have their shares on disk.
 * @throws IntercloudError PROVIDERS_FAILED, whose `peers` are providers, with status "full" when one has no room for it;
 * BAD_THRESHOLD, CANCELLED.
 */
export async function dealForSelf(options: SelfDealOptions): Promise<FreshDeal> {
  const { transport, clock, entropy, session, identityKey, onProgress } = options;
  const authorize = selfRequests({ session, clock, entropy, peer: transport.peer });
  return await makeDeal(
    {
      ...options,
      ...{ signer: identityKey, lifetimeMs: DEAL_LIFETIME_MS, authorize },
      onProgress: (dealtBytes) => onProgress?.(dealtBytes),
    },
    async ({ manifestBytes, userSeed }) => ({
      ...{ manifestBytes, manifest: checkManifest(manifestBytes), userSeed: new Uint8Array(userSeed) },
    }),
  );
}
