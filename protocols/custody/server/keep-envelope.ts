/**
 * Keeping an envelope: the owner streams the age file to home, which stores it and passes it on to the other keepers while it comes.
 * Its length is not known before its end. Nothing of it counts before the owner's closing request names it.
 */
import { auditChange } from "../../audit/index.ts";
import { withDeal } from "../../dealing/held-deal.ts";
import type { CborValue } from "../../wire/codec.ts";
import { IntercloudError } from "../../wire/errors.ts";
import { parseShape, readAnswer } from "../../wire/shape.ts";
import type { Channel, Context, PeerName } from "../../wire/transport.ts";
import { abortOn } from "../abort-on.ts";
import {
  CUSTODY_PROTOCOL,
  ENVELOPE_HEAD_BYTES,
  ENVELOPE_KEEP_ALIVE_MS,
  MAX_ENVELOPE_BYTES,
  OPEN_TIMEOUT_MS,
  ROOM_CHECK_BYTES,
} from "../constants.ts";
import { type DepositTerms, keepers } from "../deposit-terms.ts";
import { isSameEnvelope, type KeptEnvelope } from "../kept-envelope.ts";
import { depositHeaderShape, envelopeKeptShape } from "../messages.ts";
import { movingTimeoutMs, receiveChain, tellWaiting } from "../waiting-chain.ts";
import type { ActiveDeposits } from "./active.ts";
import { allOrFirstCause } from "./all-or-first-cause.ts";
import { overQuota, requireFree } from "./bind.ts";
import { depositChange, envelopeName, loadDeposit } from "./deposit-record.ts";
import { quotaLeft } from "./owner-usage.ts";
import type { CustodyProvider } from "./provider.ts";
import { runStep } from "./step.ts";
import { tee } from "./tee.ts";

/** At home, from the owner; at the other keepers, from home. */
export async function receiveEnvelope(
  provider: CustodyProvider,
  active: ActiveDeposits,
  channel: Channel,
  header: CborValue,
  context: Context,
): Promise<void> {
  const { tokenId } = parseShape(depositHeaderShape, header, "envelope");
  const { terms, record } = await loadDeposit(provider.store, tokenId);
  const self = provider.transport.peer;
  const isHome = terms.token.home === self;
  const giver = isHome ? terms.descriptor.requester : terms.token.home;
  const isDue = terms.token.policy.form === "envelope" && record.state !== "sealed" && record.envelope === null;
  if (context.from !== giver || !keepers(terms).includes(self) || !isDue) {
    throw new IntercloudError(
      "NOT_YOUR_STEP",
      "refused",
      "no envelope of this deposit is due here, or not from this peer",
    );
  }
  await runStep({ provider, active, tokenId, name: "envelope", channel, context }, async (signal) => {
    const over = new AbortController();
    const expired = new IntercloudError("DEAL_USED", "expired", "the time of this deal is over; make a new deposit");
    const leftMs = Math.max(0, terms.manifest.expiresAtMs - provider.clock.nowMs());
    const disarm = provider.clock.after(leftMs, () => over.abort(expired));
    const release = abortOn(over.signal, channel);
    try {
      const others = isHome ? keepers(terms).slice(1) : [];
      const envelope = await keep(provider, terms, channel, others, AbortSignal.any([signal, over.signal]));
      provider.observe({ kind: "kept-envelope", tokenId });
      await channel.sendMessage({ envelope });
    } finally {
      disarm();
      release();
    }
  });
}

async function keep(
  provider: CustodyProvider,
  terms: DepositTerms,
  channel: Channel,
  others: readonly PeerName[],
  signal: AbortSignal,
): Promise<KeptEnvelope> {
  const { tokenId } = terms;
  const copies: Channel[] = [];
  try {
    await openCopies(provider, tokenId, others, signal, copies);
    const body = channel.receiveBody({ maxBytes: MAX_ENVELOPE_BYTES });
    const [own, ...sent] = tee(withinLimits(provider, terms, body), 1 + copies.length);
    const writing = provider.store.bodies.write(envelopeName(tokenId), own!);
    const options = { keepAliveMs: ENVELOPE_KEEP_ALIVE_MS };
    await allOrFirstCause([writing, ...copies.map((copy, i) => copy.sendBody(sent[i]!, options))]);
    const { lengthBytes, digest } = body.summary();
    const envelope = { lengthBytes, digest };
    const waiting = tellWaiting(provider.clock, channel);
    try {
      await Promise.all(copies.map((copy) => confirmed(provider, copy, envelope)));
      await commitKept(provider, terms, envelope);
    } finally {
      await waiting.stop();
    }
    return envelope;
  } catch (error) {
    for (const copy of copies) copy?.abort(error);
    throw error;
  }
}

/** Fills `copies` with channels to the other keepers, also when some cannot be opened. */
async function openCopies(
  provider: CustodyProvider,
  tokenId: Uint8Array,
  others: readonly PeerName[],
  signal: AbortSignal,
  copies: Channel[],
): Promise<void> {
  const options = { timeoutMs: OPEN_TIMEOUT_MS, signal };
  const opening = others.map(async (peer, i) => {
    const copy = await provider.transport.open(peer, CUSTODY_PROTOCOL, "envelope", { tokenId }, options);
    copies[i] = copy;
    abortOn(signal, copy);
  });
  await allOrFirstCause(opening);
}

/** The other keeper has on its disk what we have on ours. */
async function confirmed({ clock }: CustodyProvider, copy: Channel, envelope: KeptEnvelope): Promise<void> {
  const answer = await receiveChain(clock, copy, movingTimeoutMs(envelope.lengthBytes));
  const kept = readAnswer(copy.peer, "envelope", () => parseShape(envelopeKeptShape, answer, "envelope"));
  if (!isSameEnvelope(kept.envelope, envelope)) {
    throw new IntercloudError("WRONG_COPY", "integrity", "a keeper says that it keeps another envelope", {
      peers: [copy.peer],
    });
  }
  await copy.close();
}

/** Quota and free disk are looked at as it grows, because nobody knows how long it will be. */
async function* withinLimits(
  provider: CustodyProvider,
  { token }: DepositTerms,
  source: AsyncIterable<Uint8Array>,
): AsyncIterable<Uint8Array> {
  const leftBytes = await quotaLeft(provider, token.owner);
  const { maxMessageBytes } = provider.limits;
  const maxBytes = maxMessageBytes + Math.ceil(maxMessageBytes / 2 ** 12) + ENVELOPE_HEAD_BYTES;
  let lengthBytes = 0;
  let checkedBytes = 0;
  await requireFree(provider, 0);
  for await (const chunk of source) {
    lengthBytes += chunk.length;
    if (lengthBytes > maxBytes) {
      throw new IntercloudError("TOO_LARGE", "full", "the message is larger than we take", {
        limitBytes: maxMessageBytes,
      });
    }
    if (lengthBytes > leftBytes) throw overQuota(provider);
    if (lengthBytes - checkedBytes >= ROOM_CHECK_BYTES) {
      checkedBytes = lengthBytes;
      await requireFree(provider, 0);
    }
    yield chunk;
  }
}

async function commitKept(provider: CustodyProvider, terms: DepositTerms, envelope: KeptEnvelope): Promise<void> {
  const { tokenId } = terms;
  await withDeal(provider.store, terms.manifest.dealId, async () => {
    const { record } = await loadDeposit(provider.store, tokenId);
    if (record.state === "sealed") {
      throw new IntercloudError("WRONG_STATE", "conflict", "this deposit is sealed already");
    }
    const storedBytes = record.storedBytes + envelope.lengthBytes;
    await provider.store.commit([
      depositChange(tokenId, { ...record, envelope, storedBytes }),
      auditChange({ kind: "kept-envelope", tokenId, lengthBytes: envelope.lengthBytes }),
    ]);
  });
}
