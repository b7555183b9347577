/** What the owner asks of the providers in a deposit: the token, the round and the request that it signs. */
import { type AgreementKey, newAgreementKey } from "../../crypto/key-agreement.ts";
import type { FreshDeal } from "../../dealing/client.ts";
import { isSelfDealt, manifestDigest } from "../../dealing/manifest.ts";
import { NONCE_BYTES } from "../../rounds/constants.ts";
import { encodeDescriptor, type RoundMember, type Route } from "../../rounds/descriptor.ts";
import { roundKeys } from "../../rounds/masks.ts";
import { encodeToken, tokenIdOf } from "../../tokens/token.ts";
import { REQUEST_LIFETIME_MS } from "../constants.ts";
import type { DepositTerms } from "../deposit-terms.ts";
import { keptTerms } from "../kept-terms.ts";
import type { DepositOptions } from "./deposit.ts";
import { agreementKeyOf, type CustodyUser, signedRequest } from "./user.ts";

export interface Offer {
  readonly request: Uint8Array;
  readonly manifest: Uint8Array;
  readonly terms: DepositTerms;
  /** One for each provider, in point order. */
  readonly maskKeys: readonly Uint8Array[];
  readonly reportKeys: readonly Uint8Array[];
  /** Our half of all keys of the round; for whoever needs them again. */
  readonly ephemeral: AgreementKey;
}

/** @param derive `maskKey`, `reportKey` or `roundKeys` @returns for each provider, in point order */
export function keysOf<T>(
  user: CustodyUser,
  { descriptor, roundHash }: DepositTerms,
  ephemeral: AgreementKey,
  derive: (own: AgreementKey, other: Uint8Array, provider: RoundMember, descriptorHash: Uint8Array) => T,
): T[] {
  return descriptor.members.map((member) => derive(ephemeral, agreementKeyOf(user, member.peer), member, roundHash));
}

/** @param digest the message digest */
export function makeOffer(
  user: CustodyUser,
  options: DepositOptions & { readonly route: Route },
  deal: FreshDeal,
  digest: Uint8Array,
): Offer {
  const { manifest, manifestBytes } = deal;
  const roster = manifest.shares.slice(0, -1);
  const nowMs = user.clock.nowMs();
  const token = encodeToken({
    version: 1,
    digest,
    owner: user.session.identity,
    home: roster[0]!.peer,
    createdAtMs: nowMs,
    dealId: manifest.dealId,
    manifestDigest: manifestDigest(manifestBytes),
    providers: roster.length,
    threshold: manifest.threshold,
    protocol: options.protocol,
    userKey: options.protocol === 1 ? user.userKey.publicKey : null,
    route: options.route,
    lengthBytes: options.source.lengthBytes,
    copies: options.copies,
    ...(isSelfDealt(manifest, user.session.identity) ? { dealer: "self" } : {}),
    policy: { form: options.envelope === undefined ? (options.form ?? "whole") : "envelope" },
  });
  const ephemeral = newAgreementKey(user.entropy);
  const descriptor = encodeDescriptor({
    version: 1,
    kind: "deposit",
    route: options.route,
    dealId: manifest.dealId,
    tokenId: tokenIdOf(token),
    members: roster.map(({ point, peer }) => ({ point, peer })),
    userPoint: roster.length + 1,
    requester: user.transport.peer,
    userKey: ephemeral.publicKey,
    nonce: user.entropy(NONCE_BYTES),
    offsetBytes: 0,
    lengthBytes: manifest.lengthBytes,
    expiresAtMs: nowMs + REQUEST_LIFETIME_MS,
  });
  const request = signedRequest(user, "deposit", { token, descriptor });
  const terms = keptTerms(request, manifestBytes);
  const keys = keysOf(user, terms, ephemeral, roundKeys);
  const maskKeys = keys.map(({ mask }) => mask);
  const reportKeys = keys.map(({ report }) => report);
  return { request, manifest: manifestBytes, terms, maskKeys, reportKeys, ephemeral };
}
