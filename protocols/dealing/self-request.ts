/**
 * What a user signs who deals for itself: each message to a provider carries a request of its session that names the provider, the
 * peer that brings it, the step, the deal, and the digest of the rest of the message. So nobody else can deal in its name, and a
 * request that was stolen says nothing to anybody else, about no other deal and no other bytes.
 */
import * as v from "valibot";
import { DIGEST_BYTES, digestOf, equalBytes } from "../crypto/digest.ts";
import type { Entropy } from "../crypto/entropy.ts";
import { type CheckedRequest, checkRequest, signRequest } from "../identity/request.ts";
import type { Session } from "../identity/tag.ts";
import { DEAL_ID_BYTES } from "../rounds/constants.ts";
import type { Clock } from "../wire/clock.ts";
import { type CborValue, encodeCanonical } from "../wire/codec.ts";
import { IntercloudError } from "../wire/errors.ts";
import { fixedBytes, parseShape, text } from "../wire/shape.ts";
import type { PeerName } from "../wire/transport.ts";
import { DEAL_REQUEST_LIFETIME_MS } from "./constants.ts";
import type { Authorize } from "./hand-out.ts";
import { DEAL_STEPS, type DealStep } from "./messages.ts";

/** The content of the request. What a dealer is asked with has another shape, so neither is ever taken for the other. */
const selfDealShape = v.strictObject({
  step: v.picklist(DEAL_STEPS),
  dealId: fixedBytes(DEAL_ID_BYTES),
  /** Whom it is for, and who brings it. */
  provider: text(64),
  from: text(64),
  /** `messageDigest` of what it came with. */
  digest: fixedBytes(DIGEST_BYTES),
});

export interface SelfRequestOptions {
  readonly session: () => Session;
  readonly clock: Clock;
  readonly entropy: Entropy;
  /** Who we are on the network. */
  readonly peer: PeerName;
}

export function selfRequests({ session, clock, entropy, peer }: SelfRequestOptions): Authorize {
  return (dealId, provider, step, message) =>
    signRequest({
      ...{ session: session(), purpose: "deal", nowMs: clock.nowMs(), lifetimeMs: DEAL_REQUEST_LIFETIME_MS, entropy },
      content: { step, dealId, provider, from: peer, digest: messageDigest(message) },
    });
}

/** A message as it came, without its request, and who brought it to whom. */
export interface SelfDealMessage {
  readonly step: DealStep;
  readonly dealId: Uint8Array;
  readonly message: CborValue;
  readonly from: PeerName;
  readonly provider: PeerName;
}

/** Replays are the caller's business. @throws IntercloudError NOT_THIS_MESSAGE, and what `checkRequest` throws. */
export function checkSelfRequest(request: Uint8Array, about: SelfDealMessage, nowMs: number): CheckedRequest {
  const checked = checkRequest(request, "deal", nowMs);
  const signed = parseShape(selfDealShape, checked.content, "request of a user that deals for itself");
  const same =
    signed.step === about.step &&
    signed.from === about.from &&
    signed.provider === about.provider &&
    equalBytes(signed.dealId, about.dealId) &&
    equalBytes(signed.digest, messageDigest(about.message));
  if (same) return checked;
  const message = "this was signed for another deal, step, message, provider or peer";
  throw new IntercloudError("NOT_THIS_MESSAGE", "refused", message, { peers: [about.from] });
}

function messageDigest(message: CborValue): Uint8Array {
  return digestOf("intercloud/self-deal/v1", encodeCanonical(message));
}
