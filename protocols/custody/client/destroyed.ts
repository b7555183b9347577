/** What a user hears of a deposit that was destroyed. */
import { equalBytes } from "../../crypto/digest.ts";
import { IntercloudError } from "../../wire/errors.ts";
import type { PeerName } from "../../wire/transport.ts";
import { type CheckedDestroyed, isUnrecoverable, neededToDestroy, readDestroyed } from "../destroyed.ts";

/** @throws IntercloudError DESTROYED_BROKEN; also when it is another provider's receipt, or one of another deposit. */
export function readDestroyedAt(peer: PeerName, tokenId: Uint8Array, bytes: Uint8Array): CheckedDestroyed {
  const destroyed = readDestroyed(bytes);
  if (destroyed.receipt.peer === peer && equalBytes(destroyed.tokenId, tokenId)) return destroyed;
  throw new IntercloudError("DESTROYED_BROKEN", "integrity", "the provider showed a receipt that is not for this", {
    peers: [peer],
  });
}

/** @param destroyed by different providers; at least one. */
export function destroyedError(destroyed: readonly CheckedDestroyed[]): IntercloudError {
  const first = destroyed.reduce((a, b) => (b.receipt.timeMs < a.receipt.timeMs ? b : a));
  const { roster, receipt } = first;
  const needed = neededToDestroy(first);
  const time = new Date(receipt.timeMs).toISOString();
  const message = isUnrecoverable(
    first,
    destroyed.map((each) => each.receipt.peer),
  )
    ? `this deposit was destroyed at ${time}`
    : `this deposit was destroyed at ${time}, at ${destroyed.length} of ${roster.length} providers as far as they answered; ` +
      `${needed} are needed before the message is unrecoverable: destroy it again when more of them are up`;
  const details = { destroyedAtMs: receipt.timeMs, answered: destroyed.length, needed };
  return new IntercloudError("DESTROYED", "not-found", message, details);
}
