/** What the user's side of custody needs from outside. All of it is passed in. */
import type { Entropy } from "../../crypto/entropy.ts";
import type { AgreementKey } from "../../crypto/key-agreement.ts";
import type { Signer } from "../../crypto/signing.ts";
import type { DealStock } from "../../dealing/stock.ts";
import { type Purpose, signRequest } from "../../identity/index.ts";
import type { Session } from "../../identity/tag.ts";
import type { RoundTools } from "../../rounds/layer.ts";
import type { Clock } from "../../wire/clock.ts";
import type { CborValue } from "../../wire/codec.ts";
import { IntercloudError } from "../../wire/errors.ts";
import type { PeerName, Transport } from "../../wire/transport.ts";
import { REQUEST_LIFETIME_MS } from "../constants.ts";
import type { Hedges } from "./hedges.ts";

/** For whoever does not say when to come back. */
const DEFAULT_RETRY_AFTER_MS = 1_000;

/** The providers and dealers that the user knows, from federation.json. */
export interface Directory {
  /** In the order of the federation file. */
  readonly providers: readonly PeerName[];
  readonly dealers: readonly PeerName[];
  /** A provider's X25519 key. */
  agreementKeyOf(peer: PeerName): Uint8Array | undefined;
  /** What people call it; the peer's own name when it has none. */
  nameOf(peer: PeerName): string;
}

export interface CustodyUser {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly tools: RoundTools;
  readonly session: Session;
  /** `userKeyOf` the identity: shares of Protocol 1 are sealed to it. */
  readonly userKey: AgreementKey;
  readonly directory: Directory;
  /** The identity's own key, to deal for itself with. */
  readonly identityKey?: Signer | undefined;
  /** How often it may ask others because those that it asked are slow; as often as they are without it. */
  readonly hedges?: Hedges | undefined;
  /** Deals that were fetched ahead. */
  readonly stock?: DealStock | undefined;
}

export function signedRequest(user: CustodyUser, purpose: Purpose, content: CborValue): Uint8Array {
  const { session, entropy, clock } = user;
  return signRequest({ session, purpose, content, nowMs: clock.nowMs(), lifetimeMs: REQUEST_LIFETIME_MS, entropy });
}

/** @throws IntercloudError UNKNOWN_PROVIDER when the federation file does not list it. */
export function agreementKeyOf(user: CustodyUser, peer: PeerName): Uint8Array {
  const key = user.directory.agreementKeyOf(peer);
  if (key !== undefined) return key;
  throw new IntercloudError(
    "UNKNOWN_PROVIDER",
    "refused",
    `${peer} is not in our federation file; get the current one`,
    {
      peers: [peer],
    },
  );
}

/** Exit code 4: those that are needed are there and have too much to do. @param busy what they answered */
export function overloaded(busy: readonly IntercloudError[]): IntercloudError {
  const retryAfterMs = Math.max(...busy.map(({ details }) => details.retryAfterMs ?? DEFAULT_RETRY_AFTER_MS));
  const message = `the providers have more to do than they can; try again in ${Math.ceil(retryAfterMs / 1000)} s`;
  return new IntercloudError("BUSY", "busy", message, { retryAfterMs }, busy[0]);
}

/** Exit code 4: says how many answered and how many are needed, and who did not. */
export function notEnough(
  user: CustodyUser,
  answered: number,
  needed: number,
  missing: readonly PeerName[],
  cause?: unknown,
): IntercloudError {
  const names = missing.map((peer) => user.directory.nameOf(peer)).join(", ");
  const message =
    `${answered} of ${needed} providers that are needed answered` +
    `${names === "" ? "" : ` (no good answer from ${names})`}; try again when more of them are up`;
  return new IntercloudError(
    "NOT_ENOUGH_PROVIDERS",
    "unreachable",
    message,
    { answered, needed, peers: missing },
    cause,
  );
}
