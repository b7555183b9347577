/** What the owner holds against each other before it closes a lot, and what it is shown when that does not fit; as for one deposit, for all at once. */
import { loadHeldDeal } from "../../../dealing/held-deal.ts";
import { reportKey, shareMaskKey } from "../../../rounds/masks.ts";
import type { CborValue } from "../../../wire/codec.ts";
import { IntercloudError } from "../../../wire/errors.ts";
import { onceOf } from "../../../wire/once-of.ts";
import { parseShape } from "../../../wire/shape.ts";
import type { Channel, Context } from "../../../wire/transport.ts";
import { piecesOf } from "../../../wire/whole-body.ts";
import { testifyLotShape } from "../../lot/lot-messages.ts";
import type { LotStatements } from "../../lot/lot-statements.ts";
import type { Fingerprints } from "../../messages.ts";
import type { ActiveDeposits } from "../active.ts";
import { maskedFingerprints } from "../fingerprints.ts";
import type { CustodyProvider } from "../provider.ts";
import { burnLot } from "./burn-lot.ts";
import { findSealable } from "./linked-lot.ts";
import type { LotsUnderWay, LotUnderWay } from "./lots-under-way.ts";
import { sharesOf } from "./place-lot.ts";

export async function lotFingerprints(
  provider: CustodyProvider,
  placed: LotUnderWay,
  challenge: Uint8Array,
  signal: AbortSignal,
): Promise<Fingerprints> {
  const { statements } = placed.offered;
  const { lengthBytes } = statements.lot.manifest;
  const bodies = {
    lengthBytes,
    share: onceOf(await ownShares(provider, statements)),
    kept: placed.sum && onceOf(placed.sum.bytes),
  };
  return await maskedFingerprints(provider, lotReportKey(provider, statements), challenge, bodies, signal);
}

export async function testifyLot(
  provider: CustodyProvider,
  active: ActiveDeposits,
  lots: LotsUnderWay,
  channel: Channel,
  header: CborValue,
  context: Context,
): Promise<void> {
  const { lotId } = parseShape(testifyLotShape, header, "testify-lot");
  const linked = await findSealable(provider.store, lots, lotId);
  if (linked === undefined || context.from !== linked.lot.statements.plan.requester) {
    throw new IntercloudError("NOT_YOUR_STEP", "refused", "this peer has no such step in this lot");
  }
  await active.run(lotId, "testify", context.signal, async () => {
    const { statements } = linked.lot;
    const shares = await ownShares(provider, statements);
    const mask = provider.tools.keystream(shareMaskKey(lotReportKey(provider, statements)), 0);
    const masked = mask.xor(shares);
    shares.fill(0);
    lots.end(lotId);
    await burnLot(provider, lotId, "failed");
    await channel.sendBody(piecesOf(masked));
    if (linked.sum !== undefined) await channel.sendBody(piecesOf(linked.sum.digestsReceived));
    await channel.close();
  });
}

async function ownShares(provider: CustodyProvider, { lot }: LotStatements): Promise<Uint8Array> {
  const deal = await loadHeldDeal(provider.store, lot.manifest.dealId);
  if (deal?.state === "bound") return await sharesOf(provider, lot, deal);
  throw new IntercloudError("NO_SHARE", "not-found", "we hold no share of this lot");
}

function lotReportKey({ agreementKey, transport }: CustodyProvider, { lot, plan, roster }: LotStatements): Uint8Array {
  const member = { point: roster.indexOf(transport.peer) + 1, peer: transport.peer };
  return reportKey(agreementKey, plan.userKey, member, lot.manifest.dealId);
}
