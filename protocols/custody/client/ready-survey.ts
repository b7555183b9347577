/** Asks all providers of a deposit whether they are there, and lets one wait for enough of them, not for all. */
import { IntercloudError } from "../../wire/errors.ts";
import { parseShape } from "../../wire/shape.ts";
import type { PeerName } from "../../wire/transport.ts";
import { CUSTODY_PROTOCOL } from "../constants.ts";
import { readyAnswerShape } from "../messages.ts";
import type { Placement } from "../placement.ts";
import type { CustodyUser } from "./user.ts";

/** A living provider answers within a round trip; later answers are still used if the retrieval goes on. */
const READY_TIMEOUT_MS = 5_000;

export interface ReadyProvider {
  readonly peer: PeerName;
  readonly point: number;
  readonly holdsCiphertext: boolean;
}

export interface ReadySurvey {
  /** In the order in which they answered; grows while the survey runs. */
  readonly ready: readonly ReadyProvider[];
  /** Those that answered and do not have the deposit (any more). */
  readonly without: readonly PeerName[];
  /** Resolves when `enough` says so, or when everybody has answered or failed. */
  until(enough: (ready: readonly ReadyProvider[]) => boolean): Promise<void>;
}

export function surveyReady(
  user: CustodyUser,
  tokenId: Uint8Array,
  { manifest, roster }: Placement,
  signal: AbortSignal,
): ReadySurvey {
  const ready: ReadyProvider[] = [];
  const without: PeerName[] = [];
  let wake = Promise.withResolvers<void>();
  const asked = roster.map(async (peer, i) => {
    try {
      const options = { timeoutMs: READY_TIMEOUT_MS, signal };
      const body = { tokenId, dealId: manifest.dealId };
      const answer = await user.transport.ask(peer, CUSTODY_PROTOCOL, "ready", body, options);
      const { holdsShare, holdsCiphertext } = parseShape(readyAnswerShape, answer, "ready");
      if (holdsShare) ready.push({ peer, point: i + 1, holdsCiphertext });
      else without.push(peer);
    } catch (error) {
      // Not there, or without the deposit: not ready. Too few of them is the caller's error to report.
      if (error instanceof IntercloudError && error.status === "not-found") without.push(peer);
    }
    wake.resolve();
    wake = Promise.withResolvers();
  });
  let over = false;
  const all = Promise.all(asked).then(() => {
    over = true;
  });
  return {
    ready,
    without,
    async until(enough) {
      while (!over && !enough(ready)) await Promise.race([wake.promise, all]);
    },
  };
}
