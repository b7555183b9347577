/**
 * Everything that is signed about one deposit of a lot, written out as if it were alone. What all of the lot have in common is encoded
 * once (`template`); the statements are the ordinary ones, byte for byte, and only their signatures are of the lot.
 */
import * as v from "valibot";
import { DIGEST_BYTES } from "../../crypto/digest.ts";
import { AGREEMENT_KEY_BYTES } from "../../crypto/key-agreement.ts";
import { peerIdentity } from "../../crypto/peer-name.ts";
import { type DealLot, dealIdInLot } from "../../dealing/lot/deal-lot.ts";
import { isSelfDealt, manifestDigest, providersOf } from "../../dealing/manifest.ts";
import type { Identity } from "../../identity/identity.ts";
import { type RequestTerms, requestBody } from "../../identity/request.ts";
import { DEAL_ID_BYTES, MAX_PROVIDERS, NONCE_BYTES, TOKEN_ID_BYTES } from "../../rounds/constants.ts";
import { descriptorHash, type RoundDescriptor } from "../../rounds/descriptor.ts";
import { EMPTY_DIGEST } from "../../tokens/chain.ts";
import { statementDigest } from "../../tokens/link.ts";
import { headerBytes } from "../../tokens/message.ts";
import { type Token, tokenIdOf } from "../../tokens/token.ts";
import type { CborValue } from "../../wire/codec.ts";
import { fixedBytes, integer, text, timeMs } from "../../wire/shape.ts";
import { type Template, template } from "../../wire/template.ts";
import type { PeerName } from "../../wire/transport.ts";

/** What the owner says about all deposits of a lot at once. */
export const lotPlanShape = v.strictObject({
  /** The peer that asks, its ephemeral key for the masks, and the nonce of all rounds and requests. */
  requester: text(64),
  userKey: fixedBytes(AGREEMENT_KEY_BYTES),
  nonce: fixedBytes(NONCE_BYTES),
  copies: integer(1, MAX_PROVIDERS),
  createdAtMs: timeMs,
  expiresAtMs: timeMs,
});
export type LotPlan = Readonly<v.InferOutput<typeof lotPlanShape>>;

/** The owner's first word about one deposit. */
export interface LotItemOffer {
  readonly token: Uint8Array;
  readonly tokenId: Uint8Array;
  readonly roundHash: Uint8Array;
  readonly manifestDigest: Uint8Array;
  /** What the owner signs. */
  readonly request: Uint8Array;
}

export interface LotStatements {
  readonly lot: DealLot;
  readonly plan: LotPlan;
  readonly owner: Identity;
  readonly roster: readonly PeerName[];
  readonly items: number;
  offer(index: number): LotItemOffer;
  /** The links of one deposit, and the digest of the last one. @param digestOut by position in the roster */
  links(
    offer: Pick<LotItemOffer, "tokenId" | "manifestDigest">,
    digestOut: (position: number) => Uint8Array,
    timeMs: number,
  ): { readonly bodies: readonly Uint8Array[]; readonly last: Uint8Array };
  keeping(of: KeepingOf, timeMs: number): Uint8Array;
  closing(of: ClosingOf, terms: RequestTerms): Uint8Array;
}

export interface KeepingOf {
  readonly tokenId: Uint8Array;
  readonly digestFromOwner: Uint8Array;
  readonly digestReceived: (position: number) => Uint8Array;
  readonly digestKept: Uint8Array;
  /** Digest of the last link. */
  readonly previous: Uint8Array;
}

export interface ClosingOf {
  readonly tokenId: Uint8Array;
  readonly digestFromOwner: Uint8Array;
  readonly chainDigest: Uint8Array;
}

/** @param digests of the messages, one after another */
export function lotStatements(lot: DealLot, plan: LotPlan, owner: Identity, digests: Uint8Array): LotStatements {
  const { manifest, lengths } = lot;
  const roster = providersOf(manifest);
  const offerTemplates = lazily((lengthBytes: number) => offersOf(lot, plan, owner, lengthBytes));
  const linkTemplates = lazily((timeMs: number) => roster.map((peer, i) => linkTemplate(peer, i + 1, timeMs)));
  const keepingTemplates = lazily((timeMs: number) => keepingTemplate(roster, timeMs));
  let closingOf: { readonly terms: RequestTerms; readonly template: Template } | undefined;
  return {
    ...{ lot, plan, owner, roster, items: lengths.length },
    offer(index) {
      const templates = offerTemplates(lengths[index]!);
      const dealId = dealIdInLot(manifest.dealId, index);
      const ofManifest = manifestDigest(lot.signedManifest(index));
      const token = templates.token.fill(columnAt(digests, index), dealId, ofManifest);
      const tokenId = tokenIdOf(token);
      const descriptor = templates.descriptor.fill(dealId, tokenId);
      const request = templates.request.fill(token, descriptor);
      return { token, tokenId, request, manifestDigest: ofManifest, roundHash: descriptorHash(descriptor) };
    },
    links({ tokenId, manifestDigest: previousDigest }, digestOut, timeMs) {
      let last = previousDigest;
      const bodies = linkTemplates(timeMs).map((each, position) => {
        const body = each.fill(tokenId, digestOut(position), last);
        last = statementDigest(body);
        return body;
      });
      return { bodies, last };
    },
    keeping({ tokenId, digestFromOwner, digestReceived, digestKept, previous }, timeMs) {
      const received = roster.map((_, position) => digestReceived(position));
      return keepingTemplates(timeMs).fill(tokenId, digestFromOwner, ...received, digestKept, previous);
    },
    closing({ tokenId, digestFromOwner, chainDigest }, terms) {
      if (closingOf?.terms !== terms) closingOf = { terms, template: closingTemplate(terms) };
      return closingOf.template.fill(tokenId, digestFromOwner, chainDigest);
    },
  };
}

/** The digest at a place of a column. */
export function columnAt(column: Uint8Array, index: number): Uint8Array {
  return column.subarray(index * DIGEST_BYTES, (index + 1) * DIGEST_BYTES);
}

export function requestTerms({ nonce, createdAtMs, expiresAtMs }: LotPlan): RequestTerms {
  return { purpose: "deposit", issuedAtMs: createdAtMs, expiresAtMs, nonce };
}

interface OfferTemplates {
  readonly token: Template;
  readonly descriptor: Template;
  readonly request: Template;
}

function offersOf({ manifest }: DealLot, plan: LotPlan, owner: Identity, layeredBytes: number): OfferTemplates {
  const roster = providersOf(manifest);
  const self = isSelfDealt(manifest, owner) ? ({ dealer: "self" } as const) : {};
  // short enough to have one block only
  const lengthBytes = layeredBytes - headerBytes(1);
  const tokenOf = ([digest, dealId, ofManifest]: readonly Uint8Array[]): Token => ({
    ...{ version: 1, digest: digest!, owner, home: roster[0]!, createdAtMs: plan.createdAtMs, dealId: dealId! },
    ...{ manifestDigest: ofManifest!, providers: roster.length, threshold: manifest.threshold, protocol: 3 },
    ...{ userKey: null, route: "fanout", lengthBytes, copies: plan.copies, ...self, policy: { form: "whole" } },
  });
  const descriptorOf = ([dealId, tokenId]: readonly Uint8Array[]): RoundDescriptor => ({
    ...{ version: 1, kind: "deposit", route: "fanout", dealId: dealId!, tokenId: tokenId! },
    ...{ members: roster.map((peer, i) => ({ point: i + 1, peer })), userPoint: roster.length + 1 },
    ...{ requester: plan.requester, userKey: plan.userKey, nonce: plan.nonce },
    ...{ offsetBytes: 0, lengthBytes: layeredBytes, expiresAtMs: plan.expiresAtMs },
  });
  const tokenHoles = [DIGEST_BYTES, DEAL_ID_BYTES, DIGEST_BYTES];
  const descriptorHoles = [DEAL_ID_BYTES, TOKEN_ID_BYTES];
  const token = template(tokenHoles, (values) => tokenOf(values) as CborValue);
  const descriptor = template(descriptorHoles, descriptorOf);
  const request = template([token.lengthBytes, descriptor.lengthBytes], ([one, other]) =>
    requestBody(requestTerms(plan), { token: one!, descriptor: other! }),
  );
  return { token, descriptor, request };
}

function linkTemplate(peer: PeerName, index: number, timeMs: number): Template {
  const identity = peerIdentity(peer);
  return template([TOKEN_ID_BYTES, DIGEST_BYTES, DIGEST_BYTES], ([tokenId, digestOut, previous]) => ({
    ...{ version: 1, tokenId: tokenId!, index, peer, identity, digestIn: EMPTY_DIGEST },
    ...{ digestOut: digestOut!, previous: previous!, timeMs },
  }));
}

function keepingTemplate(roster: readonly PeerName[], timeMs: number): Template {
  const holes = Array.from({ length: roster.length + 4 }, () => DIGEST_BYTES);
  return template(holes, ([tokenId, digestFromOwner, ...more]) => ({
    ...{ version: 1, tokenId: tokenId!, peer: roster[0]!, digestFromOwner: digestFromOwner! },
    ...{ digestsReceived: more.slice(0, roster.length), digestKept: more.at(-2)!, previous: more.at(-1)!, timeMs },
  }));
}

function closingTemplate(terms: RequestTerms): Template {
  return template([TOKEN_ID_BYTES, DIGEST_BYTES, DIGEST_BYTES], ([tokenId, digestFromOwner, chainDigest]) => {
    const content = { tokenId: tokenId!, digestFromOwner: digestFromOwner!, chainDigest: chainDigest! };
    return requestBody(terms, { ...content, boxes: [], envelope: null });
  });
}

/** Made for each key once. */
function lazily<T>(make: (key: number) => T): (key: number) => T {
  const made = new Map<number, T>();
  return (key) => {
    const found = made.get(key) ?? make(key);
    made.set(key, found);
    return found;
  };
}
