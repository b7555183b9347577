/**
 * What becomes of a lot when its owner has not come back to seal it here: it may have sealed it at some of us before it died. Whoever has
 * sealed it shows the others with what, and they seal it, too.
 */

import type { CborValue } from "../../../wire/codec.ts";
import { IntercloudError } from "../../../wire/errors.ts";
import { parseShape } from "../../../wire/shape.ts";
import type { Channel, Context, PeerName } from "../../../wire/transport.ts";
import { piecesOf, receiveWhole } from "../../../wire/whole-body.ts";
import { CUSTODY_PROTOCOL, OPEN_TIMEOUT_MS } from "../../constants.ts";
import { lotPartShape, lotStatusShape, type SealLot } from "../../lot/lot-messages.ts";
import type { CustodyProvider } from "../provider.ts";
import { findLot } from "./lot-record.ts";
import type { LotUnderWay } from "./lots-under-way.ts";
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

/** Seals it if one of the others did. A provider that does not answer, or shows something else, says nothing. */
export async function sealAsOthers(provider: CustodyProvider, placed: LotUnderWay): Promise<void> {
  if (placed.linked === undefined) return;
  const { roster } = placed.offered.statements;
  for (const peer of roster.filter((each) => each !== provider.transport.peer)) {
    try {
      const found = await sealAt(provider, placed, peer);
      if (found !== undefined) return await acceptSeal(provider, placed, found.seal, found.body, undefined);
    } catch (error) {
      if (!(error instanceof IntercloudError)) throw error;
    }
  }
}

async function sealAt(
  { transport }: CustodyProvider,
  placed: LotUnderWay,
  peer: PeerName,
): Promise<{ readonly seal: SealLot; readonly body: Uint8Array } | undefined> {
  const { dealId: lotId } = placed.offered.statements.lot.manifest;
  const options = { timeoutMs: OPEN_TIMEOUT_MS };
  const channel = await transport.open(peer, CUSTODY_PROTOCOL, "lot-status", { lotId }, options);
  try {
    const { seal } = parseShape(lotStatusShape, await channel.receiveMessage(), "answer about a lot");
    const body = seal === null ? undefined : await receiveWhole(channel, sealBytes(placed));
    await channel.close();
    return seal === null || body === undefined ? undefined : { seal, body };
  } catch (error) {
    channel.abort(error);
    throw error;
  }
}
