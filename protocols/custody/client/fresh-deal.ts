/** A fresh deal from the first dealer that can make one. */
import { type FreshDeal, requestDeal } from "../../dealing/client.ts";
import { layeredBytes } from "../../tokens/message.ts";
import { IntercloudError, type Status } from "../../wire/errors.ts";
import type { PeerName } from "../../wire/transport.ts";
import type { DepositOptions } from "./deposit.ts";
import { dealFailure } from "./deposit-failure.ts";
import type { CustodyUser } from "./user.ts";

/** Tries the dealers in turn; the next one is asked when one is away or busy. */
export async function freshDeal(
  user: CustodyUser,
  options: DepositOptions,
  peers: readonly PeerName[],
  signal: AbortSignal,
): Promise<FreshDeal> {
  const { transport, session, clock, entropy, directory } = user;
  const lengthBytes = layeredBytes(options.source.lengthBytes);
  const onProgress = (doneBytes: number) =>
    options.onProgress?.({ phase: "dealing", doneBytes, totalBytes: lengthBytes });
  let last: unknown;
  for (const dealer of directory.dealers) {
    try {
      const { threshold } = options;
      return await requestDeal({
        ...{ transport, dealer, session, clock, entropy, threshold, providers: peers, lengthBytes, signal, onProgress },
      });
    } catch (error) {
      last = error;
      signal.throwIfAborted();
      if (!(error instanceof IntercloudError) || !PASSING.has(error.status)) throw error;
    }
  }
  throw dealFailure(user, peers, last);
}

/** Failures that another dealer may not have. */
const PASSING: ReadonlySet<Status> = new Set<Status>(["unreachable", "busy", "timeout", "internal", "full"]);
