/** The provider's side of a lot: takes it, looks at each of its shares, and keeps it like one deal until it is used. */
import { auditChange } from "../../audit/index.ts";
import { bodyDigest } from "../../crypto/block-digest.ts";
import { DIGEST_BYTES, equalBytes } from "../../crypto/digest.ts";
import type { AgreementKey } from "../../crypto/key-agreement.ts";
import type { Keystream } from "../../crypto/keystream.ts";
import { wipe } from "../../crypto/release.ts";
import { openSealed } from "../../crypto/sealed-box.ts";
import { shareDigest } from "../../rounds/share.ts";
import { bodyChanges, MAX_INLINE_BODY_BYTES, type Store } from "../../storage/index.ts";
import { byTurns } from "../../wire/by-turns.ts";
import type { CborValue } from "../../wire/codec.ts";
import { IntercloudError } from "../../wire/errors.ts";
import { parseShape } from "../../wire/shape.ts";
import type { Channel, Context } from "../../wire/transport.ts";
import { receiveWhole } from "../../wire/whole-body.ts";
import { MAX_LOT_BYTES, MAX_LOT_SHARES } from "../constants.ts";
import { correctionName, heldDealChange, openDealChange, withDeal } from "../held-deal.ts";
import { checkRole, requireUnknown } from "../keeper-checks.ts";
import { checkManifest, type ManifestEntry } from "../manifest.ts";
import { deliverLotShape, sealedSeedContext } from "../messages.ts";
import { stagingChange, unstagedChange } from "../staging.ts";
import type { Unbound } from "../unbound.ts";
import { type DealerChecks, requireDealer, whoDeals } from "../who-deals.ts";
import {
  checkDealLot,
  type DealLot,
  dealIdInLot,
  dealLotChange,
  decodeLengths,
  digestInLot,
  seedInLot,
} from "./deal-lot.ts";

/** What of a provider's deal keeper is needed here. */
export interface LotKeeper extends DealerChecks {
  readonly agreementKey: AgreementKey;
  readonly store: Store;
  readonly keystream: Keystream;
  readonly unbound: Unbound;
}

export async function receiveLot(
  keeper: LotKeeper,
  channel: Channel,
  header: CborValue,
  context: Context,
): Promise<void> {
  const message = parseShape(deliverLotShape, header, "lot");
  if (message.request === undefined) requireDealer(keeper, context.from);
  const manifest = checkManifest(message.manifest);
  const { dealId: lotId, items = 0, lengthBytes, shares } = manifest;
  const by = whoDeals(keeper, "deliver-lot", lotId, message, context);
  const entry = checkRole(keeper, manifest, by);
  if (items === 0 || items * (shares.length - 1) > MAX_LOT_SHARES || lengthBytes > MAX_LOT_BYTES) {
    throw new IntercloudError("LOT_TOO_LARGE", "bad-request", "this is no lot, or a larger one than we take");
  }
  const { store } = keeper;
  await withDeal(store, lotId, async () => {
    await requireUnknown(store, lotId);
    await keeper.unbound.admit(lotId, by, lengthBytes);
    const seed = openSealed(keeper.agreementKey, sealedSeedContext(lotId, entry.point), message.sealedSeed);
    try {
      const sizes = [4 * items, DIGEST_BYTES * shares.length * items, entry.corrected ? lengthBytes : 0] as const;
      const body = await receiveWhole(channel, sizes[0] + sizes[1] + sizes[2]);
      const lengths = decodeLengths(body.subarray(0, sizes[0]));
      const digests = body.subarray(sizes[0], sizes[0] + sizes[1]);
      const correction = entry.corrected ? body.subarray(sizes[0] + sizes[1]) : undefined;
      const lot = checkDealLot({ manifestBytes: message.manifest, lengths, digests, signature: message.signature });
      await requireShares(lot, entry, seed, correction, keeper.keystream);
      await keep(keeper, lot, entry, seed, correction);
    } catch (error) {
      keeper.unbound.drop(lotId, by);
      throw error;
    } finally {
      seed.fill(0);
    }
  });
  await channel.sendMessage({});
  await channel.close();
}

/** Every share of ours is the one that the dealer signed. @throws IntercloudError WRONG_SHARE. */
async function requireShares(
  { manifest, lengths, offsets, digests }: DealLot,
  { point }: ManifestEntry,
  lotSeed: Uint8Array,
  correction: Uint8Array | undefined,
  keystream: Keystream,
): Promise<void> {
  await byTurns(lengths.length, (index) => {
    const share = shareInLot(
      { lotSeed, index, correction, offsetBytes: offsets[index]!, lengthBytes: lengths[index]! },
      keystream,
    );
    const digest = shareDigest(dealIdInLot(manifest.dealId, index), point, bodyDigest(share));
    wipe(share);
    if (equalBytes(digest, digestInLot(digests, manifest.shares.length, index, point))) return;
    const text = "the dealer sent a share that is not the one it signed";
    throw new IntercloudError("WRONG_SHARE", "integrity", text, { peers: [manifest.dealer] });
  });
}

/** The bytes of a share; they belong to the caller, who wipes them. */
export function shareInLot(
  part: {
    readonly lotSeed: Uint8Array;
    readonly index: number;
    /** Those of all deals, one after another. */
    readonly correction: Uint8Array | undefined;
    readonly offsetBytes: number;
    readonly lengthBytes: number;
  },
  keystream: Keystream,
): Uint8Array {
  const { lotSeed, index, correction, offsetBytes, lengthBytes } = part;
  const seed = seedInLot(lotSeed, index);
  const under = correction?.subarray(offsetBytes, offsetBytes + lengthBytes) ?? new Uint8Array(lengthBytes);
  const share = keystream(seed, 0).xor(under);
  seed.fill(0);
  return share;
}

/** On disk when it resolves: the record of one deal, and beside it what is public of the lot. */
async function keep(
  { store, clock, unbound }: LotKeeper,
  lot: DealLot,
  { point }: ManifestEntry,
  seed: Uint8Array,
  correction: Uint8Array | undefined,
): Promise<void> {
  const { dealId, dealer, lengthBytes, expiresAtMs } = lot.manifest;
  if (correction !== undefined && correction.length > MAX_INLINE_BODY_BYTES) {
    // So that the sweep finds the file if we die before the record is there.
    await store.commit([stagingChange(dealId, { dealer, lengthBytes, stagedAtMs: clock.nowMs(), digest: null })]);
  }
  const body = correction === undefined ? [] : await bodyChanges(store, correctionName(dealId), correction);
  await store.commit([
    heldDealChange({
      ...{ dealId, manifest: lot.manifestBytes, point, seed, expiresAtMs },
      ...{ correction: correction === undefined ? null : correctionName(dealId), state: "dealt", boundTo: null },
    }),
    ...[openDealChange(dealId), unstagedChange(dealId), dealLotChange(lot), ...body],
    auditChange({ kind: "dealt", dealId, dealer, point, lengthBytes, expiresAtMs }),
  ]);
  unbound.settle(dealId, correction === undefined ? 0 : lengthBytes);
}
