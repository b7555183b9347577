/** What an owner asks for in a refresh or a move, and whether it fits the deposit as it is now. */
import * as v from "valibot";
import { DIGEST_BYTES, digestOf, equalBytes } from "../../crypto/digest.ts";
import { MAX_MANIFEST_BYTES } from "../../dealing/constants.ts";
import type { CheckedRequest } from "../../identity/request.ts";
import { MAX_DESCRIPTOR_BYTES, MAX_PROVIDERS, TOKEN_ID_BYTES } from "../../rounds/constants.ts";
import {
  decodeProviderRound,
  type ProviderRound,
  providerRoundHash,
  type Summand,
} from "../../rounds/provider-round.ts";
import { IntercloudError } from "../../wire/errors.ts";
import { boundedBytes, fixedBytes, integer, parseShape } from "../../wire/shape.ts";
import { MAX_GENERATION } from "../constants.ts";
import type { DepositTerms } from "../deposit-terms.ts";
import { type Placement, placementDigest, placementOn } from "../placement.ts";
import { boxShape } from "../share-boxes.ts";

/** Content of the owner's signed change request. */
export const changeContentShape = v.strictObject({
  kind: v.picklist(["refresh", "move"]),
  tokenId: fixedBytes(TOKEN_ID_BYTES),
  /** The one that this change makes. */
  generation: integer(1, MAX_GENERATION),
  /** `placementDigest` of the generation before. */
  previous: fixedBytes(DIGEST_BYTES),
  /** Of the fresh deal, signed by its dealer. */
  manifest: boundedBytes(MAX_MANIFEST_BYTES),
  copies: integer(1, MAX_PROVIDERS),
  round: boundedBytes(2 * MAX_DESCRIPTOR_BYTES),
  /** `grantsDigest` of the list that goes to providers which do not have the deposit yet. */
  grants: fixedBytes(DIGEST_BYTES),
  /** Protocol 1: the owner's share of the fresh deal, sealed to itself. */
  box: v.nullable(boxShape),
});

export interface ChangeTerms {
  readonly kind: "refresh" | "move";
  readonly owner: string;
  /** The fresh deal's, as its dealer signed it. */
  readonly manifestBytes: Uint8Array;
  readonly tokenId: Uint8Array;
  readonly previous: Uint8Array;
  /** As it will be. */
  readonly next: Placement;
  readonly round: ProviderRound;
  /** What the masks are bound to. */
  readonly roundHash: Uint8Array;
  readonly grantsDigest: Uint8Array;
  /** Protocol 1: the owner's share of the fresh deal, sealed to itself. */
  readonly box: Uint8Array | null;
  /** Names this very request in statements and receipts. */
  readonly digest: Uint8Array;
}

/** @param bytes the signed request that `request` was read from @throws IntercloudError CHANGE_DISAGREES when its parts do not fit each other. */
export function readChange(bytes: Uint8Array, request: CheckedRequest): ChangeTerms {
  const content = parseShape(changeContentShape, request.content, "change request");
  const { kind, tokenId, previous } = content;
  const next = placementOn(content.generation, content.manifest, content.copies);
  const round = decodeProviderRound(content.round);
  const summand = round.summands[1];
  const { threshold, lengthBytes, dealId } = next.manifest;
  requireAgreed("kind", round.kind === kind);
  requireAgreed("token", equalBytes(round.tokenId, tokenId));
  requireAgreed("length", round.lengthBytes === lengthBytes);
  requireAgreed("home", round.collector === next.roster[0]);
  requireAgreed("copies", next.copies <= next.roster.length);
  requireAgreed("fresh deal", round.summands.length === 2 && sumsUp(summand, dealId, threshold, next));
  const digest = digestOf("intercloud/change/v1", bytes);
  const roundHash = providerRoundHash(content.round);
  const { identity: owner } = request;
  const { manifest: manifestBytes, grants: grantsDigest, box } = content;
  return { kind, owner, box, manifestBytes, tokenId, previous, next, round, roundHash, grantsDigest, digest };
}

/** Holds a change against the deposit as it is. @throws IntercloudError NOT_THE_OWNER, STALE_CHANGE, CHANGE_DISAGREES. */
export function requireChangeOf(change: ChangeTerms, terms: DepositTerms, now: Placement): void {
  if (terms.token.owner !== change.owner) {
    throw new IntercloudError("NOT_THE_OWNER", "refused", "only the owner may change where a deposit is kept");
  }
  requireAgreed("token", equalBytes(change.tokenId, terms.tokenId));
  const follows = change.next.generation === now.generation + 1;
  if (!follows || !equalBytes(change.previous, placementDigest(terms.tokenId, now))) {
    throw new IntercloudError(
      "STALE_CHANGE",
      "conflict",
      "the deposit is in another place now; look again and ask anew",
    );
  }
  const { threshold, lengthBytes, dealId } = now.manifest;
  requireAgreed("length", change.next.manifest.lengthBytes === lengthBytes);
  requireAgreed("old deal", sumsUp(change.round.summands[0], dealId, threshold, now));
  requireAgreed("owner's sealed share", (terms.token.protocol === 1) === (change.box !== null));
  if (change.kind === "move") return;
  const { next } = change;
  const same = next.roster.length === now.roster.length && next.roster.every((peer, i) => peer === now.roster[i]);
  requireAgreed("providers", same && next.manifest.threshold === threshold && next.copies === now.copies);
}

/** t members of the placement, whose shares give the value at 0. */
function sumsUp(summand: Summand | undefined, dealId: Uint8Array, threshold: number, { roster }: Placement): boolean {
  return (
    summand !== undefined &&
    equalBytes(summand.dealId, dealId) &&
    summand.at === 0 &&
    summand.members.length === threshold &&
    summand.members.every(({ point, peer }) => roster[point - 1] === peer)
  );
}

function requireAgreed(what: string, agrees: boolean): void {
  if (agrees) return;
  throw new IntercloudError("CHANGE_DISAGREES", "bad-request", `change, round and deals disagree about the ${what}`);
}
