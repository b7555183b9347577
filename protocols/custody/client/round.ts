/** One retrieval round: asks the chosen providers, adds up what they send, and takes the masks off. */
import { newAgreementKey } from "../../crypto/key-agreement.ts";
import { NONCE_BYTES } from "../../rounds/constants.ts";
import {
  coefficientOf,
  descriptorHash,
  encodeDescriptor,
  type RoundDescriptor,
  type Route,
} from "../../rounds/descriptor.ts";
import { layer } from "../../rounds/layer.ts";
import { maskKey } from "../../rounds/masks.ts";
import { sum } from "../../rounds/sum.ts";
import { IntercloudError } from "../../wire/errors.ts";
import type { Channel, PeerName } from "../../wire/transport.ts";
import { abortOn } from "../abort-on.ts";
import { CUSTODY_PROTOCOL, OPEN_TIMEOUT_MS, REQUEST_LIFETIME_MS } from "../constants.ts";
import type { Placement } from "../placement.ts";
import type { ReadyProvider } from "./ready-survey.ts";
import { agreementKeyOf, type CustodyUser, signedRequest } from "./user.ts";

export interface RoundPlan {
  /** The first one has the ciphertext. */
  readonly members: readonly ReadyProvider[];
  readonly route: Route;
  readonly offsetBytes: number;
  /** Protocol 2: the user's own share. */
  readonly userShare: Uint8Array | undefined;
}

/** A deposit and where it is. */
export interface Located {
  readonly tokenId: Uint8Array;
  readonly placement: Placement;
}

/** A provider that we asked did not do its part; in the chain route it may be one before it. */
export class RoundFailure extends IntercloudError {
  override readonly name = "RoundFailure";
  readonly peer: PeerName;

  constructor(peer: PeerName, cause: unknown) {
    const status = cause instanceof IntercloudError ? cause.status : "internal";
    super("ROUND_FAILED", status, "a provider failed in the middle of a round", { peers: [peer] }, cause);
    this.peer = peer;
  }
}

/** The layered message from the plan's offset to its end. @throws RoundFailure. */
export async function* roundBytes(
  user: CustodyUser,
  { tokenId, placement }: Located,
  plan: RoundPlan,
  signal: AbortSignal,
): AsyncIterable<Uint8Array> {
  const ephemeral = newAgreementKey(user.entropy);
  const descriptor = makeDescriptor(user, { tokenId, placement }, plan, ephemeral.publicKey);
  const encoded = encodeDescriptor(descriptor);
  const request = signedRequest(user, "retrieve", { descriptor: encoded });
  const roundHash = descriptorHash(encoded);
  const maskKeys = descriptor.members.map((member) =>
    maskKey(ephemeral, agreementKeyOf(user, member.peer), member, roundHash),
  );
  const point = placement.roster.length + 1;
  const share =
    plan.userShare === undefined
      ? undefined
      : {
          share: { point, seed: plan.userShare, correction: undefined },
          coefficient: coefficientOf(descriptor, point),
        };

  const asked = plan.route === "chain" ? descriptor.members.slice(-1) : descriptor.members;
  const channels: Channel[] = [];
  const releases: (() => void)[] = [];
  let over = false;
  try {
    const bodies = await Promise.all(
      asked.map(async ({ peer }) => {
        const options = { timeoutMs: OPEN_TIMEOUT_MS, signal };
        const opening = user.transport.open(peer, CUSTODY_PROTOCOL, "retrieve", { request }, options);
        const channel = await opening.catch((error) => Promise.reject(new RoundFailure(peer, error)));
        if (over) channel.abort(endedEarly());
        channels.push(channel);
        releases.push(abortOn(signal, channel));
        return blaming(peer, channel.receiveBody({ lengthBytes: descriptor.lengthBytes }));
      }),
    );
    const unmask = layer({ ...user.tools, share, maskKeys, offsetBytes: plan.offsetBytes });
    yield* unmask(sum(bodies[0]!, bodies.slice(1), user.tools.kernel));
    // Everything is here and checked: how a provider ends its side is of no interest any more.
    await Promise.allSettled(channels.map((channel) => channel.close()));
  } finally {
    over = true;
    for (const release of releases) release();
    // A channel that is closed already does not mind; one that is not must not go on.
    for (const channel of channels) channel.abort(endedEarly());
  }
}

function endedEarly(): IntercloudError {
  return new IntercloudError("CANCELLED", "cancelled", "the retrieval ended early");
}

function makeDescriptor(
  user: CustodyUser,
  { tokenId, placement: { manifest, roster } }: Located,
  plan: RoundPlan,
  userKey: Uint8Array,
): RoundDescriptor {
  return {
    version: 1,
    kind: "retrieve",
    route: plan.route,
    dealId: manifest.dealId,
    tokenId,
    members: plan.members.map(({ point, peer }) => ({ point, peer })),
    userPoint: plan.userShare === undefined ? null : roster.length + 1,
    requester: user.transport.peer,
    userKey,
    nonce: user.entropy(NONCE_BYTES),
    offsetBytes: plan.offsetBytes,
    lengthBytes: manifest.lengthBytes - plan.offsetBytes,
    expiresAtMs: user.clock.nowMs() + REQUEST_LIFETIME_MS,
  };
}

/** Says whose body it was that failed. */
async function* blaming(peer: PeerName, body: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  try {
    yield* body;
  } catch (error) {
    throw new RoundFailure(peer, error);
  }
}
