/**
 * A round's descriptor: everything that the masks of the round are bound to. Two rounds on the same deal that differ in any
 * field have unrelated masks, so nobody ever sees the difference of two layers.
 */
import * as v from "valibot";
import { digestOf } from "../crypto/digest.ts";
import { AGREEMENT_KEY_BYTES } from "../crypto/key-agreement.ts";
import { lagrangeCoefficients } from "../field/index.ts";
import { decodeCanonical, encodeCanonical } from "../wire/codec.ts";
import { IntercloudError } from "../wire/errors.ts";
import { fixedBytes, integer, parseShape, text, timeMs } from "../wire/shape.ts";
import { DEAL_ID_BYTES, MAX_PROVIDERS, MAX_ROUND_BYTES, NONCE_BYTES, TOKEN_ID_BYTES } from "./constants.ts";

const memberShape = v.strictObject({ point: integer(1, MAX_PROVIDERS), peer: text(64) });

const descriptorShape = v.strictObject({
  version: v.literal(1),
  /** In a `fetch` nobody lays a layer: its one member sends what it keeps, under a mask (Protocol 1). */
  kind: v.picklist(["deposit", "retrieve", "fetch"]),
  route: v.picklist(["chain", "fanout"]),
  dealId: fixedBytes(DEAL_ID_BYTES),
  tokenId: fixedBytes(TOKEN_ID_BYTES),
  /** The providers whose layers are summed, in the order in which the data visits them. */
  members: v.pipe(v.array(memberShape), v.minLength(1), v.maxLength(MAX_PROVIDERS)),
  /** The user's point when its share is part of the sum, else null. */
  userPoint: v.nullable(integer(3, MAX_PROVIDERS + 1)),
  /** The peer that asks, as its transport names it: a provider that gets the request cannot send it to others as its own. */
  requester: text(64),
  /** The requester's ephemeral X25519 key: one half of every mask key. */
  userKey: fixedBytes(AGREEMENT_KEY_BYTES),
  nonce: fixedBytes(NONCE_BYTES),
  /** The part of the layered message that this round covers: from `offsetBytes`, `lengthBytes` long. */
  offsetBytes: integer(0, MAX_ROUND_BYTES),
  lengthBytes: integer(1, MAX_ROUND_BYTES),
  expiresAtMs: timeMs,
});

export type RoundDescriptor = v.InferOutput<typeof descriptorShape>;
export type RoundMember = RoundDescriptor["members"][number];
export type Route = RoundDescriptor["route"];

export function encodeDescriptor(descriptor: RoundDescriptor): Uint8Array {
  return encodeCanonical(descriptor);
}

/** @throws IntercloudError BAD_MESSAGE; BAD_ROUND when a peer or a point appears twice. */
export function decodeDescriptor(bytes: Uint8Array): RoundDescriptor {
  const descriptor = parseShape(descriptorShape, decodeCanonical(bytes), "round descriptor");
  const points = roundPoints(descriptor);
  const peers = descriptor.members.map((member) => member.peer);
  if (new Set(points).size !== points.length || new Set(peers).size !== peers.length) {
    throw new IntercloudError("BAD_ROUND", "bad-request", "a round names each peer and each point once");
  }
  return descriptor;
}

/** What every mask of the round is bound to. */
export function descriptorHash(bytes: Uint8Array): Uint8Array {
  return digestOf("intercloud/round/v1", bytes);
}

/** All points of the sum: the members' in order, then the user's if it takes part. */
export function roundPoints(descriptor: RoundDescriptor): number[] {
  const points: number[] = descriptor.members.map((member) => member.point);
  if (descriptor.userPoint !== null) points.push(descriptor.userPoint);
  return points;
}

/** `g_S(point)`: what the share at `point` is multiplied with so that the sum over the round is f(0); 0 in a fetch. */
export function coefficientOf(descriptor: RoundDescriptor, point: number): number {
  if (descriptor.kind === "fetch") return 0;
  const points = roundPoints(descriptor);
  const coefficient = lagrangeCoefficients(points)[points.indexOf(point)];
  if (coefficient === undefined) {
    throw new IntercloudError("BAD_ROUND", "refused", `point ${point} has no part in this round`);
  }
  return coefficient;
}
