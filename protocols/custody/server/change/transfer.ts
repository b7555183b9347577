/**
 * The middle of a refresh or move: the new home turns the old ciphertext into the new one. It gets the parts of t old and t new
 * members, whose sum is f(0) XOR f'(0) and says nothing about either, and adds it to the old ciphertext. Everybody signs what it sent.
 */
import { digestTap } from "../../../crypto/block-digest.ts";
import { equalBytes } from "../../../crypto/digest.ts";
import { checkKeptRequest } from "../../../identity/request.ts";
import { roundPeers } from "../../../rounds/provider-round.ts";
import { sum } from "../../../rounds/sum.ts";
import type { CborValue } from "../../../wire/codec.ts";
import { IntercloudError } from "../../../wire/errors.ts";
import { parseShape, readAnswer } from "../../../wire/shape.ts";
import type { Channel, Context, PeerName } from "../../../wire/transport.ts";
import { abortOn } from "../../abort-on.ts";
import { readChange } from "../../change/change-terms.ts";
import { readStatement, signStatement } from "../../change/statements.ts";
import { CUSTODY_PROTOCOL, OPEN_TIMEOUT_MS } from "../../constants.ts";
import { changeHeaderShape, partStatementShape } from "../../messages.ts";
import { keepersOf } from "../../placement.ts";
import { movingTimeoutMs, receiveChain, tellWaiting } from "../../waiting-chain.ts";
import type { ActiveDeposits } from "../active.ts";
import { allOrFirstCause } from "../all-or-first-cause.ts";
import { ciphertextName, findDeposit } from "../deposit-record.ts";
import type { CustodyProvider } from "../provider.ts";
import { ownPart, tracePart } from "../provider-layer.ts";
import { tee } from "../tee.ts";
import { advanceChange, before, isBefore, loadChange, requireOpen, type StoredChange } from "./change-record.ts";
import { newEnvelope } from "./new-envelope.ts";

/** At the new home, from the owner's client, which hears the home's statement and everybody else's. */
export async function transfer(
  provider: CustodyProvider,
  active: ActiveDeposits,
  channel: Channel,
  header: CborValue,
  context: Context,
): Promise<void> {
  const { request } = parseShape(changeHeaderShape, header, "transfer");
  const stored = await loadChange(provider, readChange(request, checkKeptRequest(request, "change")));
  const { change, record } = stored;
  const self = provider.transport.peer;
  if (change.round.collector !== self) {
    throw new IntercloudError("NOT_YOUR_STEP", "refused", "the new home of this deposit is another provider");
  }
  if (record.keeping !== null && record.holdsCiphertext) return await answer(channel, record.keeping);
  requireOpen(provider, change);
  await active.run(change.tokenId, "transfer", context.signal, async (signal) => {
    const release = abortOn(signal, channel);
    try {
      const waiting = tellWaiting(provider.clock, channel);
      const keeping = await makeCiphertext(provider, stored, signal).finally(() => waiting.stop());
      await answer(channel, keeping);
    } finally {
      release();
    }
  });
}

async function answer(channel: Channel, keeping: Uint8Array): Promise<void> {
  await channel.sendMessage({ keeping });
  await channel.close();
}

async function makeCiphertext(
  provider: CustodyProvider,
  stored: StoredChange,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const { change, record } = stored;
  const { next, round } = change;
  const self = provider.transport.peer;
  const others = roundPeers(round).filter((peer) => peer !== self);
  const channels: Channel[] = [];
  const opened = async (peer: PeerName, method: string) => {
    const options = { timeoutMs: OPEN_TIMEOUT_MS, signal };
    const channel = await provider.transport.open(peer, CUSTODY_PROTOCOL, method, { request: record.request }, options);
    channels.push(channel);
    abortOn(signal, channel);
    return channel;
  };
  try {
    const envelope = await newEnvelope(provider, stored, signal);
    const before = await openCiphertext(provider, stored, opened);
    const parts = await Promise.all(others.map(async (peer) => ({ peer, channel: await opened(peer, "change-part") })));
    const copies = await Promise.all(
      keepersOf(next)
        .slice(1)
        .map((peer) => opened(peer, "change-copy")),
    );
    const bodies = parts.map(({ channel }) => channel.receiveBody({ lengthBytes: round.lengthBytes }));
    const taps = { before: digestTap(), own: digestTap(), kept: digestTap() };
    const isMember = roundPeers(round).includes(self);
    if (isMember) await tracePart(provider, round, change.roundHash);
    const own = isMember ? [taps.own.through(await ownPart(provider, round, change.roundHash))] : [];
    const made = sum(taps.before.through(before.bytes), [...own, ...bodies], provider.tools.kernel);
    const [kept, ...sent] = tee(taps.kept.through(made), 1 + copies.length);
    const name = ciphertextName(change.tokenId, next.generation);
    const writing = provider.store.bodies.write(name, kept!);
    await allOrFirstCause([writing, ...copies.map((copy, i) => copy.sendBody(sent[i]!))]);

    const digestBefore = taps.before.digest();
    if (!equalBytes(digestBefore, before.expectedDigest)) throw wrongCiphertext(before.from);
    const received = await Promise.all(
      parts.map(async ({ peer, channel }, i) => {
        const answer = await channel.receiveMessage();
        const { digest } = bodies[i]!.summary();
        const said = readAnswer(peer, "change-part", () => {
          const { statement } = parseShape(partStatementShape, answer, "part");
          return readStatement(statement, "part", change.digest, peer);
        });
        if (!equalBytes(said.digestOut, digest)) throw wrongPart(peer);
        return { peer, digest };
      }),
    );
    if (isMember) received.push({ peer: self, digest: taps.own.digest() });
    const keeping = signStatement(
      {
        ...{ kind: "keeping", version: 1, tokenId: change.tokenId, generation: next.generation },
        ...{ change: change.digest, peer: self, timeMs: provider.clock.nowMs() },
        ...{ digestBefore, parts: received, digestKept: taps.kept.digest() },
      },
      provider.signer,
    );
    await Promise.all(
      copies.map(async (copy) => {
        await copy.sendMessage({ keeping });
        await receiveChain(provider.clock, copy, movingTimeoutMs(round.lengthBytes + (envelope?.lengthBytes ?? 0)));
        await copy.close();
      }),
    );
    await advanceChange(provider, change, "change-kept", (now) => ({
      ...{ ...now, keeping, envelope, holdsCiphertext: true },
    }));
    await Promise.all(channels.map((channel) => channel.close()));
    return keeping;
  } catch (error) {
    for (const channel of channels) channel.abort(error);
    throw error;
  }
}

interface Before {
  readonly bytes: AsyncIterable<Uint8Array>;
  readonly from: PeerName;
  readonly expectedDigest: Uint8Array;
}

/** The old ciphertext: our own, or that of the first old keeper that gives it to us. */
async function openCiphertext(
  provider: CustodyProvider,
  stored: StoredChange,
  open: (peer: PeerName, method: string) => Promise<Channel>,
): Promise<Before> {
  const self = provider.transport.peer;
  const { change } = stored;
  const deposit = await findDeposit(provider.store, change.tokenId);
  const { placement } = await before(provider.store, stored);
  const expectedDigest = placement.kept?.ciphertextDigest ?? new Uint8Array();
  if (isBefore(change, deposit) && deposit.record.holdsCiphertext) {
    const name = ciphertextName(change.tokenId, placement.generation);
    return { bytes: provider.store.bodies.read(name, 0), from: self, expectedDigest };
  }
  let last: unknown;
  for (const peer of keepersOf(placement)) {
    if (peer === self) continue;
    try {
      const channel = await open(peer, "change-ciphertext");
      const bytes = channel.receiveBody({ lengthBytes: change.round.lengthBytes });
      return { bytes, from: peer, expectedDigest };
    } catch (error) {
      last = error;
    }
  }
  throw new IntercloudError(
    "NO_CIPHERTEXT",
    "unreachable",
    "no provider that keeps the ciphertext gave it to us",
    {},
    last,
  );
}

function wrongCiphertext(from: PeerName): IntercloudError {
  const text = "the old ciphertext is not the one that was signed for; repair the deposit first";
  return new IntercloudError("WRONG_COPY", "integrity", text, { peers: [from] });
}

function wrongPart(from: PeerName): IntercloudError {
  const text = "a provider signed something else than it sent";
  return new IntercloudError("WRONG_PART", "integrity", text, { peers: [from] });
}
