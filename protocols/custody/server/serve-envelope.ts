/**
 * Handing out the envelope that we keep, from an offset on: to somebody who may read the deposit, or to a provider that is to keep it as
 * well. It says nothing to whoever has not the key; but who fetches it leaves a trace, and a stranger gets nothing.
 */
import { auditChange } from "../../audit/index.ts";
import { digestOf } from "../../crypto/digest.ts";
import { hexOf } from "../../dealing/held-deal.ts";
import { checkRequest } from "../../identity/request.ts";
import type { CborValue } from "../../wire/codec.ts";
import { IntercloudError } from "../../wire/errors.ts";
import { parseShape } from "../../wire/shape.ts";
import type { Channel, Context } from "../../wire/transport.ts";
import { abortOn } from "../abort-on.ts";
import { readEnvelopeContentShape, requestShape } from "../messages.ts";
import { requireReader } from "./access.ts";
import type { ActiveDeposits } from "./active.ts";
import { envelopeName } from "./deposit-record.ts";
import type { CustodyProvider } from "./provider.ts";
import { requireAsked } from "./queries.ts";
import type { Refusals } from "./refusals.ts";
import { retrievalsOf } from "./retrieve.ts";
import { loadServing } from "./serving.ts";

export async function serveEnvelope(
  provider: CustodyProvider,
  active: ActiveDeposits,
  refusals: Refusals,
  channel: Channel,
  header: CborValue,
  context: Context,
): Promise<void> {
  const message = parseShape(requestShape, header, "read of an envelope");
  const nowMs = provider.clock.nowMs();
  const request = checkRequest(message.request, "retrieve", nowMs);
  const content = parseShape(readEnvelopeContentShape, request.content, "read of an envelope");
  const { tokenId, dealId, offsetBytes } = content;
  const { identity } = request;
  const { from } = context;
  const roundDigest = digestOf("intercloud/read-envelope/v1", message.request);
  const asked = { tokenId, identity, purpose: "retrieve", from, roundDigest };
  const serving = await refusals.watch(asked, async () => {
    const found = await loadServing(provider.store, tokenId, dealId);
    await requireReader(provider, found.terms, identity, "retrieve");
    requireAsked(provider, content.provider);
    provider.replayGuard.admit(request, nowMs);
    return found;
  });
  const { envelope, terms } = serving;
  if (envelope === null) throw noEnvelope();
  const lengthBytes = envelope.lengthBytes - offsetBytes;
  if (lengthBytes < 0)
    throw new IntercloudError("BAD_ROUND", "bad-request", "the envelope is shorter than this offset");

  // Named as a retrieval, so that a revoke or destroy ends it.
  const step = retrievalsOf(identity) + hexOf(request.nonce);
  await active.run(tokenId, step, context.signal, async (signal) => {
    await refusals.watch(asked, () => requireReader(provider, terms, identity, "retrieve"));
    const event = { kind: "served-envelope", tokenId, identity, from, offsetBytes, lengthBytes } as const;
    await provider.store.commit([auditChange(event)]);
    await sendEnvelope(provider, tokenId, channel, offsetBytes, signal);
    provider.observe({ kind: "served", tokenId, lengthBytes });
  });
}

export async function sendEnvelope(
  provider: CustodyProvider,
  tokenId: Uint8Array,
  channel: Channel,
  offsetBytes: number,
  signal: AbortSignal,
): Promise<void> {
  const release = abortOn(signal, channel);
  try {
    await channel.sendBody(provider.store.bodies.read(envelopeName(tokenId), offsetBytes));
    await channel.close();
  } finally {
    release();
  }
}

export function noEnvelope(): IntercloudError {
  return new IntercloudError("NO_ENVELOPE", "not-found", "we keep no envelope of this deposit; ask another provider");
}
