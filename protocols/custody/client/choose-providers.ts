/** Which n providers a new deposit goes to: those that answer, in the order of preference. */
import { parseShape } from "../../wire/shape.ts";
import type { PeerName } from "../../wire/transport.ts";
import { CUSTODY_PROTOCOL } from "../constants.ts";
import { helloAnswerShape } from "../messages.ts";
import { type CustodyUser, notEnough } from "./user.ts";

/** A provider that takes longer than this to say hello would hold up the deposit. */
const HELLO_TIMEOUT_MS = 3_000;

/** Once there are enough without it, a whole set that is preferred gets this long to answer. */
const PREFERRED_TIMEOUT_MS = 500;

/**
 * @param preferred whole sets of `count` providers: the first one that is willing is taken before any other choice
 * @throws IntercloudError NOT_ENOUGH_PROVIDERS.
 */
export async function chooseProviders(
  user: CustodyUser,
  candidates: readonly PeerName[],
  count: number,
  signal: AbortSignal,
  preferred: readonly (readonly PeerName[])[] = [],
): Promise<readonly PeerName[]> {
  const willing = new Set<PeerName>();
  const others = new Set<PeerName>();
  const chosen = () => preferred.find((peers) => peers.every((peer) => willing.has(peer)));
  const isHopeless = () => preferred.every((peers) => peers.some((peer) => others.has(peer)));
  let cancelTimeout: (() => void) | undefined;
  const enough = Promise.withResolvers<void>();
  const asked = candidates.map(async (peer) => {
    try {
      const options = { timeoutMs: HELLO_TIMEOUT_MS, signal };
      const answer = await user.transport.ask(peer, CUSTODY_PROTOCOL, "hello", {}, options);
      (parseShape(helloAnswerShape, answer, "hello").acceptsDeposits ? willing : others).add(peer);
    } catch {
      // Who does not answer is not chosen; if too few are left, the error below names it.
      others.add(peer);
    }
    if (willing.size < count) return;
    if (chosen() !== undefined || isHopeless()) enough.resolve();
    else cancelTimeout ??= user.clock.after(PREFERRED_TIMEOUT_MS, enough.resolve);
  });
  await Promise.race([enough.promise, Promise.all(asked)]);
  cancelTimeout?.();
  signal.throwIfAborted();
  if (willing.size < count) {
    throw notEnough(
      user,
      willing.size,
      count,
      candidates.filter((peer) => !willing.has(peer)),
    );
  }
  return chosen() ?? candidates.filter((peer) => willing.has(peer)).slice(0, count);
}
