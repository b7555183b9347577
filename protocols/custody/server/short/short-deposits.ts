/**
 * Short deposits that are under way, with the parts that have come for them; in memory only. A part can be here before the owner's
 * message is, because it comes another way.
 */
import { hexOf } from "../../../dealing/held-deal.ts";
import type { Clock } from "../../../wire/clock.ts";
import { IntercloudError } from "../../../wire/errors.ts";
import type { PeerName } from "../../../wire/transport.ts";
import { MAX_EARLY_BYTES, MAX_SHORT_DEPOSIT_BYTES, MAX_SHORT_DEPOSITS, PARTS_TIMEOUT_MS } from "../../constants.ts";
import type { DepositTerms } from "../../deposit-terms.ts";
import type { OwnShare } from "../fingerprints.ts";

export interface ShortDeposit {
  readonly terms: DepositTerms;
  /** What the owner sent; at the keepers only. */
  readonly masked: Uint8Array | undefined;
  readonly ownPart: Uint8Array;
  /** What the part was made of, and the key that it is reported under when it is checked. */
  readonly own: OwnShare;
  /** Settles when our part has come to all keepers. */
  readonly given: Promise<void>;
  /** Called when it is not under way any more. */
  readonly onEnd: () => void;
}

export interface ShortDeposits {
  /** From the owner. @throws IntercloudError BUSY. */
  begin(deposit: ShortDeposit): void;
  /** From another provider. @throws IntercloudError BUSY, PART_TWICE. */
  addPart(tokenId: Uint8Array, from: PeerName, part: Uint8Array): void;
  find(tokenId: Uint8Array): ShortDeposit | undefined;
  /** The parts of all members, in the order of the roster. @throws IntercloudError PART_MISSING that names who did not send one. */
  parts(deposit: ShortDeposit, self: PeerName): Promise<readonly Uint8Array[]>;
  end(tokenId: Uint8Array): void;
}

interface Parts {
  readonly byPeer: Map<PeerName, Uint8Array>;
  deposit: ShortDeposit | undefined;
  changed: PromiseWithResolvers<void>;
  readonly forget: () => void;
}

export function createShortDeposits(clock: Clock): ShortDeposits {
  const all = new Map<string, Parts>();
  const earlyBytes = new Map<PeerName, number>();
  let heldBytes = 0;

  const open = (tokenId: Uint8Array): Parts => {
    const key = hexOf(tokenId);
    const found = all.get(key);
    if (found !== undefined) return found;
    if (all.size >= MAX_SHORT_DEPOSITS) throw busy();
    const forget = clock.after(PARTS_TIMEOUT_MS, () => {
      if (parts.deposit === undefined) drop(key);
    });
    const parts: Parts = { byPeer: new Map(), deposit: undefined, changed: Promise.withResolvers(), forget };
    all.set(key, parts);
    return parts;
  };
  const count = (from: PeerName | undefined, bytes: number) => {
    heldBytes += bytes;
    if (from !== undefined) earlyBytes.set(from, (earlyBytes.get(from) ?? 0) + bytes);
  };
  const drop = (key: string) => {
    const parts = all.get(key);
    if (parts === undefined) return;
    all.delete(key);
    parts.forget();
    parts.deposit?.onEnd();
    for (const [peer, part] of parts.byPeer) count(parts.deposit === undefined ? peer : undefined, -part.length);
  };

  return {
    begin(deposit) {
      const parts = open(deposit.terms.tokenId);
      parts.deposit = deposit;
      for (const [peer, part] of parts.byPeer) earlyBytes.set(peer, (earlyBytes.get(peer) ?? 0) - part.length);
    },
    addPart(tokenId, from, part) {
      const parts = open(tokenId);
      if (parts.byPeer.has(from)) {
        throw new IntercloudError("PART_TWICE", "conflict", "this peer has sent its part of this deposit already");
      }
      const isEarly = parts.deposit === undefined;
      const tooMuch = isEarly && (earlyBytes.get(from) ?? 0) + part.length > MAX_EARLY_BYTES;
      if (tooMuch || heldBytes + part.length > MAX_SHORT_DEPOSIT_BYTES) throw busy();
      count(isEarly ? from : undefined, part.length);
      parts.byPeer.set(from, part);
      parts.changed.resolve();
      parts.changed = Promise.withResolvers();
    },
    find: (tokenId) => all.get(hexOf(tokenId))?.deposit,
    async parts(deposit, self) {
      const { roster, tokenId } = deposit.terms;
      const parts = all.get(hexOf(tokenId));
      const missing = () => roster.filter((peer) => peer !== self && parts?.byPeer.has(peer) !== true);
      let isLate = parts === undefined;
      const disarm = clock.after(PARTS_TIMEOUT_MS, () => {
        isLate = true;
        parts?.changed.resolve();
      });
      try {
        while (!isLate && missing().length > 0) await parts?.changed.promise;
      } finally {
        disarm();
      }
      const peers = missing();
      if (peers.length > 0) {
        throw new IntercloudError("PART_MISSING", "timeout", "not every provider has sent its part", { peers });
      }
      return roster.map((peer) => (peer === self ? deposit.ownPart : parts!.byPeer.get(peer)!));
    },
    end: (tokenId) => drop(hexOf(tokenId)),
  };
}

function busy(): IntercloudError {
  return new IntercloudError("BUSY", "busy", "too many short deposits are under way here; try again");
}
