/** The session of a client: one tag for an hour, renewed before it ends, so that a deposit may take longer than that. */
import type { Entropy } from "../protocols/crypto/entropy.ts";
import type { Signer } from "../protocols/crypto/signing.ts";
import { identityOfKey, openSession, PURPOSES, type Session } from "../protocols/identity/index.ts";
import type { Clock } from "../protocols/wire/clock.ts";

const SESSION_LIFETIME_MS = 60 * 60_000;

/** A request lives for two minutes and is checked against the tag when it arrives: ten leave room for slow peers. */
const RENEW_BEFORE_MS = 10 * 60_000;

export function renewedSessions(identityKey: Signer, clock: Clock, entropy: Entropy): () => Session {
  const identity = identityOfKey(identityKey.publicKey);
  let session: Session | undefined;
  let openedAtMs = 0;
  return () => {
    const nowMs = clock.nowMs();
    const ageMs = nowMs - openedAtMs;
    // a clock that was set back makes the tag one of the future
    if (session === undefined || ageMs < 0 || ageMs >= SESSION_LIFETIME_MS - RENEW_BEFORE_MS) {
      openedAtMs = nowMs;
      session = openSession({
        ...{ identity, identityKey, purposes: PURPOSES, nowMs, lifetimeMs: SESSION_LIFETIME_MS, entropy },
      });
    }
    return session;
  };
}
