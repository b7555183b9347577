/** A deal made by hand, and rounds on it from the parts of `protocols/rounds` alone. */
import { createHash } from "node:crypto";
import { type AgreementKey, agreementKeyFromSeed } from "../../../protocols/crypto/key-agreement.ts";
import { aesKeystream } from "../../../protocols/crypto/keystream.ts";
import { lagrangeCoefficients, scalarKernel } from "../../../protocols/field/index.ts";
import {
  coefficientOf,
  descriptorHash,
  encodeDescriptor,
  layer,
  maskKey,
  type RoundDescriptor,
  type Share,
  sum,
  zeros,
} from "../../../protocols/rounds/index.ts";
import { sourceOf } from "../../support/bytes.ts";

export const tools = { keystream: aesKeystream, kernel: scalarKernel };

export function seedOf(name: string): Uint8Array {
  return new Uint8Array(createHash("sha256").update(name).digest());
}

export const keyOf = (name: string) => agreementKeyFromSeed(seedOf(name));
export const peerOf = (point: number) => `provider-${point}`;

export interface HandDeal {
  /** Of points 1 to n+1, the user's last. */
  readonly shares: readonly Share[];
  /** f(0). */
  readonly secret: Uint8Array;
}

/** The first t points have seeds alone, the others corrections too, as a dealer makes them. */
export function dealByHand(name: string, threshold: number, providers: number, lengthBytes: number): HandDeal {
  const expand = (point: number) => aesKeystream(seedOf(`${name} ${point}`), 0).xor(new Uint8Array(lengthBytes));
  const free = Array.from({ length: threshold }, (_, i) => i + 1);
  const evaluate = (at: number) => {
    const value = new Uint8Array(lengthBytes);
    for (const [i, coefficient] of lagrangeCoefficients(free, at).entries()) {
      scalarKernel.addScaled(value, expand(free[i] as number), coefficient);
    }
    return value;
  };
  const shares = Array.from({ length: providers + 1 }, (_, i): Share => {
    const point = i + 1;
    const correction = evaluate(point);
    scalarKernel.addScaled(correction, expand(point), 1);
    const from = (offsetBytes: number) => sourceOf(correction.slice(offsetBytes), 97);
    return { point, seed: seedOf(`${name} ${point}`), correction: free.includes(point) ? undefined : from };
  });
  return { shares, secret: evaluate(0) };
}

export function descriptorOf(fields: Partial<RoundDescriptor> & Pick<RoundDescriptor, "lengthBytes">): RoundDescriptor {
  return {
    ...{
      version: 1,
      kind: "retrieve",
      route: "chain",
      members: [{ point: 1, peer: peerOf(1) }],
      userPoint: null,
      requester: peerOf(0),
    },
    ...{ dealId: seedOf("deal").slice(0, 16), tokenId: seedOf("token"), userKey: keyOf("user").publicKey },
    ...{ nonce: seedOf("nonce").slice(0, 16), offsetBytes: 0, expiresAtMs: 1_700_000_000_000 },
    ...fields,
  };
}

type Transform = ReturnType<typeof layer>;

/** The transform of a provider of the round. */
export function providerLayer(deal: HandDeal, descriptor: RoundDescriptor, point: number): Transform {
  const member = descriptor.members.find((each) => each.point === point) as RoundDescriptor["members"][number];
  const hash = descriptorHash(encodeDescriptor(descriptor));
  return layer({
    ...tools,
    share: { share: deal.shares[point - 1] as Share, coefficient: coefficientOf(descriptor, point) },
    maskKeys: [maskKey(keyOf(member.peer), descriptor.userKey, member, hash)],
    offsetBytes: descriptor.offsetBytes,
  });
}

/** The user's transform: all masks, and its share when it takes part. */
export function userLayer(deal: HandDeal, descriptor: RoundDescriptor, own: AgreementKey = keyOf("user")): Transform {
  const hash = descriptorHash(encodeDescriptor(descriptor));
  const point = descriptor.userPoint;
  const share =
    point === null
      ? undefined
      : { share: deal.shares[point - 1] as Share, coefficient: coefficientOf(descriptor, point) };
  const maskKeys = descriptor.members.map((member) => maskKey(own, keyOf(member.peer).publicKey, member, hash));
  return layer({ ...tools, share, maskKeys, offsetBytes: descriptor.offsetBytes });
}

/** What comes out when `input` has been through all providers, before the user's own transform. */
export function throughProviders(
  deal: HandDeal,
  descriptor: RoundDescriptor,
  input: AsyncIterable<Uint8Array>,
): AsyncIterable<Uint8Array> {
  const points = descriptor.members.map(({ point }) => point);
  if (descriptor.route === "chain") {
    return points.reduce((bytes, point) => providerLayer(deal, descriptor, point)(bytes), input);
  }
  const [first, ...others] = points as [number, ...number[]];
  const parts = others.map((point) => providerLayer(deal, descriptor, point)(zeros(descriptor.lengthBytes)));
  return sum(providerLayer(deal, descriptor, first)(input), parts, tools.kernel);
}
