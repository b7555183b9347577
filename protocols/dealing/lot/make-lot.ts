/** A lot of deals from its seeds to the signed manifests, by whoever deals. Nothing of it is ever written to disk here. */
import { bodyDigest } from "../../crypto/block-digest.ts";
import { DIGEST_BYTES } from "../../crypto/digest.ts";
import { peerNameOf } from "../../crypto/peer-name.ts";
import { wipe } from "../../crypto/release.ts";
import { sealTo } from "../../crypto/sealed-box.ts";
import { signLot } from "../../crypto/statement-signature.ts";
import { DEAL_ID_BYTES } from "../../rounds/constants.ts";
import { SEED_BYTES, shareDigest, userShareDigest } from "../../rounds/share.ts";
import { byTurns } from "../../wire/by-turns.ts";
import type { PeerName } from "../../wire/transport.ts";
import { piecesOf } from "../../wire/whole-body.ts";
import { DEALING_PROTOCOL, OPEN_TIMEOUT_MS } from "../constants.ts";
import { createEvaluator } from "../deal.ts";
import { authorized, forgetAll, providersFailed, type Recipient } from "../hand-out.ts";
import type { MakeDealOptions } from "../make-deal.ts";
import { MANIFEST_DOMAIN, signManifest } from "../manifest.ts";
import { sealedSeedContext } from "../messages.ts";
import { correctedPoints, freePoints, isCorrected, userPoint } from "../points.ts";
import {
  dealIdInLot,
  encodeLengths,
  lotManifest,
  manifestBodies,
  manifestTree,
  offsetsOf,
  requireLotSize,
  seedInLot,
  sum,
} from "./deal-lot.ts";

export interface MakeLotOptions extends Omit<MakeDealOptions, "lengthBytes"> {
  /** Of each deal. */
  readonly lengths: readonly number[];
}

export interface MadeLot {
  readonly lotId: Uint8Array;
  readonly manifestBytes: Uint8Array;
  readonly signature: Uint8Array;
  readonly digests: Uint8Array;
  /** The seeds of all the user's shares follow from it. To be copied: it is overwritten when `use` is done. */
  readonly userSeed: Uint8Array;
}

/**
 * As `makeDeal` does with one deal: all of the lot is at all providers, or they are asked to forget it.
 * @throws IntercloudError PROVIDERS_FAILED, BAD_THRESHOLD, LOT_TOO_LARGE, and what `use` throws.
 */
export async function makeLot<T>(options: MakeLotOptions, use: (made: MadeLot) => Promise<T>): Promise<T> {
  const { transport, entropy, recipients, authorize, lengths } = options;
  requireLotSize(lengths, recipients.length);
  const lotId = entropy(DEAL_ID_BYTES);
  const seeds = Array.from({ length: userPoint(recipients.length) }, () => entropy(SEED_BYTES));
  try {
    const { digests, corrections } = await dealAll(options, lotId, seeds);
    const { manifestBytes, signature } = signAll(options, lotId, digests);
    const lot = { lotId, manifestBytes, signature, digests, userSeed: seeds.at(-1)! };
    await deliverAll(options, lot, seeds, corrections);
    return await use(lot);
  } catch (error) {
    await forgetAll({ transport, dealId: lotId, recipients, authorize });
    throw error;
  } finally {
    for (const seed of seeds) seed.fill(0);
  }
}

interface Dealt {
  readonly digests: Uint8Array;
  /** By point: those of all deals, one after another. */
  readonly corrections: ReadonlyMap<number, Uint8Array>;
}

async function dealAll(options: MakeLotOptions, lotId: Uint8Array, lotSeeds: readonly Uint8Array[]): Promise<Dealt> {
  const { threshold, recipients, lengths, keystream, kernel, onProgress } = options;
  const providers = recipients.length;
  const points = correctedPoints(threshold, providers);
  const free = freePoints(threshold, providers);
  const offsets = offsetsOf(lengths);
  const totalBytes = sum(lengths);
  const corrections = new Map(points.map((point) => [point, new Uint8Array(totalBytes)]));
  const digests = new Uint8Array(lengths.length * userPoint(providers) * DIGEST_BYTES);
  await byTurns(lengths.length, (index) => {
    const dealId = dealIdInLot(lotId, index);
    const seeds = lotSeeds.map((seed) => seedInLot(seed, index));
    const shares = points.map(() => new Uint8Array(lengths[index]!));
    const values = createEvaluator({ threshold, providers, seeds, points, keystream, kernel })(shares);
    const note = (point: number, digest: Uint8Array) =>
      digests.set(digest, (index * userPoint(providers) + point - 1) * DIGEST_BYTES);
    for (const [i, point] of points.entries()) {
      note(point, shareDigest(dealId, point, bodyDigest(shares[i]!)));
      corrections.get(point)!.set(keystream(seeds[point - 1]!, 0).xor(shares[i]!), offsets[index]);
    }
    for (const [i, point] of free.entries()) {
      const isUsers = point === userPoint(providers);
      const digest = isUsers
        ? userShareDigest(dealId, point, seeds[point - 1]!)
        : shareDigest(dealId, point, bodyDigest(values[i]!));
      note(point, digest);
    }
    for (const bytes of [...shares, ...values]) wipe(bytes);
    for (const seed of seeds) seed.fill(0);
    onProgress(offsets[index]! + lengths[index]!);
  });
  return { digests, corrections };
}

function signAll(
  { threshold, lengths, recipients, clock, lifetimeMs, signer }: MakeLotOptions,
  lotId: Uint8Array,
  digests: Uint8Array,
): Pick<MadeLot, "manifestBytes" | "signature"> {
  const nowMs = clock.nowMs();
  const peers: PeerName[] = [...recipients.map(({ peer }) => peer), ""];
  const shares = peers.map((peer, i) => ({
    ...{ point: i + 1, peer, corrected: isCorrected(i + 1, threshold, recipients.length) },
  }));
  const times = { createdAtMs: nowMs, expiresAtMs: nowMs + lifetimeMs };
  const common = { version: 1, dealId: lotId, dealer: peerNameOf(signer.publicKey), threshold } as const;
  const manifest = lotManifest({ ...common, pads: "derived", ...times, shares }, lengths, digests);
  const tree = manifestTree(lengths.length, manifestBodies(manifest, lengths, digests));
  return { manifestBytes: signManifest(manifest, signer), signature: signLot(signer, MANIFEST_DOMAIN, tree) };
}

/** On disk at every provider when it resolves. @throws IntercloudError PROVIDERS_FAILED. */
async function deliverAll(
  options: MakeLotOptions,
  { lotId, manifestBytes, signature, digests }: MadeLot,
  seeds: readonly Uint8Array[],
  corrections: ReadonlyMap<number, Uint8Array>,
): Promise<void> {
  const { transport, recipients, lengths, entropy, signal } = options;
  const abort = new AbortController();
  const either = AbortSignal.any([signal, abort.signal]);
  const deliver = async ({ point, peer, agreementKey }: Recipient) => {
    const sealedSeed = sealTo(agreementKey, sealedSeedContext(lotId, point), seeds[point - 1]!, entropy);
    const message = { manifest: manifestBytes, signature, sealedSeed };
    const header = authorized({ ...options, dealId: lotId }, peer, "deliver-lot", message);
    const openOptions = { timeoutMs: OPEN_TIMEOUT_MS, signal: either };
    const channel = await transport.open(peer, DEALING_PROTOCOL, "deliver-lot", header, openOptions);
    const stop = () => channel.abort(either.reason);
    either.addEventListener("abort", stop, { once: true });
    try {
      const correction = corrections.get(point) ?? new Uint8Array();
      await channel.sendBody(piecesOf(encodeLengths(lengths), digests, correction));
      await channel.receiveMessage();
      await channel.close();
    } catch (error) {
      channel.abort(error);
      throw error;
    } finally {
      either.removeEventListener("abort", stop);
    }
  };
  let first: { readonly peer: PeerName; readonly error: unknown } | undefined;
  await Promise.all(
    recipients.map(async (recipient) => {
      try {
        await deliver(recipient);
      } catch (error) {
        // Whoever fails after the first was only stopped by us.
        first ??= { peer: recipient.peer, error };
        abort.abort(error);
      }
    }),
  );
  signal.throwIfAborted();
  if (first !== undefined) throw providersFailed(options, [first.peer], first.error);
}
