/** How an error of ours is told to a peer, and read from one: status, request id, culprits and counts, never our text. */
import * as v from "valibot";
import type { CborValue } from "./codec.ts";
import { type ErrorDetails, IntercloudError, RemoteError, STATUSES, suspectsOf } from "./errors.ts";
import { integer, parseShape, text } from "./shape.ts";
import type { PeerName } from "./transport.ts";

/** There are at most 254 points, so never more peers to name. */
const MAX_PEERS = 254;
const MAX_RETRY_AFTER_MS = 24 * 3600 * 1000;
/** A request id of a peer goes into our log and our error: printable, short, and nothing that a terminal obeys. */
const requestIdSchema = v.pipe(text(64), v.regex(/^[A-Za-z0-9._-]+$/));
const peerSchema = v.pipe(text(64), v.regex(/^[1-9A-HJ-NP-Za-km-z]+$/));

export const failureEntries = {
  status: v.picklist(STATUSES),
  requestId: v.optional(requestIdSchema),
  peers: v.optional(v.pipe(v.array(peerSchema), v.maxLength(MAX_PEERS))),
  retryAfterMs: v.optional(integer(0, MAX_RETRY_AFTER_MS)),
  answered: v.optional(integer(0, MAX_PEERS)),
  needed: v.optional(integer(0, MAX_PEERS)),
};
const failureSchema = v.strictObject(failureEntries);
export type Failure = v.InferOutput<typeof failureSchema>;

/** What is sent for this error. Anything in its details that is not well formed is left out, not sent. */
export function failureMessage(error: IntercloudError, requestId?: string): { readonly [key: string]: CborValue } {
  const { details } = error;
  const candidates = {
    requestId: requestId ?? details.requestId,
    peers: suspectsOf(error),
    retryAfterMs: details.retryAfterMs,
    answered: details.answered,
    needed: details.needed,
  };
  const message: Record<string, CborValue> = { status: error.status };
  for (const [name, value] of Object.entries(candidates)) {
    const schema = failureEntries[name as keyof typeof failureEntries];
    if (value !== undefined && v.is(schema, value)) message[name] = value as CborValue;
  }
  return message;
}

/** @throws IntercloudError BAD_MESSAGE. */
export function failureFrom(peer: PeerName, message: CborValue): RemoteError {
  return remoteError(peer, parseShape(failureSchema, message, "failure"));
}

export function remoteError(peer: PeerName, failure: Failure): RemoteError {
  const { status, ...details } = failure;
  return new RemoteError(peer, status, details as ErrorDetails);
}

/** What a peer is told of an error of a handler. @param onFault gets what is a bug or fault of ours, once. */
export function errorForPeer(error: unknown, onFault: (error: unknown) => void): IntercloudError {
  if (error instanceof IntercloudError) {
    if (error.status === "internal") onFault(error);
    return error;
  }
  onFault(error);
  return new IntercloudError("INTERNAL", "internal", "a handler failed; the log has the cause", {}, error);
}
