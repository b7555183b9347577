/**
 * The envelope of a deposit of that form: the age file that home and the other keepers keep beside the ciphertext of its key. The owner
 * signs what it is when it closes the deposit, so nobody can put another in its place. It is the same in every generation.
 */
import * as v from "valibot";
import { DIGEST_BYTES, equalBytes } from "../crypto/digest.ts";
import type { Token } from "../tokens/token.ts";
import { IntercloudError } from "../wire/errors.ts";
import { fixedBytes, integer } from "../wire/shape.ts";
import { MAX_ENVELOPE_BYTES } from "./constants.ts";

export const keptEnvelopeShape = v.strictObject({
  lengthBytes: integer(1, MAX_ENVELOPE_BYTES),
  /** `bodyDigest` of the file. */
  digest: fixedBytes(DIGEST_BYTES),
});
export type KeptEnvelope = Readonly<v.InferOutput<typeof keptEnvelopeShape>>;

export function isSameEnvelope(one: KeptEnvelope | null, other: KeptEnvelope | null): boolean {
  if (one === null || other === null) return one === other;
  return one.lengthBytes === other.lengthBytes && equalBytes(one.digest, other.digest);
}

/** An owner closes a deposit with the envelope that belongs to it, and one of another form without. @throws IntercloudError TERMS_DISAGREE. */
export function requireForm({ policy }: Token, envelope: KeptEnvelope | null): void {
  if ((policy.form === "envelope") === (envelope !== null)) return;
  const message = "the token and the closing request disagree about whether an envelope is kept";
  throw new IntercloudError("TERMS_DISAGREE", "bad-request", message);
}
