/** The user's side of a lot: asks a dealer for it, or makes it itself, and checks what was signed. */
import { DIGEST_BYTES, equalBytes } from "../../crypto/digest.ts";
import { newAgreementKey } from "../../crypto/key-agreement.ts";
import { openSealed } from "../../crypto/sealed-box.ts";
import { signRequest } from "../../identity/request.ts";
import { userShareDigest } from "../../rounds/share.ts";
import { parseShape, readAnswer } from "../../wire/shape.ts";
import { receiveWhole } from "../../wire/whole-body.ts";
import { aborting, checkAsAsked, type RequestDealOptions, receiveDeal, wrongDeal } from "../client.ts";
import { DEAL_LIFETIME_MS, DEAL_REQUEST_LIFETIME_MS, DEALING_PROTOCOL, OPEN_TIMEOUT_MS } from "../constants.ts";
import { userEntry } from "../manifest.ts";
import { lotResultShape, sealedSeedContext } from "../messages.ts";
import { checkThreshold } from "../points.ts";
import type { SelfDealOptions } from "../self-deal.ts";
import { selfRequests } from "../self-request.ts";
import { checkDealLot, type DealLot, dealIdInLot, digestInLot, requireLotSize, seedInLot, sum } from "./deal-lot.ts";
import { makeLot } from "./make-lot.ts";

export interface FreshLot {
  readonly lot: DealLot;
  /** The seeds of all the user's shares follow from it (`seedInLot`). To be overwritten after use. */
  readonly userSeed: Uint8Array;
}

export interface RequestLotOptions extends Omit<RequestDealOptions, "lengthBytes" | "onProgress"> {
  /** Of what will be layered, of each deal. */
  readonly lengths: readonly number[];
}

/** Resolves when all providers have their shares on disk. @throws as `requestDeal`; LOT_TOO_LARGE. */
export async function requestLot(options: RequestLotOptions): Promise<FreshLot> {
  const { transport, dealer, session, clock, entropy, threshold, providers, lengths, signal } = options;
  checkThreshold(threshold, providers.length);
  requireLotSize(lengths, providers.length);
  const lengthBytes = sum(lengths);
  const ephemeral = newAgreementKey(entropy);
  const request = signRequest({
    ...{ session, purpose: "deal", nowMs: clock.nowMs(), lifetimeMs: DEAL_REQUEST_LIFETIME_MS, entropy },
    content: { threshold, providers, lengthBytes, lengths, ephemeralKey: ephemeral.publicKey },
  });
  const openOptions = { timeoutMs: OPEN_TIMEOUT_MS, signal };
  const channel = await transport.open(dealer, DEALING_PROTOCOL, "deal", { request }, openOptions);
  return await aborting(channel, signal, async () => {
    const message = await receiveDeal(channel, { clock, lengthBytes });
    const made = readAnswer(dealer, "deal", () => parseShape(lotResultShape, message, "lot"));
    const { manifest: manifestBytes, signature, sealedSeed } = made;
    const digests = await receiveWhole(channel, lengths.length * (providers.length + 1) * DIGEST_BYTES);
    await channel.close();
    const lot = readAnswer(dealer, "deal", () => checkDealLot({ manifestBytes, signature, lengths, digests }));
    checkAsAsked({ ...options, lengthBytes }, lot.manifest);
    const { point } = userEntry(lot.manifest);
    const context = sealedSeedContext(lot.manifest.dealId, point);
    const userSeed = readAnswer(dealer, "deal", () => openSealed(ephemeral, context, sealedSeed));
    for (const index of lengths.keys()) {
      const seed = seedInLot(userSeed, index);
      const digest = userShareDigest(dealIdInLot(lot.manifest.dealId, index), point, seed);
      if (!equalBytes(digest, digestInLot(digests, point, index, point))) {
        throw wrongDeal(dealer, "our share is not the one that it signed");
      }
      seed.fill(0);
    }
    return { lot, userSeed };
  });
}

export interface SelfLotOptions extends Omit<SelfDealOptions, "lengthBytes" | "onProgress"> {
  readonly lengths: readonly number[];
}

/** Made by the user itself. @throws as `dealForSelf`; LOT_TOO_LARGE. */
export async function lotForSelf(options: SelfLotOptions): Promise<FreshLot> {
  const { transport, clock, entropy, session, identityKey, lengths } = options;
  const authorize = selfRequests({ session, clock, entropy, peer: transport.peer });
  const how = { signer: identityKey, lifetimeMs: DEAL_LIFETIME_MS, authorize, onProgress: () => {} };
  return await makeLot({ ...options, ...how }, async ({ userSeed, ...made }) => ({
    lot: checkDealLot({ ...made, lengths }),
    userSeed: new Uint8Array(userSeed),
  }));
}
