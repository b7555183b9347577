/** Which n providers a new deposit goes to: those that answer, in the order of preference. */
import { parseShape } from "../../wire/shape.ts";
import type { PeerName } from "../../wire/transport.ts";
import { CUSTODY_PROTOCOL } from "../constants.ts";
import { helloAnswerShape } from "../messages.ts";
import { type CustodyUser, notEnough } from "./user.ts";

/** A provider that takes longer than this to say hello would hold up the deposit. */
const HELLO_TIMEOUT_MS = 3_000;

/** @throws IntercloudError NOT_ENOUGH_PROVIDERS. */
export async function chooseProviders(
  user: CustodyUser,
  candidates: readonly PeerName[],
  count: number,
  signal: AbortSignal,
): Promise<readonly PeerName[]> {
  const willing = new Set<PeerName>();
  const enough = Promise.withResolvers<void>();
  const asked = candidates.map(async (peer) => {
    try {
      const options = { timeoutMs: HELLO_TIMEOUT_MS, signal };
      const answer = await user.transport.ask(peer, CUSTODY_PROTOCOL, "hello", {}, options);
      if (parseShape(helloAnswerShape, answer, "hello").acceptsDeposits) willing.add(peer);
    } catch {
      // Who does not answer is not chosen; if too few are left, the error below names it.
    }
    if (willing.size >= count) enough.resolve();
  });
  await Promise.race([enough.promise, Promise.all(asked)]);
  signal.throwIfAborted();
  if (willing.size < count) {
    throw notEnough(
      user,
      willing.size,
      count,
      candidates.filter((peer) => !willing.has(peer)),
    );
  }
  return candidates.filter((peer) => willing.has(peer)).slice(0, count);
}
