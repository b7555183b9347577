/**
 * A provider's part in a retrieval. Every provider checks for itself that the owner asks, or somebody whom the owner lets. In the
 * fanout route the user asks each member; in the chain route it asks the last one, who asks the one before, and so on to the
 * first, who has the ciphertext. Either way a member gives out nothing but what came in (or nothing), its layer and its mask,
 * added up, and signs each block of it.
 */
import { auditChange } from "../../audit/index.ts";
import { bodyDigest } from "../../crypto/block-digest.ts";
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
import { CUSTODY_PROTOCOL, MAX_SHORT_BYTES, OPEN_TIMEOUT_MS } from "../constants.ts";
import { requestShape, retrieveContentShape } from "../messages.ts";
import { requireReader } from "./access.ts";
import type { ActiveDeposits } from "./active.ts";
import { ciphertextName } from "./deposit-record.ts";
import { ownLayer, type Transform } from "./own-layer.ts";
import type { CustodyProvider } from "./provider.ts";
import type { AskedRetrieval, Refusals } from "./refusals.ts";
import { loadServing, type Serving } from "./serving.ts";

/** How the steps of an identity's retrievals begin, for `ActiveDeposits`. */
export function retrievalsOf(identity: Identity): string {
  return `retrieve ${identity} `;
}

/** By a channel: a range of any length, by either route. */
export async function retrieve(
  provider: CustodyProvider,
  active: ActiveDeposits,
  refusals: Refusals,
  channel: Channel,
  header: CborValue,
  context: Context,
): Promise<void> {
  const admitted = await admit(provider, refusals, header, context);
  await underWay(provider, active, refusals, admitted, context, async (transform, signal) => {
    const { serving, descriptor, request } = admitted;
    const release = abortOn(signal, channel);
    try {
      const input = await openInput(provider, serving, descriptor, request.bytes, signal);
      try {
        const sign = (block: AnswerBlock, digest: Uint8Array) => signed(provider, admitted, block, digest);
        await sendAnswer(channel, transform(input.bytes), blocksOf(serving, descriptor), sign);
        await channel.close();
      } catch (error) {
        input.before?.abort(error);
        throw error;
      }
    } finally {
      release();
    }
  });
}

/** By one question and one answer: a short range by the fanout route, which saves the opening of a stream. */
export async function read(
  provider: CustodyProvider,
  active: ActiveDeposits,
  refusals: Refusals,
  body: CborValue,
  context: Context,
): Promise<CborValue> {
  const admitted = await admit(provider, refusals, body, context);
  const { serving, descriptor, request } = admitted;
  const [block, ...more] = descriptor.lengthBytes > MAX_SHORT_BYTES ? [] : blocksOf(serving, descriptor);
  if (block === undefined || more.length > 0 || descriptor.route !== "fanout") {
    throw new IntercloudError("BAD_ROUND", "bad-request", "this is too much for one answer; open a channel");
  }
  return await underWay(provider, active, refusals, admitted, context, async (transform, signal) => {
    const input = await openInput(provider, serving, descriptor, request.bytes, signal);
    const bytes = new Uint8Array(block.lengthBytes);
    let filled = 0;
    for await (const piece of transform(input.bytes)) {
      bytes.set(piece, filled);
      filled += piece.length;
    }
    return { bytes, signature: signed(provider, admitted, block, bodyDigest(bytes)) };
  });
}

interface Admitted {
  readonly serving: Serving;
  readonly descriptor: RoundDescriptor;
  readonly roundHash: Uint8Array;
  readonly asked: AskedRetrieval;
  readonly request: { readonly bytes: Uint8Array; readonly nonce: Uint8Array };
}

/** Everything that is checked before we do anything. */
async function admit(
  provider: CustodyProvider,
  refusals: Refusals,
  body: CborValue,
  { from }: Context,
): Promise<Admitted> {
  const message = parseShape(requestShape, body, "retrieve");
  const nowMs = provider.clock.nowMs();
  const request = checkRequest(message.request, "retrieve", nowMs);
  const content = parseShape(retrieveContentShape, request.content, "retrieve request");
  const descriptor = decodeDescriptor(content.descriptor);
  const roundHash = descriptorHash(content.descriptor);
  const { identity, nonce } = request;
  const { tokenId, dealId } = descriptor;
  const asked = { tokenId, identity, purpose: "retrieve", from, roundDigest: roundHash };
  const serving = await refusals.watch(asked, async () => {
    const found = await loadServing(provider.store, tokenId, dealId);
    await requireReader(provider, found.terms, identity, "retrieve");
    requireRound(found, descriptor, nowMs);
    requireAsker(descriptor, provider.transport.peer, from);
    provider.replayGuard.admit(request, nowMs);
    return found;
  });
  return { serving, descriptor, roundHash, asked, request: { bytes: message.request, nonce } };
}

/** Runs `action` so that a revoke or a destroy ends it, with our layer and with its trace on disk. */
async function underWay<T>(
  provider: CustodyProvider,
  active: ActiveDeposits,
  refusals: Refusals,
  { serving, descriptor, roundHash, asked, request }: Admitted,
  context: Context,
  action: (transform: Transform, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { tokenId, offsetBytes, lengthBytes } = descriptor;
  const step = retrievalsOf(asked.identity) + hexOf(request.nonce);
  return await active.run(tokenId, step, context.signal, async (signal) => {
    const transform = await refusals.watch(asked, async () => {
      // Looked at again now that it is under way: a revoke or destroy that comes after this ends it, one that came before is seen.
      await requireReader(provider, serving.terms, asked.identity, "retrieve");
      return await ownLayer(provider, descriptor, roundHash);
    });
    // The trace is on disk before anything leaves: a node that could not write it hands nothing out.
    await provider.store.commit([auditChange({ kind: "served", ...asked, offsetBytes, lengthBytes })]);
    const result = await action(transform, signal);
    provider.observe({ kind: "served", tokenId, lengthBytes });
    return result;
  });
}

function signed(
  { signer }: CustodyProvider,
  { serving, roundHash }: Admitted,
  { offsetBytes }: AnswerBlock,
  digest: Uint8Array,
): Uint8Array {
  const { keepingDigest } = serving.placement.kept ?? { keepingDigest: new Uint8Array() };
  return signAnswer(signer, { roundHash, keepingDigest, offsetBytes, digest });
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

/** Protocol 3 needs t providers; Protocol 2 t-1 and the user's own share; Protocol 1 one that keeps the ciphertext. */
function requireRound({ terms, placement }: Serving, descriptor: RoundDescriptor, nowMs: number): void {
  const { manifest, roster } = placement;
  const { protocol } = terms.token;
  const withUser = protocol === 2;
  const count = protocol === 1 ? 1 : manifest.threshold - (withUser ? 1 : 0);
  const right =
    descriptor.kind === (protocol === 1 ? "fetch" : "retrieve") &&
    descriptor.members.length === count &&
    descriptor.members.every((member) => roster[member.point - 1] === member.peer) &&
    descriptor.userPoint === (withUser ? roster.length + 1 : null) &&
    descriptor.offsetBytes + descriptor.lengthBytes <= manifest.lengthBytes;
  if (!right) throw new IntercloudError("BAD_ROUND", "bad-request", "this round does not fit the deposit");
  if (descriptor.expiresAtMs < nowMs) {
    throw new IntercloudError("ROUND_EXPIRED", "expired", "this round is over; make a new request");
  }
}
