/** A fresh deal from the first dealer that can make one. */
import { type FreshDeal, requestDeal } from "../../dealing/client.ts";
import { IntercloudError, type Status } from "../../wire/errors.ts";
import type { PeerName } from "../../wire/transport.ts";
import { dealFailure } from "./deposit-failure.ts";
import type { CustodyUser } from "./user.ts";

export interface FreshDealOptions {
  /** In point order. */
  readonly providers: readonly PeerName[];
  readonly threshold: number;
  /** Of what will be layered. */
  readonly lengthBytes: number;
  readonly signal: AbortSignal;
  readonly onProgress?: (dealtBytes: number) => void;
}

/** Tries the dealers in turn; the next one is asked when one is away or busy. */
export async function freshDeal(user: CustodyUser, options: FreshDealOptions): Promise<FreshDeal> {
  const { transport, session, clock, entropy, directory } = user;
  let last: unknown;
  for (const dealer of directory.dealers) {
    try {
      return await requestDeal({ ...options, transport, dealer, session, clock, entropy });
    } catch (error) {
      last = error;
      options.signal.throwIfAborted();
      if (!(error instanceof IntercloudError) || !PASSING.has(error.status)) throw error;
    }
  }
  throw dealFailure(user, options.providers, last);
}

/** Failures that another dealer may not have. */
const PASSING: ReadonlySet<Status> = new Set<Status>(["unreachable", "busy", "timeout", "internal", "full"]);
