/** A fresh deal: from the first dealer that can make one, from the one that was named, or made by the user itself. */
import type { Signer } from "../../crypto/signing.ts";
import { type FreshDeal, requestDeal } from "../../dealing/client.ts";
import type { Recipient } from "../../dealing/hand-out.ts";
import type { FreshLot } from "../../dealing/lot/request-lot.ts";
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
  const { transport, session, clock, entropy } = user;
  return await anyDealer(user, options, (dealer) =>
    requestDeal({ ...options, transport, dealer, session, clock, entropy }),
  );
}

export interface FreshLotOptions extends Omit<FreshDealOptions, "lengthBytes" | "onProgress"> {
  /** Of what will be layered in each deposit. */
  readonly lengths: readonly number[];
}

/** Many deals at once, for a batch. */
export async function freshLot(user: CustodyUser, options: FreshLotOptions): Promise<FreshLot> {
  // loaded here, because most commands make no batch
  const { lotForSelf, requestLot } = await import("../../dealing/lot/request-lot.ts");
  const { transport, session, clock, entropy, tools } = user;
  if (options.dealer === "self") {
    return await dealtBySelf(user, options, (self) =>
      lotForSelf({ ...options, ...tools, ...self, transport, clock, entropy, session: () => user.session }),
    );
  }
  return await anyDealer(user, options, (dealer) =>
    requestLot({ ...options, transport, dealer, session, clock, entropy }),
  );
}

type Asking = Pick<FreshDealOptions, "providers" | "dealer" | "signal">;

async function anyDealer<T>(user: CustodyUser, options: Asking, ask: (dealer: PeerName) => Promise<T>): Promise<T> {
  const giveUpAtMs = user.clock.nowMs() + BUSY_PATIENCE_MS;
  for (;;) {
    try {
      return await eachDealer(user, options, ask);
    } catch (error) {
      const retryAfterMs = busyForMs(error);
      if (retryAfterMs === undefined || user.clock.nowMs() + retryAfterMs > giveUpAtMs) throw error;
      await pause(user.clock, retryAfterMs, options.signal);
      options.signal.throwIfAborted();
    }
  }
}

async function eachDealer<T>(user: CustodyUser, options: Asking, ask: (dealer: PeerName) => Promise<T>): Promise<T> {
  const dealers = dealersFor(user, options.dealer);
  let last: unknown;
  for (const dealer of dealers) {
    try {
      return await ask(dealer);
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
  const { transport, clock, entropy, tools } = user;
  // loaded here, because most commands never deal
  const { dealForSelf } = await import("../../dealing/self-deal.ts");
  return await dealtBySelf(user, options, (self) =>
    dealForSelf({ ...options, ...tools, ...self, transport, clock, entropy, session: () => user.session }),
  );
}

interface SelfDealer {
  readonly identityKey: Signer;
  readonly recipients: readonly Recipient[];
}

async function dealtBySelf<T>(
  user: CustodyUser,
  { providers, signal }: Pick<FreshDealOptions, "providers" | "signal">,
  deal: (self: SelfDealer) => Promise<T>,
): Promise<T> {
  const { identityKey } = user;
  if (identityKey === undefined) {
    const message = "dealing for oneself takes the key of the identity, and there is only a session here";
    throw new IntercloudError("NO_IDENTITY_KEY", "bad-request", message);
  }
  const recipients = providers.map(
    (peer, i): Recipient => ({ point: i + 1, peer, agreementKey: agreementKeyOf(user, peer) }),
  );
  try {
    return await deal({ identityKey, recipients });
  } catch (error) {
    signal.throwIfAborted();
    const named = error instanceof IntercloudError && error.code === "PROVIDERS_FAILED";
    throw named ? dealFailure(user, { dealers: [], roster: providers }, error) : error;
  }
}
