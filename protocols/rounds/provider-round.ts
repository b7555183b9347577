/**
 * A round among providers alone: repair, refresh, move. It adds up the values of one or two deals' polynomials, each evaluated at a
 * point from the shares of t members, and everything that leaves a member is under masks that it has with every other member. So the
 * collector learns the sum and nothing else: its own lost share (repair), or what turns one ciphertext into another (refresh, move).
 */
import * as v from "valibot";
import { digestOf } from "../crypto/digest.ts";
import { lagrangeCoefficient } from "../field/index.ts";
import { decodeCanonical, encodeCanonical } from "../wire/codec.ts";
import { IntercloudError } from "../wire/errors.ts";
import { fixedBytes, integer, parseShape, text, timeMs } from "../wire/shape.ts";
import type { PeerName } from "../wire/transport.ts";
import { DEAL_ID_BYTES, MAX_PROVIDERS, MAX_ROUND_BYTES, NONCE_BYTES, TOKEN_ID_BYTES } from "./constants.ts";
import type { RoundMember } from "./descriptor.ts";

const memberShape = v.strictObject({ point: integer(1, MAX_PROVIDERS), peer: text(64) });

const summandShape = v.strictObject({
  dealId: fixedBytes(DEAL_ID_BYTES),
  /** Where the polynomials are evaluated: 0, or the point of a share that is rebuilt. */
  at: integer(0, MAX_PROVIDERS),
  members: v.pipe(v.array(memberShape), v.minLength(1), v.maxLength(MAX_PROVIDERS)),
});

const providerRoundShape = v.strictObject({
  version: v.literal(1),
  kind: v.picklist(["repair", "refresh", "move"]),
  tokenId: fixedBytes(TOKEN_ID_BYTES),
  summands: v.pipe(v.array(summandShape), v.minLength(1), v.maxLength(2)),
  /** The one peer that members send their part to. */
  collector: text(64),
  nonce: fixedBytes(NONCE_BYTES),
  lengthBytes: integer(1, MAX_ROUND_BYTES),
  expiresAtMs: timeMs,
});

export type ProviderRound = v.InferOutput<typeof providerRoundShape>;
export type Summand = ProviderRound["summands"][number];

export function encodeProviderRound(round: ProviderRound): Uint8Array {
  return encodeCanonical(round);
}

/** @throws IntercloudError BAD_MESSAGE; BAD_ROUND when it has one peer only, or names a deal, or in it a peer or a point, twice. */
export function decodeProviderRound(bytes: Uint8Array): ProviderRound {
  const round = parseShape(providerRoundShape, decodeCanonical(bytes), "round among providers");
  for (const { members, at } of round.summands) {
    const points = [...members.map(({ point }) => point), at];
    const peers = members.map(({ peer }) => peer);
    if (new Set(points).size !== points.length || new Set(peers).size !== peers.length) throw badRound();
  }
  // The part of a member that is alone would leave it without a mask.
  if (roundPeers(round).length < 2) throw badRound();
  const deals = round.summands.map(({ dealId }) => Buffer.from(dealId).toString("hex"));
  if (new Set(deals).size !== deals.length) throw badRound();
  return round;
}

/** What every mask of the round is bound to. */
export function providerRoundHash(bytes: Uint8Array): Uint8Array {
  return digestOf("intercloud/provider-round/v1", bytes);
}

/** Everybody who sends a part, once each. */
export function roundPeers({ summands }: ProviderRound): PeerName[] {
  return [...new Set(summands.flatMap(({ members }) => members.map(({ peer }) => peer)))];
}

/** A member's place in each summand that it has a part in. */
export function placesOf(
  { summands }: ProviderRound,
  peer: PeerName,
): { readonly summand: Summand; readonly member: RoundMember }[] {
  return summands.flatMap((summand) => {
    const member = summand.members.find((each) => each.peer === peer);
    return member === undefined ? [] : [{ summand, member }];
  });
}

/** What the share of `member` is multiplied with. */
export function summandCoefficient({ members, at }: Summand, { point }: RoundMember): number {
  const points = members.map((each) => each.point);
  return lagrangeCoefficient(points, point, at);
}

function badRound(): IntercloudError {
  return new IntercloudError(
    "BAD_ROUND",
    "bad-request",
    "a round has two peers at least, and names each deal, and in it each peer and point, once",
  );
}
