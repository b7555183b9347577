/** A fresh deal: from the first dealer that can make one, from the one that was named, or made by the user itself. */
import { type FreshDeal, requestDeal } from "../../dealing/client.ts";
import type { Recipient } from "../../dealing/hand-out.ts";
import { IntercloudError, type Status } from "../../wire/errors.ts";
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

/** Tries the dealers in turn; the next one is asked when one is away or busy. */
export async function freshDeal(user: CustodyUser, options: FreshDealOptions): Promise<FreshDeal> {
  if (options.dealer === "self") return await selfDeal(user, options);
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
