/**
 * The chain route of a deposit: the message visits the providers one after another, each laying its layer on what passes and
 * signing its link, and comes back to home as the ciphertext (KMaaS Protocols 2 and 3, with masks).
 */
import { pipe } from "it-pipe";
import { equalBytes } from "../../crypto/digest.ts";
import { checkLinks } from "../../tokens/chain.ts";
import { readLink } from "../../tokens/link.ts";
import type { CborValue } from "../../wire/codec.ts";
import { IntercloudError } from "../../wire/errors.ts";
import { parseShape } from "../../wire/shape.ts";
import type { Channel, Context, PeerName } from "../../wire/transport.ts";
import { abortOn } from "../abort-on.ts";
import { CUSTODY_PROTOCOL, OPEN_TIMEOUT_MS } from "../constants.ts";
import { chainExpectation, type DepositTerms } from "../deposit-terms.ts";
import { linksShape, pourShape } from "../messages.ts";
import { movingTimeoutMs, receiveChain, tellWaiting } from "../waiting-chain.ts";
import type { ActiveDeposits } from "./active.ts";
import { loadDeposit } from "./deposit-record.ts";
import { storeCiphertext } from "./keep.ts";
import { ownLayer } from "./own-layer.ts";
import type { CustodyProvider } from "./provider.ts";
import { ownStatement, signOwnLink } from "./sign-own-link.ts";
import { runStep } from "./step.ts";

export async function pour(
  provider: CustodyProvider,
  active: ActiveDeposits,
  channel: Channel,
  header: CborValue,
  context: Context,
): Promise<void> {
  const { tokenId, step } = parseShape(pourShape, header, "pour");
  const { terms } = await loadDeposit(provider.store, tokenId);
  const last = terms.roster.length;
  requireStep(terms, step, provider.transport.peer, context.from);
  await runStep({ provider, active, tokenId, name: `pour ${step}`, channel, context }, async (signal) => {
    if (step === last + 1) await receiveCiphertext(provider, terms, channel, signal);
    else await passOn(provider, terms, step, channel, signal);
  });
}

/** in -> digest -> our layer -> digest -> out; the channels at both ends do the digests. */
async function passOn(
  provider: CustodyProvider,
  terms: DepositTerms,
  step: number,
  channel: Channel,
  signal: AbortSignal,
): Promise<void> {
  const { tokenId, roster, descriptor, roundHash } = terms;
  await requireBound(provider, tokenId);
  const transform = await ownLayer(provider, descriptor, roundHash);
  const next = roster[step] ?? terms.token.home;
  const header = { tokenId, step: step + 1 };
  const onward = await provider.transport.open(next, CUSTODY_PROTOCOL, "pour", header, {
    timeoutMs: OPEN_TIMEOUT_MS,
    signal,
  });
  const release = abortOn(signal, onward);
  try {
    const body = channel.receiveBody({ lengthBytes: descriptor.lengthBytes });
    const sent = await pipe(body, transform, (source: AsyncIterable<Uint8Array>) => onward.sendBody(source));
    const { links } = parseShape(linksShape, await channel.receiveMessage(), "links");
    const previous = requireLinks(terms, channel.peer, links, step - 1, body.summary().digest);
    const statement = ownStatement(provider, terms, {
      index: step,
      digestIn: body.summary().digest,
      digestOut: sent.digest,
      previous,
      timeMs: provider.clock.nowMs(),
    });
    const link = await signOwnLink(provider, terms, statement);
    await onward.sendMessage({ links: [...links, link] });
    const waiting = tellWaiting(provider.clock, channel);
    const timeoutMs = movingTimeoutMs(descriptor.lengthBytes);
    const chain = await receiveChain(provider.clock, onward, timeoutMs).finally(() => waiting.stop());
    await channel.sendMessage(chain);
    await onward.close();
  } catch (error) {
    onward.abort(error);
    throw error;
  } finally {
    release();
  }
}

async function receiveCiphertext(
  provider: CustodyProvider,
  terms: DepositTerms,
  channel: Channel,
  signal: AbortSignal,
): Promise<void> {
  const body = channel.receiveBody({ lengthBytes: terms.descriptor.lengthBytes });
  const stored = await storeCiphertext(provider, terms, body, signal);
  try {
    const { digest } = body.summary();
    const { links } = parseShape(linksShape, await channel.receiveMessage(), "links");
    requireLinks(terms, channel.peer, links, terms.roster.length, digest);
    const digestFromOwner = readLink(links[0]!).statement.digestIn;
    const chain = await stored.keep(links, { digestFromOwner, digestsReceived: [digest], digest });
    await channel.sendMessage({ ...chain });
  } catch (error) {
    stored.giveUp(error);
    throw error;
  }
}

/**
 * The links so far must be all there and right, and the last must say that it sent what we received. Whoever sent them to
 * us has checked the same, so a chain that is broken here was broken by it.
 */
function requireLinks(
  terms: DepositTerms,
  from: PeerName,
  links: readonly Uint8Array[],
  count: number,
  received: Uint8Array,
): Uint8Array {
  const broken = checkLinks(chainExpectation(terms), links);
  if (links.length !== count || broken !== undefined) {
    throw new IntercloudError("CHAIN_BROKEN", "integrity", "the chain that came with the message is broken", {
      peers: [from],
    });
  }
  const last = links.at(-1);
  if (last === undefined) return terms.manifestDigest;
  const before = readLink(last);
  if (!equalBytes(before.statement.digestOut, received)) {
    throw new IntercloudError(
      "CHAIN_BROKEN",
      "integrity",
      "what came in is not what the provider before says it sent",
      {
        peers: [from],
      },
    );
  }
  return before.digest;
}

async function requireBound(provider: CustodyProvider, tokenId: Uint8Array): Promise<void> {
  const { record } = await loadDeposit(provider.store, tokenId);
  if (record.state === "bound") return;
  throw new IntercloudError("WRONG_STATE", "conflict", "the message of this deposit has passed here already");
}

/** Step k is for provider k, from provider k-1; step 1 from the peer that bound the deposit; step n+1 for home. */
function requireStep(terms: DepositTerms, step: number, self: PeerName, from: PeerName): void {
  const { roster } = terms;
  const receiver = step === roster.length + 1 ? roster[0] : roster[step - 1];
  const before = step === 1 ? terms.descriptor.requester : roster[step - 2];
  if (terms.token.route === "chain" && receiver === self && before === from) return;
  throw new IntercloudError("NOT_YOUR_STEP", "refused", "this peer has no such step in this deposit");
}
