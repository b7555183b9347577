/**
 * What becomes of a lot when its owner has not come back to seal it here: it may have sealed it at some of us before it died. Whoever has
 * sealed it shows the others with what, and they seal it, too.
 */
import type { CborValue } from "../../../wire/codec.ts";
import { IntercloudError } from "../../../wire/errors.ts";
import { parseShape } from "../../../wire/shape.ts";
import type { Channel, Context, PeerName } from "../../../wire/transport.ts";
import { piecesOf, receiveWhole } from "../../../wire/whole-body.ts";
import { abortOn } from "../../abort-on.ts";
import { CUSTODY_PROTOCOL, LOT_LIFETIME_MS, LOT_STEP_TIMEOUT_MS, OPEN_TIMEOUT_MS } from "../../constants.ts";
import { lotPartShape, lotStatusShape, type SealLot } from "../../lot/lot-messages.ts";
import type { LotStatements } from "../../lot/lot-statements.ts";
import type { CustodyProvider } from "../provider.ts";
import { burnLot } from "./burn-lot.ts";
import { findLinkedLot, linkedLots, restoreLinkedLot } from "./linked-lot.ts";
import { findLot } from "./lot-record.ts";
import { acceptSeal, sealBytes } from "./seal-lot.ts";

/** For another provider of the lot. */
export async function lotStatus(
  provider: CustodyProvider,
  channel: Channel,
  header: CborValue,
  { from }: Context,
): Promise<void> {
  const { lotId } = parseShape(lotPartShape, header, "question about a lot");
  const lot = await findLot(provider.store, lotId);
  if (lot === undefined || !lot.statements.roster.includes(from)) {
    await channel.sendMessage({ seal: null });
    return await channel.close();
  }
  const { signatures, columns } = lot;
  const seal: SealLot = {
    ...{ lotId, tag: signatures.closingTag, signature: signatures.closingSignature },
    ...{ terms: { ...signatures.closingTerms, purpose: "deposit" }, links: [...signatures.linkSignatures] },
    keeping: { timeMs: columns.keepingTimeMs, signature: signatures.keepingSignature },
  };
  await channel.sendMessage({ seal });
  await channel.sendBody(piecesOf(columns.digestsFromOwner, columns.digestsKept));
  await channel.close();
}

/**
 * Every lot that we have signed and that nobody has sealed here, once its owner has had its time: what others show is sealed here, too.
 * When the time of its deal is over, and all others say that they have not sealed it, it is burnt.
 */
export async function settleLots(provider: CustodyProvider, signal: AbortSignal): Promise<void> {
  const { store, clock } = provider;
  const away = new Set<PeerName>();
  for (const lotId of await linkedLots(store)) {
    if (signal.aborted) return;
    const found = await findLinkedLot(store, lotId);
    // A younger one is under way.
    if (found === undefined || clock.nowMs() - found.linkedAtMs <= LOT_LIFETIME_MS) continue;
    const isSealedNowhere = await sealAsOthers(provider, lotId, away, signal);
    const isOver = clock.nowMs() > found.statements.lot.manifest.expiresAtMs;
    if (isOver && isSealedNowhere) await burnLot(provider, lotId, "expired");
  }
}

/**
 * Seals a linked lot if one of the others did. A provider that does not answer, or shows something else, says nothing.
 * @param away who did not answer before, and is not asked again @returns whether all others say that it is not sealed there
 */
export async function sealAsOthers(
  provider: CustodyProvider,
  lotId: Uint8Array,
  away: Set<PeerName>,
  signal: AbortSignal,
): Promise<boolean> {
  const { store, transport, agreementKeyOf } = provider;
  const found = await findLinkedLot(store, lotId);
  if (found === undefined) return false;
  const { roster } = found.statements;
  // Who is not of our federation will never answer.
  const others = roster.filter((peer) => peer !== transport.peer && agreementKeyOf(peer) !== undefined);
  let unsealed = 0;
  for (const peer of others.filter((each) => !away.has(each))) {
    const answer = await ask(provider, peer, found.statements, away, signal);
    if (answer === "not-sealed") unsealed += 1;
    else if (answer !== "away" && (await acceptShown(provider, lotId, answer))) return false;
  }
  return unsealed === others.length;
}

interface Shown {
  readonly seal: SealLot;
  readonly body: Uint8Array;
}

async function ask(
  { transport, clock }: CustodyProvider,
  peer: PeerName,
  statements: LotStatements,
  away: Set<PeerName>,
  signal: AbortSignal,
): Promise<Shown | "not-sealed" | "away"> {
  const { dealId: lotId } = statements.lot.manifest;
  const late = new AbortController();
  const tooLate = new IntercloudError("TIMEOUT", "timeout", "a provider took too long to say whether it has a batch");
  const disarm = clock.after(LOT_STEP_TIMEOUT_MS, () => late.abort(tooLate));
  const either = AbortSignal.any([signal, late.signal]);
  try {
    const options = { timeoutMs: OPEN_TIMEOUT_MS, signal: either };
    const channel = await transport.open(peer, CUSTODY_PROTOCOL, "lot-status", { lotId }, options);
    const release = abortOn(either, channel);
    try {
      const { seal } = parseShape(lotStatusShape, await channel.receiveMessage(), "answer about a lot");
      const body = seal === null ? undefined : await receiveWhole(channel, sealBytes(statements));
      await channel.close();
      return seal === null || body === undefined ? "not-sealed" : { seal, body };
    } catch (error) {
      channel.abort(error);
      throw error;
    } finally {
      release();
    }
  } catch (error) {
    if (!(error instanceof IntercloudError)) throw error;
    if (error.status === "unreachable" || error.status === "timeout") away.add(peer);
    return "away";
  } finally {
    disarm();
  }
}

/** @returns whether it is sealed or gone now. */
async function acceptShown(provider: CustodyProvider, lotId: Uint8Array, { seal, body }: Shown): Promise<boolean> {
  const linked = await restoreLinkedLot(provider.store, lotId);
  if (linked === undefined) return true;
  try {
    // Under the id that we asked for, whatever it says.
    await acceptSeal(provider, linked, { ...seal, lotId }, body, undefined);
    return true;
  } catch (error) {
    if (!(error instanceof IntercloudError) || !NOT_ITS_SEAL.has(error.status)) throw error;
    return false;
  }
}

const NOT_ITS_SEAL: ReadonlySet<string> = new Set(["bad-request", "refused", "expired", "conflict", "integrity"]);
