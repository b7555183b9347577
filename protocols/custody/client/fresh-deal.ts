/** A fresh deal: from the first dealer that can make one, from the one that was named, or made by the user itself. */
import { type FreshDeal, requestDeal } from "../../dealing/client.ts";
import type { Recipient } from "../../dealing/hand-out.ts";
import { IntercloudError, type Status } from "../../wire/errors.ts";
import { pause } from "../../wire/pause.ts";
import type { PeerName } from "../../wire/transport.ts";
import { dealFailure } from "./deposit-failure.ts";
import { agreementKeyOf, type CustodyUser } from "./user.ts";

/** A dealer of the federation, or the user itself. */
export type DealerChoice = PeerName | "self";

export interface FreshDealOptions {
  /** In point order. */
  readonly providers: readonly PeerName[];
  readonly threshold: number;
  /** Of what will be layered. */
  readonly lengthBytes: number;
  /** Any dealer of the federation by default. */
  readonly dealer?: DealerChoice | undefined;
  readonly signal: AbortSignal;
  readonly onProgress?: (dealtBytes: number) => void;
}

/** Dealers that are busy are asked again for so long: they make as many deals at a time as they can, and soon others. */
const BUSY_PATIENCE_MS = 10_000;

/** Tries the dealers in turn; the next one is asked when one is away or busy, and all of them again when one of them is only busy. */
export async function freshDeal(user: CustodyUser, options: FreshDealOptions): Promise<FreshDeal> {
  if (options.dealer === "self") return await selfDeal(user, options);
  const giveUpAtMs = user.clock.nowMs() + BUSY_PATIENCE_MS;
  for (;;) {
    try {
      return await askDealers(user, options);
    } catch (error) {
      const retryAfterMs = busyForMs(error);
      if (retryAfterMs === undefined || user.clock.nowMs() + retryAfterMs > giveUpAtMs) throw error;
      await pause(user.clock, retryAfterMs, options.signal);
      options.signal.throwIfAborted();
    }
  }
}

async function askDealers(user: CustodyUser, options: FreshDealOptions): Promise<FreshDeal> {
  const { transport, session, clock, entropy } = user;
  const dealers = dealersFor(user, options.dealer);
  let last: unknown;
  for (const dealer of dealers) {
    try {
      return await requestDeal({ ...options, transport, dealer, session, clock, entropy });
    } catch (error) {
      last = error;
      options.signal.throwIfAborted();
      if (!(error instanceof IntercloudError) || !PASSING.has(error.status)) throw error;
    }
  }
  throw dealFailure(user, { dealers, roster: options.providers }, last);
}

/** When the last dealer that was asked has said that it is busy. */
function busyForMs(error: unknown): number | undefined {
  const answer = error instanceof IntercloudError ? error.cause : undefined;
  return answer instanceof IntercloudError && answer.status === "busy" ? answer.details.retryAfterMs : undefined;
}

/** The dealers that may be asked. */
export function dealersFor(
  { directory }: Pick<CustodyUser, "directory">,
  dealer: DealerChoice | undefined,
): readonly PeerName[] {
  if (dealer === "self") return [];
  return dealer === undefined ? directory.dealers : [dealer];
}

/** Failures that another dealer may not have. */
const PASSING: ReadonlySet<Status> = new Set<Status>(["unreachable", "busy", "timeout", "internal", "full"]);

async function selfDeal(user: CustodyUser, options: FreshDealOptions): Promise<FreshDeal> {
  const { transport, clock, entropy, tools, identityKey } = user;
  if (identityKey === undefined) {
    const message = "dealing for oneself takes the key of the identity, and there is only a session here";
    throw new IntercloudError("NO_IDENTITY_KEY", "bad-request", message);
  }
  const recipients = options.providers.map(
    (peer, i): Recipient => ({ point: i + 1, peer, agreementKey: agreementKeyOf(user, peer) }),
  );
  // loaded here, because most commands never deal
  const { dealForSelf } = await import("../../dealing/self-deal.ts");
  try {
    const session = () => user.session;
    return await dealForSelf({ ...options, ...tools, transport, clock, entropy, identityKey, session, recipients });
  } catch (error) {
    options.signal.throwIfAborted();
    const named = error instanceof IntercloudError && error.code === "PROVIDERS_FAILED";
    throw named ? dealFailure(user, { dealers: [], roster: options.providers }, error) : error;
  }
}
