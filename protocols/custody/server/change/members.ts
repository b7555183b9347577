/** What members and keepers of a refresh or move give to the new home, and take from it. Each checks the owner's request for itself. */
import { auditChange } from "../../../audit/index.ts";
import { equalBytes } from "../../../crypto/digest.ts";
import { checkKeptRequest } from "../../../identity/request.ts";
import { roundPeers } from "../../../rounds/provider-round.ts";
import type { CborValue } from "../../../wire/codec.ts";
import { IntercloudError } from "../../../wire/errors.ts";
import { parseShape } from "../../../wire/shape.ts";
import type { Channel, Context } from "../../../wire/transport.ts";
import { abortOn } from "../../abort-on.ts";
import { readKeeping } from "../../change/change-proof.ts";
import { type ChangeTerms, readChange, requireChangeOf } from "../../change/change-terms.ts";
import { signStatement } from "../../change/statements.ts";
import { changeHeaderShape, changeKeepingShape } from "../../messages.ts";
import { keepersOf } from "../../placement.ts";
import { tellWaiting } from "../../waiting-chain.ts";
import type { ActiveDeposits } from "../active.ts";
import { ciphertextName, findDeposit } from "../deposit-record.ts";
import type { CustodyProvider } from "../provider.ts";
import { ownPart, tracePart } from "../provider-layer.ts";
import { noEnvelope, sendEnvelope } from "../serve-envelope.ts";
import { advanceChange, findChange, isBefore, loadChange, requireOpen } from "./change-record.ts";
import { newEnvelope } from "./new-envelope.ts";

/** Our part of the round, then our signature on it. */
export async function changePart(
  provider: CustodyProvider,
  channel: Channel,
  header: CborValue,
  context: Context,
): Promise<void> {
  const change = await admit(provider, header, context);
  const self = provider.transport.peer;
  if (!roundPeers(change.round).includes(self)) {
    throw new IntercloudError("NOT_A_MEMBER", "refused", "we have no part in this round");
  }
  const release = abortOn(context.signal, channel);
  try {
    await tracePart(provider, change.round, change.roundHash);
    const sent = await channel.sendBody(await ownPart(provider, change.round, change.roundHash));
    const statement = signStatement(
      {
        ...{ kind: "part", version: 1, tokenId: change.tokenId, generation: change.next.generation },
        ...{ change: change.digest, peer: self, timeMs: provider.clock.nowMs(), digestOut: sent.digest },
      },
      provider.signer,
    );
    await channel.sendMessage({ statement });
    await channel.close();
  } finally {
    release();
  }
}

/** The ciphertext as it is now, for a new home that has none. */
export async function changeCiphertext(
  provider: CustodyProvider,
  channel: Channel,
  header: CborValue,
  context: Context,
): Promise<void> {
  const change = await admit(provider, header, context);
  const deposit = await findDeposit(provider.store, change.tokenId);
  if (!isBefore(change, deposit) || !deposit.record.holdsCiphertext) {
    throw new IntercloudError("NO_CIPHERTEXT", "not-found", "we keep no copy of this ciphertext; ask another provider");
  }
  const release = abortOn(context.signal, channel);
  try {
    const name = ciphertextName(change.tokenId, deposit.placement.generation);
    const { tokenId } = change;
    await provider.store.commit([auditChange({ kind: "gave-ciphertext", tokenId, to: context.from })]);
    await channel.sendBody(provider.store.bodies.read(name, 0));
    await channel.close();
  } finally {
    release();
  }
}

/** The envelope, for a provider that is to keep it from now on. The owner's change names it, and it may come from there only. */
export async function changeEnvelope(
  provider: CustodyProvider,
  channel: Channel,
  header: CborValue,
  context: Context,
): Promise<void> {
  const { request } = parseShape(changeHeaderShape, header, "change");
  const change = readChange(request, checkKeptRequest(request, "change"));
  requireOpen(provider, change);
  if (!keepersOf(change.next).includes(context.from)) {
    throw new IntercloudError("NOT_A_KEEPER", "refused", "the asking provider is not to keep this envelope");
  }
  const { tokenId } = change;
  const deposit = await findDeposit(provider.store, tokenId);
  if (deposit?.record.state !== "sealed" || deposit.record.envelope === null) throw noEnvelope();
  requireChangeOf(change, deposit.terms, deposit.placement);
  await provider.store.commit([auditChange({ kind: "gave-envelope", tokenId, to: context.from })]);
  await sendEnvelope(provider, tokenId, channel, 0, context.signal);
}

/** A copy of the new ciphertext; it counts when the new home has signed that these are the bytes. */
export async function changeCopy(
  provider: CustodyProvider,
  active: ActiveDeposits,
  channel: Channel,
  header: CborValue,
  context: Context,
): Promise<void> {
  const change = await admit(provider, header, context);
  if (!keepersOf(change.next).slice(1).includes(provider.transport.peer)) {
    throw new IntercloudError("NOT_A_KEEPER", "refused", "we are not to keep a copy of this ciphertext");
  }
  const stored = await loadChange(provider, change);
  if (stored.record.state === "active") {
    throw new IntercloudError("WRONG_STATE", "conflict", "we have promised to keep the copy that we have");
  }
  await active.run(change.tokenId, "change-copy", context.signal, async (signal) => {
    const release = abortOn(signal, channel);
    try {
      const body = channel.receiveBody({ lengthBytes: change.round.lengthBytes });
      await provider.store.bodies.write(ciphertextName(change.tokenId, change.next.generation), body);
      const { keeping } = parseShape(changeKeepingShape, await channel.receiveMessage(), "keeping");
      if (!equalBytes(readKeeping(change, keeping).digestKept, body.summary().digest)) {
        throw new IntercloudError("WRONG_COPY", "integrity", "the new home sent other bytes than it says it keeps", {
          peers: [context.from],
        });
      }
      const waiting = tellWaiting(provider.clock, channel);
      const envelope = await newEnvelope(provider, stored, signal).finally(() => waiting.stop());
      const kept = { keeping, envelope, holdsCiphertext: true };
      await advanceChange(provider, change, "change-kept", (record) => ({ ...record, ...kept }));
      await channel.sendMessage({});
      await channel.close();
    } finally {
      release();
    }
  });
}

/**
 * The owner's change, from the new home, in time. A new holder has held it against the deposit when it prepared; an old one does so now. Asked twice, we give the same bytes twice: the masks are bound to the round.
 */
async function admit(provider: CustodyProvider, header: CborValue, context: Context): Promise<ChangeTerms> {
  const { request } = parseShape(changeHeaderShape, header, "change");
  const change = readChange(request, checkKeptRequest(request, "change"));
  requireOpen(provider, change);
  if (context.from !== change.round.collector) {
    throw new IntercloudError("NOT_THE_COLLECTOR", "refused", "only the new home may ask for this");
  }
  const prepared = await findChange(provider.store, change.tokenId);
  if (prepared !== undefined && equalBytes(prepared.change.digest, change.digest)) return change;
  const deposit = await findDeposit(provider.store, change.tokenId);
  if (deposit?.record.state === "sealed") requireChangeOf(change, deposit.terms, deposit.placement);
  else await loadChange(provider, change);
  return change;
}
