/** What a provider gives to another that repairs its own part of a deposit: its part of the round, or the ciphertext. */
import { auditChange } from "../../../audit/index.ts";
import { CLOCK_SKEW_MS, MAX_REQUEST_LIFETIME_MS } from "../../../identity/constants.ts";
import { decodeProviderRound, type ProviderRound, providerRoundHash } from "../../../rounds/provider-round.ts";
import type { CborValue } from "../../../wire/codec.ts";
import { IntercloudError } from "../../../wire/errors.ts";
import { parseShape } from "../../../wire/shape.ts";
import type { Channel, Context, PeerName } from "../../../wire/transport.ts";
import { abortOn } from "../../abort-on.ts";
import { repairCiphertextShape, repairPartShape } from "../../messages.ts";
import { keepersOf, type Placement } from "../../placement.ts";
import { ciphertextName } from "../deposit-record.ts";
import type { CustodyProvider } from "../provider.ts";
import { ownPart, tracePart } from "../provider-layer.ts";
import { noEnvelope, sendEnvelope } from "../serve-envelope.ts";
import { loadServing } from "../serving.ts";

/**
 * Our part of what makes the asking provider's own share, and nothing else: whoever asks, it learns the value at its own point only,
 * which was dealt to it anyway.
 */
export async function repairPart(
  provider: CustodyProvider,
  channel: Channel,
  header: CborValue,
  context: Context,
): Promise<void> {
  const { round: bytes } = parseShape(repairPartShape, header, "repair");
  const round = decodeProviderRound(bytes);
  const summand = round.summands[0]!;
  const { placement } = await loadServing(provider.store, round.tokenId, summand.dealId);
  if (!isRepairOf(round, placement, context.from)) {
    throw new IntercloudError("BAD_ROUND", "bad-request", "this round does not make the asking provider's own share");
  }
  requireTime(provider, round);
  const release = abortOn(context.signal, channel);
  try {
    const roundHash = providerRoundHash(bytes);
    await tracePart(provider, round, roundHash);
    await channel.sendBody(await ownPart(provider, round, roundHash));
    await channel.close();
  } finally {
    release();
  }
}

function isRepairOf(round: ProviderRound, { manifest, roster }: Placement, from: PeerName): boolean {
  const [summand, ...others] = round.summands;
  return (
    round.kind === "repair" &&
    others.length === 0 &&
    summand !== undefined &&
    round.collector === from &&
    summand.at > 0 &&
    roster[summand.at - 1] === from &&
    summand.members.length === manifest.threshold &&
    summand.members.every(({ point, peer }) => roster[point - 1] === peer && peer !== from) &&
    round.lengthBytes === manifest.lengthBytes
  );
}

function requireTime({ clock }: CustodyProvider, { expiresAtMs }: ProviderRound): void {
  const leftMs = expiresAtMs - clock.nowMs();
  if (leftMs > -CLOCK_SKEW_MS && leftMs < MAX_REQUEST_LIFETIME_MS + CLOCK_SKEW_MS) return;
  throw new IntercloudError("ROUND_EXPIRED", "expired", "this round is over, or of another time; make a new one");
}

/** The ciphertext, for another provider that should keep it too. */
export async function repairCiphertext(
  provider: CustodyProvider,
  channel: Channel,
  header: CborValue,
  context: Context,
): Promise<void> {
  const { tokenId, dealId } = parseShape(repairCiphertextShape, header, "repair");
  const { placement, holdsCiphertext } = await loadServing(provider.store, tokenId, dealId);
  if (!keepersOf(placement).includes(context.from)) {
    throw new IntercloudError(
      "NOT_A_KEEPER",
      "refused",
      "the ciphertext of this deposit is not for the asking provider",
    );
  }
  if (!holdsCiphertext) {
    throw new IntercloudError("NO_CIPHERTEXT", "not-found", "we keep no copy of this ciphertext; ask another provider");
  }
  const release = abortOn(context.signal, channel);
  try {
    await provider.store.commit([auditChange({ kind: "gave-ciphertext", tokenId, to: context.from })]);
    await channel.sendBody(provider.store.bodies.read(ciphertextName(tokenId, placement.generation), 0));
    await channel.close();
  } finally {
    release();
  }
}

/** The envelope, for the same. */
export async function repairEnvelope(
  provider: CustodyProvider,
  channel: Channel,
  header: CborValue,
  context: Context,
): Promise<void> {
  const { tokenId, dealId } = parseShape(repairCiphertextShape, header, "repair");
  const { placement, envelope } = await loadServing(provider.store, tokenId, dealId);
  if (!keepersOf(placement).includes(context.from)) {
    throw new IntercloudError("NOT_A_KEEPER", "refused", "the envelope of this deposit is not for the asking provider");
  }
  if (envelope === null) throw noEnvelope();
  await provider.store.commit([auditChange({ kind: "gave-envelope", tokenId, to: context.from })]);
  await sendEnvelope(provider, tokenId, channel, 0, context.signal);
}
