/** The parts of others, and the second message of a lot: the owner knows what all providers gave and has them sign it; the keepers have added up. */
import { auditChange } from "../../../audit/index.ts";
import { DIGEST_BYTES, equalBytes } from "../../../crypto/digest.ts";
import { signLot } from "../../../crypto/statement-signature.ts";
import { closedDealChange, loadHeldDeal, withDeal } from "../../../dealing/held-deal.ts";
import { CLOCK_SKEW_MS } from "../../../identity/constants.ts";
import { KEEPING_DOMAIN, LINK_DOMAIN } from "../../../tokens/link.ts";
import type { CborValue } from "../../../wire/codec.ts";
import { IntercloudError } from "../../../wire/errors.ts";
import { parseShape } from "../../../wire/shape.ts";
import type { Channel, Context } from "../../../wire/transport.ts";
import { piecesOf, receiveWhole } from "../../../wire/whole-body.ts";
import { PARTS_TIMEOUT_MS } from "../../constants.ts";
import { keepAll, type LinkedLot, linkAll } from "../../lot/lot-chain.ts";
import { linkLotShape, lotPartShape } from "../../lot/lot-messages.ts";
import { columnAt } from "../../lot/lot-statements.ts";
import { sliceDigests } from "../../lot/slice-digests.ts";
import type { ActiveDeposits } from "../active.ts";
import type { CustodyProvider } from "../provider.ts";
import { burnUnlinkedLot } from "./burn-lot.ts";
import { linkedLotChanges, type SealableLot } from "./linked-lot.ts";
import type { LotSum, LotsUnderWay, LotUnderWay } from "./lots-under-way.ts";
import { addPart } from "./place-lot.ts";
import { lotFingerprints } from "./testify-lot.ts";

/** From the other providers, at each keeper. Nothing is read of it before the owner's own message is here. */
export async function receiveLotPart(
  provider: CustodyProvider,
  lots: LotsUnderWay,
  channel: Channel,
  header: CborValue,
  { from }: Context,
): Promise<void> {
  const { lotId } = parseShape(lotPartShape, header, "lot-part");
  const isProvider = provider.agreementKeyOf(from) !== undefined;
  const placed = isProvider ? await lots.placed(lotId) : undefined;
  const statements = placed?.offered.statements;
  if (placed?.sum === undefined || statements?.roster.includes(from) !== true) {
    throw new IntercloudError("NOT_YOUR_STEP", "refused", "this peer has no part in such a lot here");
  }
  const parts = await receiveWhole(channel, statements.lot.manifest.lengthBytes);
  const digests = await sliceDigests(parts, statements.lot);
  if (placed.sum.from.has(from)) {
    throw new IntercloudError("PART_TWICE", "conflict", "this peer has sent its parts of this lot already");
  }
  addPart(provider, placed.sum, { roster: statements.roster, from }, parts, digests);
  await channel.sendMessage({});
  await channel.close();
}

export async function linkLot(
  provider: CustodyProvider,
  active: ActiveDeposits,
  lots: LotsUnderWay,
  channel: Channel,
  header: CborValue,
  context: Context,
): Promise<void> {
  const { lotId, timeMs, challenge } = parseShape(linkLotShape, header, "link-lot");
  const placed = lots.find(lotId);
  if (placed === undefined || context.from !== placed.offered.statements.plan.requester) {
    throw new IntercloudError("NOT_YOUR_STEP", "refused", "this peer has no such step in this lot");
  }
  if (placed.linked !== undefined) {
    throw new IntercloudError("WRONG_STATE", "conflict", "we have signed our links of this lot already");
  }
  await active.run(lotId, "link", context.signal, async (signal) => {
    try {
      const { tag, signature: requestSignature, digests, sum } = placed;
      const { items, roster } = placed.offered.statements;
      const digestsOut = await receiveWhole(channel, items * roster.length * DIGEST_BYTES);
      const lot = await linkOwn(provider, placed, digestsOut, timeMs);
      signal.throwIfAborted();
      const linkSignature = signLot(provider.signer, LINK_DOMAIN, lot.links[roster.indexOf(provider.transport.peer)]!);
      const isHome = roster[0] === provider.transport.peer && sum !== undefined;
      const kept = isHome ? await keepOwn(provider, lot, sum) : undefined;
      const fingerprints = await lotFingerprints(provider, placed, challenge, signal);
      const linked: SealableLot = { lot, tag, signature: requestSignature, digests, linkSignature, sum };
      await commitLinked(provider, linked);
      placed.linked = linked;
      await channel.sendMessage({ signature: linkSignature, keeping: kept?.keeping ?? null, fingerprints });
      if (kept !== undefined) await channel.sendBody(piecesOf(sum!.digestsReceived, kept.digestsKept));
      await channel.close();
    } catch (error) {
      lots.end(lotId);
      await burnUnlinkedLot(provider, lotId);
      throw error;
    }
  });
}

/** We sign only what is true as far as we know: our digests, the present time. */
async function linkOwn(
  provider: CustodyProvider,
  { offered, ownDigests, given, sum }: LotUnderWay,
  digestsOut: Uint8Array,
  timeMs: number,
): Promise<LinkedLot> {
  const { roster, items, plan } = offered.statements;
  const position = roster.indexOf(provider.transport.peer);
  const isTrue = (index: number) =>
    equalBytes(columnAt(digestsOut, index * roster.length + position), columnAt(ownDigests, index));
  const isOurs = Array.from({ length: items }, (_, index) => index).every(isTrue);
  if (!isOurs || Math.abs(timeMs - provider.clock.nowMs()) > CLOCK_SKEW_MS) {
    const text = "we are asked to sign what we did not do";
    throw new IntercloudError("UNTRUE_STATEMENT", "integrity", text, { peers: [plan.requester] });
  }
  const linking = linkAll(offered, digestsOut, timeMs);
  await given;
  if (sum !== undefined) await allParts(provider, sum, roster);
  return await linking;
}

/** @throws IntercloudError PART_MISSING that names who did not send its parts. */
async function allParts({ clock }: CustodyProvider, sum: LotSum, roster: readonly string[]): Promise<void> {
  const disarm = clock.after(PARTS_TIMEOUT_MS, () => {
    const peers = roster.filter((peer) => !sum.from.has(peer));
    const text = "not every provider has sent its parts";
    sum.complete.reject(new IntercloudError("PART_MISSING", "timeout", text, { peers }));
  });
  try {
    await sum.complete.promise;
  } finally {
    disarm();
  }
}

/** What home says that it received and keeps. */
async function keepOwn({ clock, signer }: CustodyProvider, lot: LinkedLot, sum: LotSum) {
  const digestsKept = await sliceDigests(sum.bytes, lot.statements.lot);
  const { digestsFromOwner, digestsReceived } = sum;
  const said = { digestsFromOwner, digestsKept, keepingTimeMs: clock.nowMs() };
  const { keepings } = await keepAll(lot, said, digestsReceived);
  return { digestsKept, keeping: { timeMs: said.keepingTimeMs, signature: signLot(signer, KEEPING_DOMAIN, keepings) } };
}

async function commitLinked(provider: CustodyProvider, linked: SealableLot): Promise<void> {
  const { store, clock } = provider;
  const { statements, requests } = linked.lot;
  const { items, owner: identity, lot } = statements;
  const { dealId } = lot.manifest;
  await withDeal(store, dealId, async () => {
    if ((await loadHeldDeal(store, dealId))?.state !== "bound") {
      throw new IntercloudError("DEAL_USED", "conflict", "the deal of this lot is gone");
    }
    await store.commit([
      ...(await linkedLotChanges(store, linked, clock.nowMs())),
      // Once we have signed, others may have sealed it: the deal ends with the lot only, whatever its own time is.
      closedDealChange(dealId),
      auditChange({ kind: "lot", step: "linked", dealId, identity, root: requests.root, items }),
    ]);
  });
  provider.observe({ kind: "linked", tokenId: requests.root });
}
