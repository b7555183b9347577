/**
 * The one error class that everything of ours throws, and the status codes that may cross the wire.
 * A peer is sent a status, a request id and the names of culprits; never the text of our error.
 */

/** What a peer may be told. Kept short on purpose: each one makes the other side do something different. */
export const STATUSES = [
  "bad-request", // the message is malformed or breaks a limit: do not send it again
  "refused", // not the owner, no valid tag, not a member: do not send it again
  "expired", // the request is outside its time window: make a new one
  "replayed", // this very request was seen before: make a new one
  "not-found", // no such deal, deposit or method here
  "conflict", // it exists in a state that forbids this
  "busy", // past capacity: come back after `retryAfterMs`
  "full", // no room on disk, or over the owner's quota
  "integrity", // bytes did not match what was signed
  "damaged", // our own copy does not check: ask somebody else
  "unreachable", // a peer that was needed did not answer; `peers` names it
  "timeout", // it took longer than its deadline
  "cancelled", // the asking side gave up
  "internal", // a bug or a fault of ours; the request id finds it in our log
] as const;

export type Status = (typeof STATUSES)[number];

export interface ErrorDetails {
  /** Peers that are to blame or that did not answer. */
  readonly peers?: readonly string[];
  readonly retryAfterMs?: number;
  readonly requestId?: string;
  /** How many answered and how many are needed (exit code 4 prints both). */
  readonly answered?: number;
  readonly needed?: number;
  readonly [name: string]: unknown;
}

/**
 * Every error we throw on purpose. `code` is what tests and programs match; `message` says what, why and what to do.
 * `status` is what a peer is told if this ends the answer to it.
 */
export class IntercloudError extends Error {
  override readonly name: string = "IntercloudError";
  readonly code: string;
  readonly status: Status;
  readonly details: ErrorDetails;

  constructor(code: string, status: Status, message: string, details: ErrorDetails = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.status = status;
    this.details = details;
  }
}

/** A peer answered with a status instead of a result. */
export class RemoteError extends IntercloudError {
  override readonly name = "RemoteError";
  /** The peer that answered. */
  readonly peer: string;

  constructor(peer: string, status: Status, details: ErrorDetails = {}) {
    super(`REMOTE_${status.toUpperCase().replaceAll("-", "_")}`, status, `${peer} answered "${status}"`, details);
    this.peer = peer;
  }
}

/**
 * Who is to be looked at. When a peer says that another did wrong, that is its word against the other's: it is one of the two, for us and
 * for everybody whom we pass it on to.
 */
export function suspectsOf(error: IntercloudError): readonly string[] | undefined {
  const { peers } = error.details;
  if (!(error instanceof RemoteError)) return peers;
  if (peers === undefined) return [error.peer];
  return error.status === "integrity" && !peers.includes(error.peer) ? [...peers, error.peer] : peers;
}
