/**
 * Lots that are under way at a provider, from the owner's first message until they are sealed or given up, in memory. From our links on
 * they are on disk as well (linked-lot.ts).
 */
import { hexOf } from "../../../dealing/held-deal.ts";
import type { Clock } from "../../../wire/clock.ts";
import { IntercloudError } from "../../../wire/errors.ts";
import type { PeerName } from "../../../wire/transport.ts";
import { MAX_LOTS_UNDER_WAY, PARTS_TIMEOUT_MS } from "../../constants.ts";
import type { OfferedLot } from "../../lot/lot-chain.ts";
import type { KeptSum, SealableLot } from "./linked-lot.ts";

export interface LotUnderWay {
  readonly offered: OfferedLot;
  /** The tag and the signature of the owner's requests, and their digests of the messages. */
  readonly tag: Uint8Array;
  readonly signature: Uint8Array;
  readonly digests: Uint8Array;
  /** What each of our parts comes to. */
  readonly ownDigests: Uint8Array;
  /** Settles when our parts have come to all keepers. */
  readonly given: Promise<void>;
  /** At the keepers only. */
  readonly sum: LotSum | undefined;
  /** Once we have signed our links. */
  linked: SealableLot | undefined;
  /** Called when it is not under way any more. */
  readonly onEnd: () => void;
}

/** What a keeper adds up. */
export interface LotSum extends KeptSum {
  readonly from: Set<PeerName>;
  readonly complete: PromiseWithResolvers<void>;
}

export interface LotsUnderWay {
  /** @throws IntercloudError BUSY. */
  begin(lotId: Uint8Array, lot: LotUnderWay): void;
  find(lotId: Uint8Array): LotUnderWay | undefined;
  /** The parts of others may come before the owner's message does. Undefined when that does not come in time. */
  placed(lotId: Uint8Array): Promise<LotUnderWay | undefined>;
  end(lotId: Uint8Array): void;
  /** @throws IntercloudError BUSY when there is no room for one more. */
  requireRoom(): void;
}

export function createLotsUnderWay(clock: Clock): LotsUnderWay {
  const all = new Map<string, LotUnderWay>();
  const waiting = new Map<string, PromiseWithResolvers<void>>();
  const requireRoom = () => {
    if (all.size < MAX_LOTS_UNDER_WAY) return;
    throw new IntercloudError("BUSY", "busy", "too many batches are under way here; try again", {
      retryAfterMs: 1_000,
    });
  };
  return {
    requireRoom,
    begin(lotId, lot) {
      requireRoom();
      all.set(hexOf(lotId), lot);
      waiting.get(hexOf(lotId))?.resolve();
    },
    find: (lotId) => all.get(hexOf(lotId)),
    async placed(lotId) {
      const key = hexOf(lotId);
      if (all.has(key)) return all.get(key);
      const coming = waiting.get(key) ?? Promise.withResolvers<void>();
      waiting.set(key, coming);
      const disarm = clock.after(PARTS_TIMEOUT_MS, coming.resolve);
      await coming.promise;
      disarm();
      waiting.delete(key);
      return all.get(key);
    },
    end(lotId) {
      const lot = all.get(hexOf(lotId));
      all.delete(hexOf(lotId));
      lot?.onEnd();
    },
  };
}
