/**
 * The proof of a refresh or move: everything that was signed about it. Checks offline; with the proof of the deposit itself it says
 * where the deposit is now and who holds a share of it.
 */
import * as v from "valibot";
import { digestOf, equalBytes } from "../../crypto/digest.ts";
import { checkKeptRequest } from "../../identity/request.ts";
import { MAX_PROVIDERS } from "../../rounds/constants.ts";
import { type CborValue, decodeCanonical, encodeCanonical } from "../../wire/codec.ts";
import { IntercloudError } from "../../wire/errors.ts";
import { boundedBytes, fixedBytes, parseShape } from "../../wire/shape.ts";
import { MAX_HOLDING_BYTES, MAX_PROOF_BYTES, MAX_STATEMENT_BYTES } from "../constants.ts";
import { keepersOf, keptUnder, type Placement } from "../placement.ts";
import { type ChangeTerms, readChange } from "./change-terms.ts";
import { readStatement, type StatementOf } from "./statements.ts";

export const changeProofShape = v.strictObject({
  /** The owner's signed change request. */
  request: boundedBytes(MAX_PROOF_BYTES),
  /** The new home's statement. */
  keeping: boundedBytes(2 * MAX_STATEMENT_BYTES),
  /** One of each provider of the new generation, in point order. */
  holdings: v.pipe(v.array(boundedBytes(MAX_HOLDING_BYTES)), v.maxLength(MAX_PROVIDERS)),
  /** The owner's signed word that the new generation is good and the old one may go. */
  closing: boundedBytes(MAX_PROOF_BYTES),
});
export type ChangeProof = v.InferOutput<typeof changeProofShape>;

/** Content of the owner's closing request. */
export const changeClosingShape = v.strictObject({ change: fixedBytes(32), holdings: fixedBytes(32) });

export interface CheckedChange {
  readonly change: ChangeTerms;
  readonly keeping: StatementOf<"keeping">;
  readonly placement: Placement;
  /** Protocol 1: the shares that are sealed to the owner, in the order of `boxedPoints`. */
  readonly boxes: readonly Uint8Array[];
}

export function encodeChangeProof(proof: ChangeProof): Uint8Array {
  return encodeCanonical(proof as CborValue);
}

/** What the owner signs in the end: the very statements that it accepts. */
export function holdingsDigest(keeping: Uint8Array, holdings: readonly Uint8Array[]): Uint8Array {
  return digestOf("intercloud/holdings/v1", encodeCanonical([keeping, ...holdings]));
}

/** @throws IntercloudError CHANGE_BROKEN, and what its parts throw. */
export function readChangeProof(bytes: Uint8Array): CheckedChange {
  const proof = parseShape(changeProofShape, decodeCanonical(bytes), "proof of a change");
  const request = checkKeptRequest(proof.request, "change");
  const change = readChange(proof.request, request);
  const keeping = readKeeping(change, proof.keeping);
  const { next } = change;
  const complete =
    proof.holdings.length === next.roster.length && proof.holdings.every((holding, i) => isHolding(change, holding, i));
  const closing = checkKeptRequest(proof.closing, "change");
  const content = parseShape(changeClosingShape, closing.content, "closing of a change");
  const closed =
    closing.identity === change.owner &&
    equalBytes(content.change, change.digest) &&
    equalBytes(content.holdings, holdingsDigest(proof.keeping, proof.holdings));
  if (!complete || !closed) {
    throw new IntercloudError("CHANGE_BROKEN", "integrity", "this change of a deposit was never completed");
  }
  const boxes = boxesOf(change, proof.holdings);
  return { change, keeping, placement: withKeeping(change, proof.keeping), boxes };
}

/** What the new providers sealed to the owner, and what it sealed to itself. */
export function boxesOf(change: ChangeTerms, holdings: readonly Uint8Array[]): Uint8Array[] {
  const boxes = holdings.map((holding) => readStatement(holding, "holding", change.digest).box);
  return [...boxes, change.box].filter((box) => box !== null);
}

/** The new home's statement, held against the change. @throws IntercloudError BAD_STATEMENT. */
export function readKeeping(change: ChangeTerms, bytes: Uint8Array): StatementOf<"keeping"> {
  const keeping = readStatement(bytes, "keeping", change.digest);
  if (keeping.peer === change.next.roster[0] && equalBytes(keeping.tokenId, change.tokenId)) return keeping;
  throw new IntercloudError("BAD_STATEMENT", "integrity", "the new home's statement is not its own", {
    peers: [keeping.peer],
  });
}

/** The new generation, as its home signed for it. */
export function withKeeping(change: ChangeTerms, keeping: Uint8Array): Placement {
  return { ...change.next, kept: keptUnder(keeping, readKeeping(change, keeping).digestKept) };
}

function isHolding({ next, digest, tokenId }: ChangeTerms, bytes: Uint8Array, i: number): boolean {
  const holding = readStatement(bytes, "holding", digest);
  const peer = next.roster[i];
  return (
    holding.peer === peer &&
    holding.point === i + 1 &&
    equalBytes(holding.tokenId, tokenId) &&
    holding.holdsCiphertext === keepersOf(next).includes(peer)
  );
}
