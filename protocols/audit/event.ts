/**
 * What a node writes into its audit log: one event for each change of state that it commits, and one for each retrieval that
 * it serves or refuses. Whoever adds a kind adds its shape here and appends the event in the commit that it tells of.
 * Ids, digests, names and numbers only: no secret, and nothing of a message.
 */
import * as v from "valibot";
import { DEAL_ID_BYTES, MAX_PROVIDERS, MAX_ROUND_BYTES, TOKEN_ID_BYTES } from "../rounds/constants.ts";
import type { Change } from "../storage/index.ts";
import { decodeCanonical, encodeCanonical } from "../wire/codec.ts";
import { fixedBytes, integer, parseShape, text, timeMs } from "../wire/shape.ts";

const dealId = fixedBytes(DEAL_ID_BYTES);
const tokenId = fixedBytes(TOKEN_ID_BYTES);
const peer = text(64);
const identity = text(256);

/** A retrieval that somebody asked for. The identity has signed for it; whether it may have it is in the kind. */
const retrieval = {
  tokenId,
  identity,
  /** What the request was signed for. */
  purpose: text(32),
  /** Who brought the request: the requester itself, or in the chain route the member behind us. */
  from: peer,
  /** What every mask of the round is bound to. */
  roundDigest: fixedBytes(32),
};

const eventShape = v.variant("kind", [
  v.strictObject({ kind: v.literal("started"), version: text(64), peer }),
  /** In order. Two starts without a stop between them: the process was killed. */
  v.strictObject({ kind: v.literal("stopped") }),

  /** A dealer gave us a share. */
  v.strictObject({
    kind: v.literal("dealt"),
    ...{ dealId, dealer: peer, point: integer(1, MAX_PROVIDERS) },
    lengthBytes: integer(1, MAX_ROUND_BYTES),
    expiresAtMs: timeMs,
  }),
  /** An owner said what a deal is used for. */
  v.strictObject({ kind: v.literal("bound"), tokenId, dealId, identity, from: peer }),
  /** We signed our link of the deposit's chain. */
  v.strictObject({ kind: v.literal("linked"), tokenId }),
  /** At home: the ciphertext is on disk. */
  v.strictObject({ kind: v.literal("kept"), tokenId }),
  /** At another keeper: a copy of it is on disk. */
  v.strictObject({ kind: v.literal("copied"), tokenId }),
  /** The owner accepted the chain: the deposit exists. */
  v.strictObject({ kind: v.literal("sealed"), tokenId, identity }),
  /** The share of a deal is gone, and with it the deposit that it was bound to. */
  v.strictObject({
    kind: v.literal("burnt"),
    dealId,
    tokenId: v.nullable(tokenId),
    /** `abandoned` by its owner, `forgotten` by its dealer, a step `failed`, or it was not sealed in time. */
    why: v.picklist(["abandoned", "forgotten", "failed", "expired"]),
  }),

  /** Written before the first byte leaves; whether the last one arrived is not known here. */
  v.strictObject({
    kind: v.literal("served"),
    ...retrieval,
    offsetBytes: integer(0, MAX_ROUND_BYTES),
    lengthBytes: integer(1, MAX_ROUND_BYTES),
  }),
  v.strictObject({
    kind: v.literal("refused"),
    ...retrieval,
    /** The code of the error that it ended with. */
    code: text(64),
    /** Refusals before this one, since the one before it in the log, that were too many to be written one by one. */
    unlogged: integer(0, Number.MAX_SAFE_INTEGER),
  }),
]);

export type AuditEvent = Readonly<v.InferOutput<typeof eventShape>>;

/** Appends the event to the log, in the commit that this change is part of. */
export function auditChange(event: AuditEvent): Change {
  return { kind: "append", event: encodeCanonical(event) };
}

/** @throws IntercloudError MALFORMED, NON_CANONICAL, BAD_MESSAGE: also for a kind that a later release has added. */
export function decodeEvent(bytes: Uint8Array): AuditEvent {
  return parseShape(eventShape, decodeCanonical(bytes), "audit event");
}
