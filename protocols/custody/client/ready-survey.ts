/** Asks providers whether they are there and what they hold of a deposit, and lets one wait for enough of them, not for all. */
import { equalBytes } from "../../crypto/digest.ts";
import { IntercloudError } from "../../wire/errors.ts";
import { parseShape } from "../../wire/shape.ts";
import type { PeerName } from "../../wire/transport.ts";
import { CUSTODY_PROTOCOL } from "../constants.ts";
import { readyAnswerShape } from "../messages.ts";
import type { Placement } from "../placement.ts";
import { isBusy } from "./hedges.ts";
import type { CustodyUser } from "./user.ts";

/** A living provider answers within a round trip; later answers are still used if the retrieval goes on. */
const READY_TIMEOUT_MS = 5_000;

export interface ReadyProvider {
  readonly peer: PeerName;
  readonly point: number;
  readonly holdsCiphertext: boolean;
  readonly holdsEnvelope: boolean;
  /** How long its answer took. */
  readonly latencyMs: number;
}

interface ReadyAnswer {
  readonly peer: PeerName;
  readonly latencyMs: number;
  /** The generations that it can serve, by their deals. */
  readonly held: readonly { dealId: Uint8Array; holdsCiphertext: boolean; holdsEnvelope: boolean }[];
}

export interface ReadySurvey {
  /** Those that can serve this generation, in the order in which they answered; more while the survey runs. */
  ready(placement: Placement): ReadyProvider[];
  /** Whether somebody holds another generation. */
  holdsOther(placement: Placement): boolean;
  /** Those that answered and do not have the deposit (any more). */
  readonly without: readonly PeerName[];
  /** What those answered that are there and have too much to do. */
  readonly busy: ReadonlyMap<PeerName, IntercloudError>;
  /** Asks these as well, if they were not asked before. */
  ask(peers: readonly PeerName[]): void;
  /** Resolves when `enough` says so, or when everybody has answered or failed. */
  until(enough: () => boolean): Promise<void>;
}

/** Begins at once, so that the answers are there when the proof is. */
export function surveyReady(
  user: CustodyUser,
  tokenId: Uint8Array,
  peers: readonly PeerName[],
  signal: AbortSignal,
): ReadySurvey {
  const answers: ReadyAnswer[] = [];
  const without: PeerName[] = [];
  const busy = new Map<PeerName, IntercloudError>();
  const asked = new Set<PeerName>();
  let waiting = 0;
  let wake = Promise.withResolvers<void>();

  async function askOne(peer: PeerName): Promise<void> {
    const askedAtMs = user.clock.nowMs();
    try {
      const options = { timeoutMs: READY_TIMEOUT_MS, signal };
      const answer = await user.transport.ask(peer, CUSTODY_PROTOCOL, "ready", { tokenId }, options);
      const { held } = parseShape(readyAnswerShape, answer, "ready");
      if (held.length > 0) answers.push({ peer, held, latencyMs: user.clock.nowMs() - askedAtMs });
      else without.push(peer);
    } catch (error) {
      // Not there, or without the deposit: not ready. Too few of them is the caller's error to report.
      if (error instanceof IntercloudError && error.status === "not-found") without.push(peer);
      user.hedges?.sawFailure(error);
      if (isBusy(error)) busy.set(peer, error);
    }
    waiting -= 1;
    wake.resolve();
    wake = Promise.withResolvers();
  }

  const survey: ReadySurvey = {
    without,
    busy,
    ready: ({ manifest, roster }) =>
      answers.flatMap(({ peer, held, latencyMs }) => {
        const found = held.find(({ dealId }) => equalBytes(dealId, manifest.dealId));
        const point = roster.indexOf(peer) + 1;
        return found === undefined || point === 0
          ? []
          : [{ peer, point, latencyMs, holdsCiphertext: found.holdsCiphertext, holdsEnvelope: found.holdsEnvelope }];
      }),
    holdsOther: ({ manifest }) =>
      answers.some(({ held }) => held.some(({ dealId }) => !equalBytes(dealId, manifest.dealId))),
    ask(others) {
      for (const peer of others) {
        if (asked.has(peer)) continue;
        asked.add(peer);
        waiting += 1;
        void askOne(peer);
      }
    },
    async until(enough) {
      while (waiting > 0 && !enough()) await wake.promise;
    },
  };
  survey.ask(peers);
  return survey;
}
