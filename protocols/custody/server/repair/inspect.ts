/** Whether what we should have of a deposit is here and right: every byte is read and held against what was signed. */
import { createBlockDigester, digestOfBlocks } from "../../../crypto/block-digest.ts";
import { equalBytes } from "../../../crypto/digest.ts";
import { loadHeldDeal, shareOf } from "../../../dealing/held-deal.ts";
import { entryOfPeer, type ManifestEntry } from "../../../dealing/manifest.ts";
import { shareBlockDigests, shareDigest } from "../../../rounds/share.ts";
import { IntercloudError } from "../../../wire/errors.ts";
import { isSameEnvelope } from "../../kept-envelope.ts";
import { keepersOf, type Placement } from "../../placement.ts";
import type { CheckedProof } from "../../proof.ts";
import { ciphertextName, envelopeName, findDeposit } from "../deposit-record.ts";
import type { CustodyProvider } from "../provider.ts";
import { loadTombstone } from "../tombstone.ts";
import { unlessLost } from "../unless-lost.ts";

export interface Inspection {
  /** Whether the record of the deposit is here. */
  readonly record: boolean;
  readonly share: boolean;
  /** Also when it is not ours to keep. */
  readonly ciphertext: boolean;
  /** Also when it is not ours to keep, or there is none. */
  readonly envelope: boolean;
}

export function isWhole({ record, share, ciphertext, envelope }: Inspection): boolean {
  return record && share && ciphertext && envelope;
}

export async function inspect(
  provider: CustodyProvider,
  { placement, terms: { tokenId }, envelope }: CheckedProof,
): Promise<Inspection> {
  const deposit = await findDeposit(provider.store, tokenId);
  const { dealId } = placement.manifest;
  const record = deposit?.record.state === "sealed" && equalBytes(deposit.placement.manifest.dealId, dealId);
  const isKeeper = keepersOf(placement).includes(provider.transport.peer);
  return {
    record,
    share: await isShareGood(provider, tokenId, placement),
    ciphertext:
      !isKeeper || (await isCiphertextGood(provider, tokenId, placement, record && deposit.record.holdsCiphertext)),
    envelope:
      !isKeeper ||
      envelope === null ||
      (record &&
        isSameEnvelope(deposit.record.envelope, envelope) &&
        (await isBodyGood(provider, envelopeName(tokenId), envelope.digest))),
  };
}

/** @throws IntercloudError NOT_A_MEMBER when the deposit has no share for us. */
export function ownEntry(provider: CustodyProvider, { manifest }: Placement): ManifestEntry {
  const entry = entryOfPeer(manifest, provider.transport.peer);
  if (entry !== undefined) return entry;
  throw new IntercloudError("NOT_A_MEMBER", "refused", "this deposit has no share for us");
}

/**
 * A share that was given up with a change, before the change was completed all the same, may come back.
 * @throws IntercloudError DEAL_BURNT
 */
export async function requireNotDestroyed(
  { store }: CustodyProvider,
  tokenId: Uint8Array,
  { generation, manifest }: Placement,
): Promise<void> {
  const isBurnt = generation === 0 && (await loadHeldDeal(store, manifest.dealId))?.state === "burnt";
  if (!isBurnt && (await loadTombstone(store, tokenId)) === undefined) return;
  throw new IntercloudError("DEAL_BURNT", "conflict", "the share of this deal was destroyed here, and stays so");
}

async function isShareGood(provider: CustodyProvider, tokenId: Uint8Array, placement: Placement): Promise<boolean> {
  const { manifest } = placement;
  const { point, digest } = ownEntry(provider, placement);
  await requireNotDestroyed(provider, tokenId, placement);
  const deal = await loadHeldDeal(provider.store, manifest.dealId);
  if (deal?.state !== "sealed" || deal.point !== point) return false;
  return await unlessLost(async () => {
    const share = shareOf(deal, provider.store);
    const blocks = await shareBlockDigests(share, manifest.lengthBytes, provider.tools.keystream);
    return equalBytes(shareDigest(manifest.dealId, point, digestOfBlocks(blocks)), digest);
  }, false);
}

async function isCiphertextGood(
  provider: CustodyProvider,
  tokenId: Uint8Array,
  { generation, kept }: Placement,
  isCounted: boolean,
): Promise<boolean> {
  if (!isCounted || kept === undefined) return false;
  return await isBodyGood(provider, ciphertextName(tokenId, generation), kept.ciphertextDigest);
}

async function isBodyGood({ store }: CustodyProvider, name: string, digest: Uint8Array): Promise<boolean> {
  return await unlessLost(async () => {
    const digester = createBlockDigester();
    for await (const chunk of store.bodies.read(name, 0)) digester.add(chunk);
    return equalBytes(digestOfBlocks(digester.blockDigests()), digest);
  }, false);
}
