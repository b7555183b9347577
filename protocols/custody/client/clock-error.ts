/** Why providers call a request expired that was made just now: most of the time this machine's clock is wrong. */
import { CLOCK_SKEW_MS } from "../../identity/constants.ts";
import { IntercloudError } from "../../wire/errors.ts";
import { parseShape } from "../../wire/shape.ts";
import type { PeerName } from "../../wire/transport.ts";
import { ASK_TIMEOUT_MS } from "../constants.ts";
import { helloAnswerShape } from "../messages.ts";
import { askAll, type Failure } from "./ask-all.ts";
import type { CustodyUser } from "./user.ts";

/** Asks the providers that said so what time it is. @returns undefined when none said so, or their clocks are ours. */
export async function clockError(
  user: CustodyUser,
  failures: readonly Failure[],
  signal: AbortSignal,
): Promise<IntercloudError | undefined> {
  const expired = failures.filter(({ error }) => isExpired(error));
  if (expired.length === 0) return undefined;
  const offsMs = await offsetsOf(
    user,
    expired.map(({ peer }) => peer),
    signal,
  );
  const offMs = middleOf([...offsMs.values()]);
  return offMs === undefined || isNear(offMs) ? undefined : ownClock(offMs, expired[0]?.error);
}

/**
 * Like `clockError`, when one request is for many and somebody calls it expired: it may be the clock of a provider that is wrong.
 * @returns the cause itself when it is something else.
 */
export async function expiredAmong(
  user: CustodyUser,
  peers: readonly PeerName[],
  cause: unknown,
  signal: AbortSignal,
): Promise<unknown> {
  if (!isExpired(cause)) return cause;
  const offsMs = await offsetsOf(user, peers, signal);
  const offMs = middleOf([...offsMs.values()]);
  if (offMs !== undefined && !isNear(offMs)) return ownClock(offMs, cause);
  const wrong = peers.filter((peer) => !isNear(offsMs.get(peer) ?? 0));
  if (wrong.length === 0) return cause;
  const told = wrong.map((peer) => {
    const wrongMs = -offsMs.get(peer)!;
    return `that of ${user.directory.nameOf(peer)} is ${minutesOf(wrongMs)} minutes ${wrongMs > 0 ? "ahead" : "behind"}`;
  });
  const message =
    `a provider refuses as expired what was made just now: its clock is wrong (${told.join(", ")}); ` +
    "its operator has to set it right, or take other providers";
  return new IntercloudError("CLOCK_WRONG", "unreachable", message, { peers: wrong }, cause);
}

function isExpired(error: unknown): boolean {
  return error instanceof IntercloudError && error.status === "expired";
}

/** How far our clock is ahead of theirs. */
async function offsetsOf(
  user: CustodyUser,
  peers: readonly PeerName[],
  signal: AbortSignal,
): Promise<ReadonlyMap<PeerName, number>> {
  const options = { timeoutMs: ASK_TIMEOUT_MS, signal };
  const { answers } = await askAll(
    ...([user, peers, "hello", {}, options] as const),
    (answer) => user.clock.nowMs() - parseShape(helloAnswerShape, answer, "hello").timeMs,
  );
  return answers;
}

/** A single provider may be wrong itself. */
function middleOf(offsMs: readonly number[]): number | undefined {
  return [...offsMs].sort((a, b) => a - b)[offsMs.length >> 1];
}

function isNear(offMs: number): boolean {
  return Math.abs(offMs) <= CLOCK_SKEW_MS;
}

function minutesOf(offMs: number): number {
  return Math.round(Math.abs(offMs) / 60_000);
}

function ownClock(offMs: number, cause: unknown): IntercloudError {
  const message =
    `the providers refuse what this machine signs as expired: its clock is ${minutesOf(offMs)} minutes ` +
    `${offMs > 0 ? "ahead of" : "behind"} theirs; set it right and try again`;
  return new IntercloudError("REQUEST_EXPIRED", "expired", message, { offMs }, cause);
}
