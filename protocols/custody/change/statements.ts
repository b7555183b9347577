/**
 * What providers sign in a refresh or a move. Each statement names the owner's request by its digest, so that all of them together
 * show, to anybody and offline, who did what.
 */
import * as v from "valibot";
import { DIGEST_BYTES } from "../../crypto/digest.ts";
import { publicKeyOfPeer } from "../../crypto/peer-name.ts";
import { SIGNATURE_BYTES, type Signer, verifySignature } from "../../crypto/signing.ts";
import { MAX_PROVIDERS, TOKEN_ID_BYTES } from "../../rounds/constants.ts";
import { decodeCanonical, encodeCanonical } from "../../wire/codec.ts";
import { IntercloudError } from "../../wire/errors.ts";
import { boundedBytes, fixedBytes, integer, parseShape, text, timeMs } from "../../wire/shape.ts";
import type { PeerName } from "../../wire/transport.ts";
import { MAX_GENERATION, MAX_STATEMENT_BYTES } from "../constants.ts";
import { boxShape } from "../share-boxes.ts";

const common = {
  version: v.literal(1),
  tokenId: fixedBytes(TOKEN_ID_BYTES),
  generation: integer(1, MAX_GENERATION),
  /** `ChangeTerms.digest`. */
  change: fixedBytes(DIGEST_BYTES),
  peer: text(64),
  timeMs,
};

/** A member: this is what I sent. */
const partShape = v.strictObject({ kind: v.literal("part"), ...common, digestOut: fixedBytes(DIGEST_BYTES) });
/** The new home: what came in, from whom, and the ciphertext that it makes. All digests are `bodyDigest`. */
const keepingShape = v.strictObject({
  kind: v.literal("keeping"),
  ...common,
  digestBefore: fixedBytes(DIGEST_BYTES),
  parts: v.pipe(
    v.array(v.strictObject({ peer: text(64), digest: fixedBytes(DIGEST_BYTES) })),
    v.maxLength(2 * MAX_PROVIDERS),
  ),
  digestKept: fixedBytes(DIGEST_BYTES),
});
/** A provider of the new generation: I hold my share of it, and will not give it up by myself. */
const holdingShape = v.strictObject({
  kind: v.literal("holding"),
  ...common,
  point: integer(1, MAX_PROVIDERS),
  holdsCiphertext: v.boolean(),
  /** Protocol 1: the share, sealed to the owner, if it is a seed. */
  box: v.nullable(boxShape),
});
/** A provider of the old generation: my share of it is gone. */
const retiredShape = v.strictObject({ kind: v.literal("retired"), ...common });

const statementShape = v.variant("kind", [partShape, keepingShape, holdingShape, retiredShape]);
export type ChangeStatement = v.InferOutput<typeof statementShape>;
export type StatementOf<K extends ChangeStatement["kind"]> = Extract<ChangeStatement, { kind: K }>;

const signedShape = v.strictObject({ body: boundedBytes(MAX_STATEMENT_BYTES), signature: fixedBytes(SIGNATURE_BYTES) });
const DOMAIN = "intercloud/change-statement/v1";

export function signStatement(statement: ChangeStatement, signer: Signer): Uint8Array {
  const body = encodeCanonical(statement);
  return encodeCanonical({ body, signature: signer.sign(DOMAIN, body) });
}

/**
 * @param by who should have made it; whoever it names, if that is left out
 * @throws IntercloudError BAD_STATEMENT when it is of another kind or change, or not signed by the peer that it names.
 */
export function readStatement<K extends ChangeStatement["kind"]>(
  bytes: Uint8Array,
  kind: K,
  change: Uint8Array,
  by?: PeerName,
): StatementOf<K> {
  const { body, signature } = parseShape(signedShape, decodeCanonical(bytes), "signed statement");
  const statement = parseShape(statementShape, decodeCanonical(body), "statement");
  const isBy = by === undefined || statement.peer === by;
  const ours = isBy && statement.kind === kind && Buffer.compare(statement.change, change) === 0;
  if (!ours || !verifySignature(publicKeyOfPeer(statement.peer), DOMAIN, body, signature)) {
    // whom it names says nothing: everybody can write that
    throw new IntercloudError("BAD_STATEMENT", "integrity", "a statement about a change is not what it should be");
  }
  return statement as StatementOf<K>;
}
