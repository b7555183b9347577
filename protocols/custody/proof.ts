/**
 * The proof of a deposit: everything that was signed about it, in one file that checks offline.
 *
 *   proof ::= CBOR { request, manifest, links, keeping, closing, change }
 */
import * as v from "valibot";
import { digestOf, equalBytes } from "../crypto/digest.ts";
import { checkKeptRequest } from "../identity/request.ts";
import { MAX_PROVIDERS } from "../rounds/constants.ts";
import { type ChainReport, checkChain } from "../tokens/chain.ts";
import { MAX_LINK_BYTES, MAX_MANIFEST_BYTES } from "../tokens/constants.ts";
import { type CborValue, decodeCanonical, encodeCanonical } from "../wire/codec.ts";
import { IntercloudError } from "../wire/errors.ts";
import { boundedBytes, parseShape } from "../wire/shape.ts";
import { type CheckedChange, readChangeProof } from "./change/change-proof.ts";
import { MAX_CHANGE_PROOF_BYTES, MAX_PROOF_BYTES } from "./constants.ts";
import { chainExpectation, type DepositTerms } from "./deposit-terms.ts";
import { type KeptEnvelope, requireForm } from "./kept-envelope.ts";
import { keptTerms } from "./kept-terms.ts";
import { closingContentShape } from "./messages.ts";
import { originPlacement, type Placement } from "./placement.ts";
import { requireBoxes } from "./share-boxes.ts";

const proofShape = v.strictObject({
  request: boundedBytes(MAX_PROOF_BYTES),
  manifest: boundedBytes(MAX_MANIFEST_BYTES),
  links: v.pipe(v.array(boundedBytes(2 * MAX_LINK_BYTES)), v.maxLength(MAX_PROVIDERS)),
  keeping: boundedBytes(64 * MAX_LINK_BYTES),
  closing: boundedBytes(MAX_PROOF_BYTES),
  /** Of the last refresh or move; null while the deposit is where its token says. */
  change: v.nullable(boundedBytes(MAX_CHANGE_PROOF_BYTES)),
});

export type Proof = v.InferOutput<typeof proofShape>;

/** A proof that was read: the owner's and the dealer's signatures are right; `chain` says whether the providers' are. */
export interface CheckedProof {
  readonly terms: DepositTerms;
  readonly digestFromOwner: Uint8Array;
  readonly chain: ChainReport;
  readonly links: readonly Uint8Array[];
  /** Protocol 1: the shares that are sealed to the owner where the deposit is now, in the order of `boxedPoints`. */
  readonly boxes: readonly Uint8Array[];
  /** What the keepers keep beside the ciphertext, as the owner signed for it. */
  readonly envelope: KeptEnvelope | null;
  /** Where the deposit is now. */
  readonly placement: Placement;
  /** The last refresh or move. */
  readonly change: CheckedChange | undefined;
  readonly parts: Proof;
}

export function encodeProof(proof: Proof): Uint8Array {
  return encodeCanonical(proof as CborValue);
}

/** What the owner signs when it accepts a chain. */
export function chainDigest(links: readonly Uint8Array[], keeping: Uint8Array): Uint8Array {
  return digestOfChain(encodeCanonical([...links, keeping]));
}

/** @param chain canonical bytes of the list of links and home's statement */
export function digestOfChain(chain: Uint8Array): Uint8Array {
  return digestOf("intercloud/chain/v1", chain);
}

/**
 * Checks everything offline. A chain that breaks is reported, because naming the place is what it is for.
 * @throws IntercloudError PROOF_BROKEN when the owner's or the dealer's part is not what it claims to be.
 */
export function readProof(bytes: Uint8Array): CheckedProof {
  try {
    const proof = parseShape(proofShape, decodeCanonical(bytes), "proof");
    const terms = keptTerms(proof.request, proof.manifest);
    const closing = checkKeptRequest(proof.closing, "deposit");
    const content = parseShape(closingContentShape, closing.content, "closing request");
    const fits =
      closing.identity === terms.token.owner &&
      equalBytes(content.tokenId, terms.tokenId) &&
      equalBytes(content.chainDigest, chainDigest(proof.links, proof.keeping));
    if (!fits)
      throw new IntercloudError("CLOSING_FOREIGN", "integrity", "the owner closed another chain than this one");
    requireBoxes(terms.token, terms.manifest, content.boxes);
    requireForm(terms.token, content.envelope);
    const chain = checkChain(chainExpectation(terms, content.digestFromOwner), proof.links, proof.keeping);
    const change = proof.change === null ? undefined : readChangeProof(proof.change);
    if (change !== undefined) requireOwn(change, terms);
    const placement = change?.placement ?? placed(terms, proof.keeping);
    const { digestFromOwner, envelope } = content;
    const boxes = change?.boxes ?? content.boxes;
    requireBoxes(terms.token, placement.manifest, boxes);
    const signed = { terms, digestFromOwner, envelope, boxes, placement };
    return { ...signed, chain, links: proof.links, change, parts: proof };
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new IntercloudError("PROOF_BROKEN", "integrity", `this proof of a deposit does not hold: ${why}`, {}, cause);
  }
}

/** A chain that breaks may lack home's statement; the report of the chain says so. */
function placed(terms: DepositTerms, keeping: Uint8Array): Placement {
  try {
    return originPlacement(terms, keeping);
  } catch {
    return originPlacement(terms, null);
  }
}

function requireOwn({ change }: CheckedChange, { token, tokenId }: DepositTerms): void {
  if (change.owner === token.owner && equalBytes(change.tokenId, tokenId)) return;
  throw new IntercloudError("CHANGE_FOREIGN", "integrity", "the change is of another deposit");
}
