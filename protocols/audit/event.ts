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
const lengthBytes = integer(0, Number.MAX_SAFE_INTEGER);

/** A retrieval that somebody asked for. The identity has signed for it; whether it may have it is in the kind. */
const retrieval = {
  tokenId,
  identity,
  /** What the request was signed for. */
  purpose: text(32),
  /** Who brought the request: the requester itself, or in the chain route the member behind us. */
  from: peer,
  /** What every mask of the round is bound to; for an envelope, the digest of the request. */
  roundDigest: fixedBytes(32),
};

/** A refresh or move of a deposit, by the digest of the owner's request. */
const change = { tokenId, generation: integer(1, 2 ** 32 - 1), change: fixedBytes(32) };

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
  /** At home and the other keepers: the envelope is on disk. */
  v.strictObject({ kind: v.literal("kept-envelope"), tokenId, lengthBytes }),
  /** The owner accepted the chain: the deposit exists. */
  v.strictObject({ kind: v.literal("sealed"), tokenId, identity }),
  /**
   * A step of all deposits of a lot at once: bound, linked (with the ciphertexts, at the keepers) or sealed. `root` is that of the owner's
   * requests, one for each deposit; whoever has the proof of one can show that it was among them.
   */
  v.strictObject({
    kind: v.literal("lot"),
    ...{ step: v.picklist(["bound", "linked", "sealed"]), dealId, identity, root: fixedBytes(32) },
    items: integer(1, 4096),
  }),
  /** The share of a deal is gone, and with it the deposit that it was bound to. */
  v.strictObject({
    kind: v.literal("burnt"),
    dealId,
    tokenId: v.nullable(tokenId),
    /** `abandoned` by its owner, `forgotten` by its dealer, a step `failed`, or it was not sealed in time. */
    why: v.picklist(["abandoned", "forgotten", "failed", "expired"]),
  }),

  /** A refresh or move, at a provider of the new generation: its share is set aside, it promised to hold it, it dropped it. */
  v.strictObject({ kind: v.literal("change-prepared"), ...change, dealId, identity }),
  v.strictObject({ kind: v.literal("change-active"), ...change }),
  v.strictObject({ kind: v.literal("change-dropped"), ...change, dealId, why: v.picklist(["abandoned", "expired"]) }),
  /** At the new home, and at another keeper: the new ciphertext is on disk. */
  v.strictObject({ kind: v.literal("change-kept"), ...change }),
  /** The new generation is the deposit's here, and the old share is gone; or the deposit has left us. */
  v.strictObject({ kind: v.literal("changed"), ...change, dealId }),
  v.strictObject({ kind: v.literal("left"), ...change }),
  /** Our part of a round among providers was given to its collector. Written before the first byte leaves. */
  v.strictObject({
    kind: v.literal("gave-part"),
    ...{ tokenId, round: v.picklist(["repair", "refresh", "move"]), to: peer, roundDigest: fixedBytes(32) },
  }),
  /** The ciphertext was given to another provider that is to keep it. */
  v.strictObject({ kind: v.literal("gave-ciphertext"), tokenId, to: peer }),
  /** So was the envelope. */
  v.strictObject({ kind: v.literal("gave-envelope"), tokenId, to: peer }),
  /** What was missing or damaged here was made good, from other providers. */
  v.strictObject({
    kind: v.literal("repaired"),
    ...{ tokenId, share: v.boolean(), ciphertext: v.boolean(), envelope: v.boolean() },
  }),
  /** The owner destroyed the deposit; the receipt says what was removed. */
  v.strictObject({ kind: v.literal("destroyed"), tokenId, dealId, identity }),
  /** The owner's list of those who may read the deposit was replaced by a newer one. */
  v.strictObject({
    kind: v.literal("grants"),
    ...{ tokenId, identity, version: integer(0, Number.MAX_SAFE_INTEGER), granted: integer(0, 1024) },
  }),
  /** A reader was given account of our share, and shown some blocks of it. */
  v.strictObject({ kind: v.literal("accounted"), tokenId, identity, from: peer }),

  /** Written before the first byte leaves; whether the last one arrived is not known here. */
  v.strictObject({
    kind: v.literal("served"),
    ...retrieval,
    offsetBytes: integer(0, MAX_ROUND_BYTES),
    lengthBytes: integer(1, MAX_ROUND_BYTES),
  }),
  /** The same for the envelope of a deposit, from an offset on. */
  v.strictObject({
    kind: v.literal("served-envelope"),
    ...{ tokenId, identity, from: peer, offsetBytes: integer(0, Number.MAX_SAFE_INTEGER), lengthBytes },
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
