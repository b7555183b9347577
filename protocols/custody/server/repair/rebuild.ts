/** Making our lost share again, from t others, without anybody (ourselves included) seeing anything but that share. */
import { createBlockDigester, digestOfBlocks } from "../../../crypto/block-digest.ts";
import { equalBytes } from "../../../crypto/digest.ts";
import { wipe } from "../../../crypto/release.ts";
import { correctionName, type HeldDeal } from "../../../dealing/held-deal.ts";
import { NONCE_BYTES } from "../../../rounds/constants.ts";
import type { RoundMember } from "../../../rounds/descriptor.ts";
import { encodeProviderRound } from "../../../rounds/provider-round.ts";
import { SEED_BYTES, shareDigest } from "../../../rounds/share.ts";
import { sum } from "../../../rounds/sum.ts";
import { IntercloudError } from "../../../wire/errors.ts";
import { parseShape } from "../../../wire/shape.ts";
import type { Channel } from "../../../wire/transport.ts";
import { abortOn } from "../../abort-on.ts";
import { ASK_TIMEOUT_MS, CUSTODY_PROTOCOL, OPEN_TIMEOUT_MS, REQUEST_LIFETIME_MS } from "../../constants.ts";
import { readyAnswerShape } from "../../messages.ts";
import type { Placement } from "../../placement.ts";
import type { CustodyProvider } from "../provider.ts";
import { ownEntry } from "./inspect.ts";

/** Sets of members that are tried until one gives the share that the dealer signed; with one liar, few of them contain it. */
const MAX_TRIES = 24;

export interface Rebuilding {
  readonly tokenId: Uint8Array;
  readonly placement: Placement;
  /** The signed manifest of the deal. */
  readonly manifestBytes: Uint8Array;
}

/**
 * The share, with its correction on disk and its record not committed yet.
 * @throws IntercloudError NOT_ENOUGH_PROVIDERS; WRONG_SHARE when what the others gave never added up to what the dealer signed.
 */
export async function rebuildShare(
  provider: CustodyProvider,
  { tokenId, placement, manifestBytes }: Rebuilding,
  signal: AbortSignal,
): Promise<HeldDeal> {
  const { manifest } = placement;
  const { dealId, threshold } = manifest;
  const { point } = ownEntry(provider, placement);
  const ready = await readyOthers(provider, tokenId, placement, signal);
  if (ready.length < threshold) throw tooFew(placement, ready, provider.transport.peer);
  const failures: unknown[] = [];
  let tries = 0;
  for (const members of combinations(ready, threshold)) {
    signal.throwIfAborted();
    tries += 1;
    if (tries > MAX_TRIES) break;
    const seed = provider.entropy(SEED_BYTES);
    try {
      if (!(await collect(provider, tokenId, placement, members, seed, signal))) continue;
    } catch (error) {
      failures.push(error);
      continue;
    }
    const kept = { dealId, manifest: manifestBytes, point, seed, correction: correctionName(dealId) };
    return { ...kept, state: "sealed", boundTo: tokenId, expiresAtMs: manifest.expiresAtMs };
  }
  await provider.store.bodies.remove(correctionName(dealId));
  if (failures.length === tries) throw failures[0];
  const peers = ready.map(({ peer }) => peer);
  const text =
    "what the other providers gave never added up to the share that the dealer signed; one of them sent wrong bytes";
  throw new IntercloudError("WRONG_SHARE", "integrity", text, { peers });
}

/** @returns whether what came is the share that the dealer signed; then it is on disk, under the new seed. */
async function collect(
  provider: CustodyProvider,
  tokenId: Uint8Array,
  placement: Placement,
  members: readonly RoundMember[],
  seed: Uint8Array,
  signal: AbortSignal,
): Promise<boolean> {
  const { dealId, lengthBytes } = placement.manifest;
  const { point, digest } = ownEntry(provider, placement);
  const round = encodeProviderRound({
    ...{ version: 1, kind: "repair", tokenId, collector: provider.transport.peer },
    summands: [{ dealId, at: point, members: [...members] }],
    ...{ nonce: provider.entropy(NONCE_BYTES), lengthBytes },
    expiresAtMs: provider.clock.nowMs() + REQUEST_LIFETIME_MS,
  });
  const channels: Channel[] = [];
  const releases: (() => void)[] = [];
  try {
    const options = { timeoutMs: OPEN_TIMEOUT_MS, signal };
    const bodies = await Promise.all(
      members.map(async ({ peer }) => {
        const channel = await provider.transport.open(peer, CUSTODY_PROTOCOL, "repair-part", { round }, options);
        channels.push(channel);
        releases.push(abortOn(signal, channel));
        return channel.receiveBody({ lengthBytes });
      }),
    );
    const content = createBlockDigester();
    const expanded = provider.tools.keystream(seed, 0);
    const share = sum(bodies[0]!, bodies.slice(1), provider.tools.kernel);
    async function* correction(): AsyncIterable<Uint8Array> {
      for await (const bytes of share) {
        content.add(bytes);
        const masked = expanded.xor(bytes);
        wipe(bytes);
        yield masked;
      }
    }
    await provider.store.bodies.write(correctionName(dealId), correction());
    await Promise.all(channels.map((channel) => channel.close()));
    return equalBytes(shareDigest(dealId, point, digestOfBlocks(content.blockDigests())), digest);
  } catch (error) {
    for (const channel of channels) channel.abort(error);
    throw error;
  } finally {
    for (const release of releases) release();
  }
}

async function readyOthers(
  provider: CustodyProvider,
  tokenId: Uint8Array,
  { manifest, roster }: Placement,
  signal: AbortSignal,
): Promise<RoundMember[]> {
  const ready: RoundMember[] = [];
  const options = { timeoutMs: ASK_TIMEOUT_MS, signal };
  const asked = roster.map(async (peer, i) => {
    if (peer === provider.transport.peer) return;
    try {
      const answer = await provider.transport.ask(peer, CUSTODY_PROTOCOL, "ready", { tokenId }, options);
      const { held } = parseShape(readyAnswerShape, answer, "ready");
      if (held.some(({ dealId }) => equalBytes(dealId, manifest.dealId))) ready.push({ point: i + 1, peer });
    } catch {
      // Not there, or without its share: not ready. Too few of them is the caller's error.
    }
  });
  await Promise.all(asked);
  signal.throwIfAborted();
  return ready;
}

function tooFew({ manifest, roster }: Placement, ready: readonly RoundMember[], self: string): IntercloudError {
  const peers = roster.filter((peer) => peer !== self && !ready.some((each) => each.peer === peer));
  const details = { answered: ready.length, needed: manifest.threshold, peers };
  const text = `${ready.length} of ${manifest.threshold} other providers that are needed have their share; try again when more of them are up`;
  return new IntercloudError("NOT_ENOUGH_PROVIDERS", "unreachable", text, details);
}

function* combinations<T>(values: readonly T[], count: number): Iterable<T[]> {
  if (count === 0) {
    yield [];
    return;
  }
  for (let first = 0; first + count <= values.length; first += 1) {
    for (const rest of combinations(values.slice(first + 1), count - 1)) yield [values[first]!, ...rest];
  }
}
