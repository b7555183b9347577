/** One retrieval round: asks the chosen providers, adds up what they send, and takes the masks off. */
import { bodyDigest } from "../../crypto/block-digest.ts";
import { agreementKeyFromSeed, newAgreementSeed } from "../../crypto/key-agreement.ts";
import { release } from "../../crypto/release.ts";
import { NONCE_BYTES } from "../../rounds/constants.ts";
import { descriptorHash, encodeDescriptor, type RoundDescriptor, type Route } from "../../rounds/descriptor.ts";
import { maskKey } from "../../rounds/masks.ts";
import { answerBlocks, isAnswerSigned } from "../../tokens/answer.ts";
import type { Token } from "../../tokens/token.ts";
import { IntercloudError } from "../../wire/errors.ts";
import { parseShape, readAnswer } from "../../wire/shape.ts";
import type { Channel, PeerName } from "../../wire/transport.ts";
import { abortOn } from "../abort-on.ts";
import { type AnsweredBlock, receiveAnswer } from "../answer-stream.ts";
import {
  ASK_TIMEOUT_MS,
  CUSTODY_PROTOCOL,
  MAX_SHORT_BYTES,
  OPEN_TIMEOUT_MS,
  REQUEST_LIFETIME_MS,
} from "../constants.ts";
import { readAnswerShape } from "../messages.ts";
import type { Placement } from "../placement.ts";
import type { SeedShare } from "../share-boxes.ts";
import { unmasked } from "./own-shares.ts";
import type { ReadyProvider } from "./ready-survey.ts";
import { agreementKeyOf, type CustodyUser, signedRequest } from "./user.ts";

export interface RoundPlan {
  /** The first one has the ciphertext. */
  readonly members: readonly ReadyProvider[];
  readonly route: Route;
  readonly offsetBytes: number;
  /** The user's own one in Protocol 2; t of them in Protocol 1. */
  readonly ownShares: readonly SeedShare[];
  /** Undefined when everybody is waited for. */
  readonly patience: Patience | undefined;
}

/** How long the slowest member is waited for. */
export interface Patience {
  /** How far a member may be behind the first with a block. */
  readonly lagMs: number;
  /** Asked when that time is over: whether others could take their place. */
  canReplace(peers: readonly PeerName[]): boolean;
  /** Asked next: whether they may. When all are slow, asking others makes it worse. */
  mayReplace(): boolean;
}

/** A deposit and where it is. */
export interface Located {
  readonly tokenId: Uint8Array;
  readonly token: Token;
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

/** Providers that do their part, and much more slowly than the others: it goes on without them, as long as there are others. */
export class Lagging extends IntercloudError {
  override readonly name = "Lagging";
  readonly peers: readonly PeerName[];

  constructor(peers: readonly PeerName[]) {
    super("LAGGING", "timeout", "some providers are far behind the others", { peers });
    this.peers = peers;
  }
}

/** What a round was, and what its members answered for the block that was read last. What can be held against one of them. */
export interface RoundRecord {
  readonly descriptor: RoundDescriptor;
  readonly roundHash: Uint8Array;
  /** Our signed request. */
  readonly request: Uint8Array;
  /** The secret half of the descriptor's user key: whoever has it can take the masks of this round off. */
  readonly secret: Uint8Array;
  /** By those that were asked; empty before the first block. */
  readonly answers: ReadonlyMap<PeerName, SignedBlock>;
}

/** A block that a member answered, without its bytes. */
type SignedBlock = Omit<AnsweredBlock, "bytes">;

export interface Round {
  /** The layered message from the plan's offset to its end. @throws RoundFailure. */
  readonly bytes: AsyncIterable<Uint8Array>;
  readonly record: RoundRecord;
}

/** Nothing is asked before `bytes` is read. */
export function openRound(user: CustodyUser, located: Located, plan: RoundPlan, signal: AbortSignal): Round {
  const secret = newAgreementSeed(user.entropy);
  const descriptor = makeDescriptor(user, located, plan, agreementKeyFromSeed(secret).publicKey);
  const encoded = encodeDescriptor(descriptor);
  const answers = new Map<PeerName, SignedBlock>();
  const record = {
    ...{ descriptor, secret, answers, roundHash: descriptorHash(encoded) },
    request: signedRequest(user, "retrieve", { descriptor: encoded }),
  };
  return { bytes: roundBytes(user, located, plan, { record, answers }, signal), record };
}

async function* roundBytes(
  user: CustodyUser,
  { token, placement }: Located,
  plan: RoundPlan,
  { record, answers }: { readonly record: RoundRecord; readonly answers: Map<PeerName, SignedBlock> },
  signal: AbortSignal,
): AsyncIterable<Uint8Array> {
  const { descriptor, roundHash } = record;
  const ephemeral = agreementKeyFromSeed(record.secret);
  const maskKeys = descriptor.members.map((member) =>
    maskKey(ephemeral, agreementKeyOf(user, member.peer), member, roundHash),
  );
  const unmask = unmasked(user, descriptor, plan.ownShares, maskKeys);
  const asking: Asking = {
    user,
    record,
    token,
    keepingDigest: placement.kept?.keepingDigest ?? new Uint8Array(),
    signal,
  };
  const isShort = plan.route === "fanout" && descriptor.lengthBytes <= MAX_SHORT_BYTES;
  yield* isShort
    ? unmask(
        addedUp(
          user,
          descriptor.members.map(({ peer }) => readFrom(asking, peer)),
          { answers, patience: plan.patience },
        ),
      )
    : byChannels(asking, (members) => unmask(addedUp(user, members, { answers, patience: plan.patience })));
}

interface Asking {
  readonly user: CustodyUser;
  readonly record: RoundRecord;
  readonly token: Token;
  readonly keepingDigest: Uint8Array;
  readonly signal: AbortSignal;
}

/** One member's answer by one question; it begins at once. */
function readFrom(asking: Asking, peer: PeerName): AnsweringMember {
  const { user, record, token, signal } = asking;
  const { offsetBytes, lengthBytes } = record.descriptor;
  const [block] = answerBlocks(token.lengthBytes, offsetBytes, lengthBytes);
  const options = { timeoutMs: ASK_TIMEOUT_MS, signal };
  const answer = user.transport.ask(peer, CUSTODY_PROTOCOL, "read", { request: record.request }, options);
  answer.catch(() => {}); // it is waited for below
  async function* blocks(): AsyncGenerator<AnsweredBlock> {
    const said = await answer;
    const { bytes, signature } = readAnswer(peer, "read", () => parseShape(readAnswerShape, said, "answer"));
    if (bytes.length !== block!.lengthBytes) {
      throw new IntercloudError("LENGTH_MISMATCH", "integrity", "a provider answered with another length", {
        peers: [peer],
      });
    }
    yield { ...block!, bytes: new Uint8Array(bytes), digest: bodyDigest(bytes), signature };
  }
  return { peer, blocks: signedBy(asking, peer, blocks())[Symbol.asyncIterator]() };
}

async function* byChannels(
  asking: Asking,
  addUp: (members: readonly AnsweringMember[]) => AsyncIterable<Uint8Array>,
): AsyncIterable<Uint8Array> {
  const { user, record, token, signal } = asking;
  const { members: all, route, offsetBytes, lengthBytes } = record.descriptor;
  const asked = route === "chain" ? all.slice(-1) : all;
  const channels: Channel[] = [];
  const releases: (() => void)[] = [];
  let over = false;
  try {
    const members = await Promise.all(
      asked.map(async ({ peer }) => {
        const options = { timeoutMs: OPEN_TIMEOUT_MS, signal };
        const { request } = record;
        const opening = user.transport.open(peer, CUSTODY_PROTOCOL, "retrieve", { request }, options);
        const channel = await opening.catch((error) => Promise.reject(new RoundFailure(peer, error)));
        if (over) channel.abort(endedEarly());
        channels.push(channel);
        releases.push(abortOn(signal, channel));
        const blocks = receiveAnswer(channel, answerBlocks(token.lengthBytes, offsetBytes, lengthBytes));
        return { peer, blocks: signedBy(asking, peer, blocks)[Symbol.asyncIterator]() };
      }),
    );
    yield* addUp(members);
    // Everything is here and checked: how a provider ends its side is of no interest any more.
    await Promise.allSettled(channels.map((channel) => channel.close()));
  } finally {
    over = true;
    for (const release of releases) release();
    // A channel that is closed already does not mind; one that is not must not go on.
    for (const channel of channels) channel.abort(endedEarly());
  }
}

interface AnsweringMember {
  readonly peer: PeerName;
  readonly blocks: AsyncIterator<AnsweredBlock>;
}

/** The sums of what all members answer, block by block. What they signed stays at hand until the next block is asked for. */
async function* addedUp(
  user: CustodyUser,
  members: readonly AnsweringMember[],
  { answers, patience }: { readonly answers: Map<PeerName, SignedBlock>; readonly patience: Patience | undefined },
): AsyncIterable<Uint8Array> {
  for (;;) {
    const next = await nextBlocks(user, members, patience);
    answers.clear();
    if (next.some(({ done }) => done)) return;
    const blocks = next.map(({ value }) => value as AnsweredBlock);
    for (const [i, { bytes: _, ...signed }] of blocks.entries()) answers.set(members[i]!.peer, signed);
    const [{ bytes }, ...others] = blocks as [AnsweredBlock, ...AnsweredBlock[]];
    for (const other of others) {
      user.tools.kernel.addScaled(bytes, other.bytes, 1);
      release(other.bytes);
    }
    yield bytes;
  }
}

/** The next block of all members. @throws RoundFailure for one that is far behind the others. */
async function nextBlocks(
  user: CustodyUser,
  members: readonly AnsweringMember[],
  patience: Patience | undefined,
): Promise<IteratorResult<AnsweredBlock>[]> {
  const waitedFor = new Set(members);
  const asked = members.map(async (member) => {
    const block = await member.blocks.next();
    waitedFor.delete(member);
    return block;
  });
  const all = Promise.all(asked);
  if (patience === undefined || members.length < 2) return await all;
  await Promise.race([Promise.any(asked), all]);
  const late = Promise.withResolvers<never>();
  let cancelTimer = () => {};
  const watch = () => {
    cancelTimer = user.clock.after(patience.lagMs, () => {
      const laggards = [...waitedFor].map(({ peer }) => peer);
      // all of them if that is possible, else one
      const without = [laggards, laggards.slice(0, 1)].find((peers) => patience.canReplace(peers));
      if (laggards.length > 0 && without !== undefined && patience.mayReplace()) late.reject(new Lagging(without));
      else if (laggards.length > 0) watch();
    });
  };
  watch();
  try {
    return await Promise.race([all, late.promise]);
  } finally {
    cancelTimer();
    all.catch(() => {});
    late.promise.catch(() => {});
  }
}

/** Says whose answer it was that failed; one without a good signature is as bad as none. */
async function* signedBy(
  { record, keepingDigest }: Asking,
  peer: PeerName,
  blocks: AsyncIterable<AnsweredBlock>,
): AsyncIterable<AnsweredBlock> {
  try {
    for await (const block of blocks) {
      if (!isAnswerSigned(peer, { roundHash: record.roundHash, keepingDigest, ...block }, block.signature)) {
        const text = "a provider did not sign what it sent";
        throw new IntercloudError("UNSIGNED_ANSWER", "integrity", text, { peers: [peer] });
      }
      yield block;
    }
  } catch (error) {
    throw new RoundFailure(peer, error);
  }
}

function endedEarly(): IntercloudError {
  return new IntercloudError("CANCELLED", "cancelled", "the retrieval ended early");
}

function makeDescriptor(
  user: CustodyUser,
  { tokenId, token: { protocol }, placement: { manifest, roster } }: Located,
  plan: RoundPlan,
  userKey: Uint8Array,
): RoundDescriptor {
  return {
    version: 1,
    kind: protocol === 1 ? "fetch" : "retrieve",
    route: plan.route,
    dealId: manifest.dealId,
    tokenId,
    members: plan.members.map(({ point, peer }) => ({ point, peer })),
    userPoint: protocol === 2 ? roster.length + 1 : null,
    requester: user.transport.peer,
    userKey,
    nonce: user.entropy(NONCE_BYTES),
    offsetBytes: plan.offsetBytes,
    lengthBytes: manifest.lengthBytes - plan.offsetBytes,
    expiresAtMs: user.clock.nowMs() + REQUEST_LIFETIME_MS,
  };
}
