/** Why providers call a request expired that was made just now: most of the time this machine's clock is wrong. */
import { CLOCK_SKEW_MS } from "../../identity/constants.ts";
import { IntercloudError } from "../../wire/errors.ts";
import { parseShape } from "../../wire/shape.ts";
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
  const expired = failures.filter(({ error }) => error instanceof IntercloudError && error.status === "expired");
  if (expired.length === 0) return undefined;
  const peers = expired.map(({ peer }) => peer);
  const { answers } = await askAll(user, peers, "hello", {}, { timeoutMs: ASK_TIMEOUT_MS, signal });
  const nowMs = user.clock.nowMs();
  const aheadMs = [...answers.values()].map((answer) => nowMs - parseShape(helloAnswerShape, answer, "hello").timeMs);
  // the middle one: a single provider may be wrong itself
  const offMs = aheadMs.sort((a, b) => a - b)[aheadMs.length >> 1];
  if (offMs === undefined || Math.abs(offMs) <= CLOCK_SKEW_MS) return undefined;
  const minutes = Math.round(Math.abs(offMs) / 60_000);
  const message =
    `the providers refuse what this machine signs as expired: its clock is ${minutes} minutes ` +
    `${offMs > 0 ? "ahead of" : "behind"} theirs; set it right and try again`;
  return new IntercloudError("REQUEST_EXPIRED", "expired", message, { offMs }, expired[0]?.error);
}
