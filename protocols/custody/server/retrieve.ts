/**
 * A provider's part in a retrieval. Every provider checks for itself that the owner asks, or somebody whom the owner lets. In the
 * fanout route the user asks each member; in the chain route it asks the last one, who asks the one before, and so on to the
 * first, who has the ciphertext. Either way a member gives out nothing but what came in (or nothing), its layer and its mask,
 * added up, and signs each block of it.
 */
import { auditChange } from "../../audit/index.ts";
import { hexOf } from "../../dealing/held-deal.ts";
import type { Identity } from "../../identity/identity.ts";
import { checkRequest } from "../../identity/request.ts";
import { decodeDescriptor, descriptorHash, type RoundDescriptor } from "../../rounds/descriptor.ts";
import { zeros } from "../../rounds/zeros.ts";
import { type AnswerBlock, answerBlocks, signAnswer } from "../../tokens/answer.ts";
import type { CborValue } from "../../wire/codec.ts";
import { IntercloudError } from "../../wire/errors.ts";
import { parseShape } from "../../wire/shape.ts";
import type { Channel, Context, PeerName } from "../../wire/transport.ts";
import { abortOn } from "../abort-on.ts";
import { receiveAnswerBytes, sendAnswer } from "../answer-stream.ts";
import { CUSTODY_PROTOCOL, OPEN_TIMEOUT_MS } from "../constants.ts";
import { requestShape, retrieveContentShape } from "../messages.ts";
import { requireReader } from "./access.ts";
import type { ActiveDeposits } from "./active.ts";
import { ciphertextName } from "./deposit-record.ts";
import { ownLayer, type Transform } from "./own-layer.ts";
import type { CustodyProvider } from "./provider.ts";
import type { Refusals } from "./refusals.ts";
import { loadServing, type Serving } from "./serving.ts";

/** How the steps of an identity's retrievals begin, for `ActiveDeposits`. */
export function retrievalsOf(identity: Identity): string {
  return `retrieve ${identity} `;
}

export async function retrieve(
  provider: CustodyProvider,
  active: ActiveDeposits,
  refusals: Refusals,
  channel: Channel,
  header: CborValue,
  context: Context,
): Promise<void> {
  const message = parseShape(requestShape, header, "retrieve");
  const nowMs = provider.clock.nowMs();
  const request = checkRequest(message.request, "retrieve", nowMs);
  const content = parseShape(retrieveContentShape, request.content, "retrieve request");
  const descriptor = decodeDescriptor(content.descriptor);
  const roundHash = descriptorHash(content.descriptor);
  const { identity } = request;
  const { tokenId } = descriptor;
  const asked = { tokenId, identity, purpose: "retrieve", from: context.from, roundDigest: roundHash };
  const serving = await refusals.watch(asked, async () => {
    const found = await loadServing(provider.store, tokenId, descriptor.dealId);
    await requireReader(provider, found.terms, identity, "retrieve");
    requireRound(found, descriptor, nowMs);
    requireAsker(descriptor, provider.transport.peer, context.from);
    provider.replayGuard.admit(request, nowMs);
    return found;
  });

  const step = retrievalsOf(identity) + hexOf(request.nonce);
  const round = { descriptor, roundHash, request: message.request };
  await active.run(tokenId, step, context.signal, async (signal) => {
    const transform = await refusals.watch(asked, async () => {
      // Looked at again now that it is under way: a revoke or destroy that comes after this ends it, one that came before is seen.
      await requireReader(provider, serving.terms, identity, "retrieve");
      return await ownLayer(provider, descriptor, roundHash);
    });
    const { offsetBytes, lengthBytes } = descriptor;
    // The trace is on disk before anything leaves: a node that could not write it hands nothing out.
    await provider.store.commit([auditChange({ kind: "served", ...asked, offsetBytes, lengthBytes })]);
    await serve(provider, serving, channel, { ...round, transform }, signal);
  });
}

interface Round {
  readonly descriptor: RoundDescriptor;
  readonly roundHash: Uint8Array;
  readonly request: Uint8Array;
  readonly transform: Transform;
}

async function serve(
  provider: CustodyProvider,
  serving: Serving,
  channel: Channel,
  { descriptor, roundHash, request, transform }: Round,
  signal: AbortSignal,
): Promise<void> {
  const release = abortOn(signal, channel);
  try {
    const input = await openInput(provider, serving, descriptor, request, signal);
    try {
      const blocks = blocksOf(serving, descriptor);
      const { keepingDigest } = serving.placement.kept ?? { keepingDigest: new Uint8Array() };
      await sendAnswer(channel, transform(input.bytes), blocks, ({ offsetBytes }, digest) =>
        signAnswer(provider.signer, { roundHash, keepingDigest, offsetBytes, digest }),
      );
      await channel.close();
      const { tokenId, lengthBytes } = descriptor;
      provider.observe({ kind: "served", tokenId, lengthBytes });
    } catch (error) {
      input.before?.abort(error);
      throw error;
    }
  } finally {
    release();
  }
}

interface Input {
  readonly bytes: AsyncIterable<Uint8Array>;
  /** The channel to the member before us, in the chain route. */
  readonly before?: Channel;
}

async function openInput(
  provider: CustodyProvider,
  serving: Serving,
  descriptor: RoundDescriptor,
  request: Uint8Array,
  signal: AbortSignal,
): Promise<Input> {
  const position = descriptor.members.findIndex((member) => member.peer === provider.transport.peer);
  if (position === 0) return { bytes: ciphertext(provider, serving, descriptor) };
  if (descriptor.route === "fanout") return { bytes: zeros(descriptor.lengthBytes) };
  const peer = descriptor.members[position - 1]!.peer;
  const options = { timeoutMs: OPEN_TIMEOUT_MS, signal };
  const before = await provider.transport.open(peer, CUSTODY_PROTOCOL, "retrieve", { request }, options);
  abortOn(signal, before);
  return { bytes: receiveAnswerBytes(before, blocksOf(serving, descriptor)), before };
}

function blocksOf({ terms }: Serving, { offsetBytes, lengthBytes }: RoundDescriptor): Iterable<AnswerBlock> {
  return answerBlocks(terms.token.lengthBytes, offsetBytes, lengthBytes);
}

/** The round's range of the ciphertext. */
function ciphertext(
  provider: CustodyProvider,
  { terms, placement, holdsCiphertext }: Serving,
  { offsetBytes, lengthBytes }: RoundDescriptor,
): AsyncIterable<Uint8Array> {
  if (!holdsCiphertext) {
    throw new IntercloudError("NO_CIPHERTEXT", "not-found", "we keep no copy of this ciphertext; ask another provider");
  }
  const name = ciphertextName(terms.tokenId, placement.generation);
  return take(provider.store.bodies.read(name, offsetBytes), lengthBytes);
}

async function* take(source: AsyncIterable<Uint8Array>, lengthBytes: number): AsyncIterable<Uint8Array> {
  let leftBytes = lengthBytes;
  for await (const chunk of source) {
    if (leftBytes === 0) return;
    const piece = chunk.subarray(0, leftBytes);
    leftBytes -= piece.length;
    yield piece;
  }
  if (leftBytes > 0) {
    throw new IntercloudError("BODY_DAMAGED", "damaged", "our copy of this ciphertext is shorter than it should be");
  }
}

/** The requester itself; in the chain route, where a request is handed on, the member after us. */
function requireAsker(descriptor: RoundDescriptor, self: PeerName, from: PeerName): void {
  const { members, route, requester } = descriptor;
  const after = members[members.findIndex((member) => member.peer === self) + 1];
  const asker = route === "chain" && after !== undefined ? after.peer : requester;
  if (from === asker) return;
  throw new IntercloudError("NOT_THE_REQUESTER", "refused", "this request was made by another peer");
}

/** Protocol 3 needs t providers; Protocol 2 t-1 and the user's own share. */
function requireRound({ terms, placement }: Serving, descriptor: RoundDescriptor, nowMs: number): void {
  const { manifest, roster } = placement;
  const withUser = terms.token.protocol === 2;
  const count = manifest.threshold - (withUser ? 1 : 0);
  const right =
    descriptor.kind === "retrieve" &&
    descriptor.members.length === count &&
    descriptor.members.every((member) => roster[member.point - 1] === member.peer) &&
    descriptor.userPoint === (withUser ? roster.length + 1 : null) &&
    descriptor.offsetBytes + descriptor.lengthBytes <= manifest.lengthBytes;
  if (!right) throw new IntercloudError("BAD_ROUND", "bad-request", "this round does not fit the deposit");
  if (descriptor.expiresAtMs < nowMs) {
    throw new IntercloudError("ROUND_EXPIRED", "expired", "this round is over; make a new request");
  }
}
