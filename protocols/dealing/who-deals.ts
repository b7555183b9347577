/** In whose name a provider is told about a deal: that of a dealer of its federation, or of a user that deals for itself. */
import { dealerNameOf } from "../identity/identity.ts";
import type { ReplayGuard } from "../identity/replay-guard.ts";
import type { Clock } from "../wire/clock.ts";
import type { CborValue } from "../wire/codec.ts";
import { IntercloudError } from "../wire/errors.ts";
import type { Context, PeerName } from "../wire/transport.ts";
import type { DealStep } from "./messages.ts";
import { checkSelfRequest } from "./self-request.ts";
import type { DealtBy } from "./unbound.ts";

export interface DealerChecks {
  /** Who we are. */
  readonly peer: PeerName;
  readonly clock: Clock;
  readonly isDealer: (peer: PeerName) => boolean;
  readonly replayGuard: ReplayGuard;
}

type Message = Readonly<Record<string, CborValue | undefined>> & { readonly request?: Uint8Array | undefined };

/** @throws IntercloudError UNKNOWN_DEALER, REPLAYED, and what `checkSelfRequest` throws. */
export function whoDeals(
  checks: DealerChecks,
  step: DealStep,
  dealId: Uint8Array,
  { request, ...message }: Message,
  { from }: Context,
): DealtBy {
  if (request === undefined) {
    requireDealer(checks, from);
    return { dealer: from, isSelf: false };
  }
  const { clock, peer, replayGuard } = checks;
  const nowMs = clock.nowMs();
  const about = { step, dealId, message: message as CborValue, from, provider: peer };
  const checked = checkSelfRequest(request, about, nowMs);
  const dealer = dealerNameOf(checked.identity);
  replayGuard.admit(checked, nowMs);
  return { dealer, isSelf: true };
}

/** @throws IntercloudError UNKNOWN_DEALER. */
export function requireDealer({ isDealer }: Pick<DealerChecks, "isDealer">, from: PeerName): void {
  if (isDealer(from)) return;
  throw new IntercloudError("UNKNOWN_DEALER", "refused", "this peer is not a dealer of our federation", {
    peers: [from],
  });
}
