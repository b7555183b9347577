/**
 * Providers of the old generation that the new home has not heard of since a refresh or move: their old share may still be there. It
 * tells them again and again until they say that it is gone.
 */
import * as v from "valibot";
import { hexOf, idOfHex } from "../../../dealing/held-deal.ts";
import { MAX_PROVIDERS } from "../../../rounds/constants.ts";
import type { Change } from "../../../storage/index.ts";
import { decodeCanonical, encodeCanonical } from "../../../wire/codec.ts";
import { IntercloudError } from "../../../wire/errors.ts";
import { parseShape, text } from "../../../wire/shape.ts";
import type { PeerName } from "../../../wire/transport.ts";
import { ASK_TIMEOUT_MS, CUSTODY_PROTOCOL } from "../../constants.ts";
import { findDeposit } from "../deposit-record.ts";
import type { CustodyProvider } from "../provider.ts";

const PREFIX = "change-due/";
const shape = v.pipe(v.array(text(64)), v.maxLength(MAX_PROVIDERS));

export function duesChange(tokenId: Uint8Array, peers: readonly PeerName[]): Change {
  const key = PREFIX + hexOf(tokenId);
  return peers.length === 0 ? { kind: "delete", key } : { kind: "put", key, value: encodeCanonical([...peers]) };
}

/** Tells everybody who is due once. A peer that does not answer is not asked again this time. */
export async function tellDues(provider: CustodyProvider, signal: AbortSignal): Promise<void> {
  const dues: { readonly tokenId: Uint8Array; readonly peers: PeerName[] }[] = [];
  for await (const [key, value] of provider.store.entries(PREFIX)) {
    dues.push({ tokenId: idOfHex(key.slice(PREFIX.length)), peers: parseShape(shape, decodeCanonical(value), "dues") });
  }
  const away = new Set<PeerName>();
  for (const { tokenId, peers } of dues) {
    if (signal.aborted) return;
    const left = await tell(provider, tokenId, peers, away, signal);
    if (left.length < peers.length) await provider.store.commit([duesChange(tokenId, left)]);
  }
}

/** @returns those that have not confirmed. */
async function tell(
  provider: CustodyProvider,
  tokenId: Uint8Array,
  peers: readonly PeerName[],
  away: Set<PeerName>,
  signal: AbortSignal,
): Promise<readonly PeerName[]> {
  const proof = (await findDeposit(provider.store, tokenId))?.record.change;
  // Destroyed, or moved on: whoever came after us tells them.
  if (proof === undefined || proof === null) return [];
  const options = { timeoutMs: ASK_TIMEOUT_MS, signal };
  const confirmed = await Promise.all(
    peers.map(async (peer) => {
      if (away.has(peer)) return false;
      try {
        await provider.transport.ask(peer, CUSTODY_PROTOCOL, "change-retire", { proof }, options);
        return true;
      } catch (error) {
        if (error instanceof IntercloudError && UNHEARD.has(error.status)) away.add(peer);
        return false;
      }
    }),
  );
  return peers.filter((_, i) => !confirmed[i]);
}

const UNHEARD: ReadonlySet<string> = new Set(["unreachable", "timeout", "busy"]);
