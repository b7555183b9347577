/**
 * Evidence: a file by which anybody who has the federation file can check for himself that a provider, or a dealer, did wrong. It holds
 * what the accused signed and what contradicts it, and nobody's word has to be taken for anything.
 *
 * `wrong-answer` and `wrong-deal` contain blocks of shares. Somebody who gathers as many as t of them, and the ciphertext, could read
 * these blocks of the message: refresh, move or destroy the deposit before handing out as many.
 */
import * as v from "valibot";
import { bodyDigest, digestOfBlocks } from "../crypto/block-digest.ts";
import { DIGEST_BYTES, equalBytes } from "../crypto/digest.ts";
import { AGREEMENT_KEY_BYTES, agreementKeyFromSeed, isAgreementSeed } from "../crypto/key-agreement.ts";
import type { Keystream } from "../crypto/keystream.ts";
import { SIGNATURE_BYTES } from "../crypto/signing.ts";
import { entryOfPeer } from "../dealing/manifest.ts";
import type { FieldKernel } from "../field/index.ts";
import { checkKeptRequest } from "../identity/request.ts";
import { MAX_PROVIDERS, MAX_ROUND_BYTES } from "../rounds/constants.ts";
import { coefficientOf, decodeDescriptor, descriptorHash, type RoundDescriptor } from "../rounds/descriptor.ts";
import { lieOnPolynomial } from "../rounds/interpolate.ts";
import { maskKey } from "../rounds/masks.ts";
import { shareDigest } from "../rounds/share.ts";
import { type AnswerBlock, answerBlocks, isAnswerSigned } from "../tokens/answer.ts";
import { type CborValue, decodeCanonical, encodeCanonical } from "../wire/codec.ts";
import { IntercloudError } from "../wire/errors.ts";
import { boundedBytes, fixedBytes, integer, parseShape, text } from "../wire/shape.ts";
import type { PeerName } from "../wire/transport.ts";
import { type Excerpt, isExcerptOf, rangeOf, readAccount } from "./account.ts";
import { MAX_EXCERPT_BYTES, MAX_HOLDING_BYTES, MAX_PROOF_BYTES } from "./constants.ts";
import { mayDeal } from "./dealers.ts";
import { retrieveContentShape } from "./messages.ts";
import { keepersOf, type Placement } from "./placement.ts";
import { type CheckedProof, readProof } from "./proof.ts";

const excerptShape = v.strictObject({
  blockDigests: boundedBytes(MAX_EXCERPT_BYTES),
  firstBlock: integer(0, MAX_ROUND_BYTES),
  content: boundedBytes(MAX_EXCERPT_BYTES),
});
const common = { version: v.literal(1), proof: boundedBytes(MAX_PROOF_BYTES), accused: text(64) };

const evidenceShape = v.variant("kind", [
  /** Its signed account of its share is not what the dealer signed that it was dealt. */
  v.strictObject({ kind: v.literal("wrong-share"), ...common, account: boundedBytes(MAX_HOLDING_BYTES) }),
  /** Its signed account of the ciphertext is not what home signed that is kept. */
  v.strictObject({ kind: v.literal("wrong-ciphertext"), ...common, account: boundedBytes(MAX_HOLDING_BYTES) }),
  /** It owns up, signed, to have lost what it should keep. */
  v.strictObject({ kind: v.literal("lost"), ...common, account: boundedBytes(MAX_HOLDING_BYTES) }),
  /** It signed an answer that its share (and the ciphertext, if it was to send it) does not make. */
  v.strictObject({
    kind: v.literal("wrong-answer"),
    ...common,
    request: boundedBytes(MAX_PROOF_BYTES),
    offsetBytes: integer(0, MAX_ROUND_BYTES),
    lengthBytes: integer(1, MAX_ROUND_BYTES),
    digest: fixedBytes(DIGEST_BYTES),
    signature: fixedBytes(SIGNATURE_BYTES),
    secret: fixedBytes(AGREEMENT_KEY_BYTES),
    share: excerptShape,
    ciphertext: v.nullable(excerptShape),
  }),
  /** More than t shares, all as the dealer signed them, lie on no polynomial of its degree. */
  v.strictObject({
    kind: v.literal("wrong-deal"),
    ...common,
    shares: v.pipe(
      v.array(v.strictObject({ point: integer(1, MAX_PROVIDERS), excerpt: excerptShape })),
      v.maxLength(MAX_PROVIDERS),
    ),
  }),
]);
export type Evidence = v.InferOutput<typeof evidenceShape>;
export type EvidenceOf<K extends Evidence["kind"]> = Extract<Evidence, { kind: K }>;

/** What checking evidence needs to know besides the file. */
export interface Court {
  /** A provider's X25519 key, from the federation file; undefined for a stranger. */
  agreementKeyOf(peer: PeerName): Uint8Array | undefined;
  isDealer(peer: PeerName): boolean;
  readonly keystream: Keystream;
  readonly kernel: FieldKernel;
}

export interface Verdict {
  readonly kind: Evidence["kind"];
  readonly accused: PeerName;
  readonly tokenId: Uint8Array;
}

export function encodeEvidence(evidence: Evidence): Uint8Array {
  return encodeCanonical(evidence as CborValue);
}

/** @throws IntercloudError EVIDENCE_BROKEN when it does not show what it says. */
export function verifyEvidence(bytes: Uint8Array, court: Court): Verdict {
  try {
    const evidence = parseShape(evidenceShape, decodeCanonical(bytes), "evidence");
    const proof = readProof(evidence.proof);
    if (!proof.chain.valid) throw broken("the chain of the deposit itself is broken; see trace");
    requireMembers(proof, evidence.accused, court);
    if (!shows(evidence, proof, court)) throw broken("what it holds does not contradict what the accused signed");
    return { kind: evidence.kind, accused: evidence.accused, tokenId: proof.terms.tokenId };
  } catch (cause) {
    if (cause instanceof IntercloudError && cause.code === "EVIDENCE_BROKEN") throw cause;
    throw broken(cause instanceof Error ? cause.message : String(cause), cause);
  }
}

function shows(evidence: Evidence, proof: CheckedProof, court: Court): boolean {
  const { placement } = proof;
  switch (evidence.kind) {
    case "wrong-share":
    case "wrong-ciphertext":
    case "lost":
      return showsAccount(evidence, proof);
    case "wrong-answer":
      return showsAnswer(evidence, proof, court);
    case "wrong-deal":
      return evidence.accused === placement.manifest.dealer && showsDeal(evidence, placement, court);
  }
}

function showsAccount(
  { kind, accused, account }: EvidenceOf<"wrong-share" | "wrong-ciphertext" | "lost">,
  { terms, placement }: CheckedProof,
): boolean {
  const said = readAccount(account);
  const { dealId } = placement.manifest;
  const about = said.peer === accused && equalBytes(said.dealId, dealId) && equalBytes(said.tokenId, terms.tokenId);
  const entry = entryOfPeer(placement.manifest, accused);
  if (!about || entry === undefined || entry.point !== said.point) return false;
  const { kept } = placement;
  if (kept === undefined || !equalBytes(said.keepingDigest, kept.keepingDigest)) return false;
  const isKeeper = keepersOf(placement).includes(accused);
  if (kind === "lost") return said.shareDigest === null || (isKeeper && said.ciphertextDigest === null);
  if (kind === "wrong-share") {
    return said.shareDigest !== null && !equalBytes(shareDigest(dealId, said.point, said.shareDigest), entry.digest);
  }
  return said.ciphertextDigest !== null && !equalBytes(said.ciphertextDigest, kept.ciphertextDigest);
}

function showsAnswer(evidence: EvidenceOf<"wrong-answer">, { placement, terms }: CheckedProof, court: Court): boolean {
  const { accused, offsetBytes, lengthBytes, digest, signature } = evidence;
  const request = checkKeptRequest(evidence.request, "retrieve");
  const content = parseShape(retrieveContentShape, request.content, "retrieve request");
  const descriptor = decodeDescriptor(content.descriptor);
  const roundHash = descriptorHash(content.descriptor);
  const position = descriptor.members.findIndex(({ peer }) => peer === accused);
  const member = descriptor.members[position];
  const sameDeal = equalBytes(descriptor.dealId, placement.manifest.dealId) && descriptor.route === "fanout";
  if (member === undefined || !sameDeal || placement.roster[member.point - 1] !== accused) return false;
  if (!isAnswerBlock({ offsetBytes, lengthBytes }, terms.token.lengthBytes, descriptor)) return false;
  const { kept } = placement;
  if (kept === undefined) return false;
  const { keepingDigest, ciphertextDigest } = kept;
  if (!isAnswerSigned(accused, { roundHash, keepingDigest, offsetBytes, digest }, signature)) return false;
  const own = agreementKeyFromSeed(evidence.secret);
  const agreementKey = court.agreementKeyOf(accused);
  if (agreementKey === undefined || !isAgreementSeed(evidence.secret) || !equalBytes(own.publicKey, descriptor.userKey))
    return false;
  if (!isShareOf(evidence.share, member.point, placement)) return false;
  const expected = court
    .keystream(maskKey(own, agreementKey, member, roundHash), offsetBytes)
    .xor(new Uint8Array(lengthBytes));
  const share = rangeOf(evidence.share, offsetBytes, lengthBytes);
  if (share.length !== lengthBytes) return false;
  court.kernel.addScaled(expected, share, coefficientOf(descriptor, member.point));
  if (position === 0) {
    if (evidence.ciphertext === null) return false;
    if (!isExcerptOf(evidence.ciphertext, ciphertextDigest)) return false;
    const ciphertext = rangeOf(evidence.ciphertext, offsetBytes, lengthBytes);
    if (ciphertext.length !== lengthBytes) return false;
    court.kernel.addScaled(expected, ciphertext, 1);
  }
  return !equalBytes(bodyDigest(expected), digest);
}

/** The signature does not cover the length: it is that of the block that begins at the offset. */
function isAnswerBlock(
  block: AnswerBlock,
  messageBytes: number,
  { offsetBytes, lengthBytes }: RoundDescriptor,
): boolean {
  for (const each of answerBlocks(messageBytes, offsetBytes, lengthBytes)) {
    if (each.offsetBytes >= block.offsetBytes) {
      return each.offsetBytes === block.offsetBytes && each.lengthBytes === block.lengthBytes;
    }
  }
  return false;
}

function showsDeal({ shares }: EvidenceOf<"wrong-deal">, placement: Placement, court: Court): boolean {
  const { threshold } = placement.manifest;
  const points = shares.map(({ point }) => point);
  const [first] = shares;
  const fits = shares.every(
    ({ point, excerpt }) =>
      isShareOf(excerpt, point, placement) &&
      excerpt.firstBlock === first!.excerpt.firstBlock &&
      excerpt.content.length === first!.excerpt.content.length,
  );
  if (!fits || shares.length !== threshold + 1 || new Set(points).size !== points.length) return false;
  const contents = shares.map(({ point, excerpt }) => ({ point, bytes: excerpt.content }));
  return !lieOnPolynomial(contents, threshold, court.kernel);
}

/** Whether this is a part of the very share that the dealer signed for this point. */
export function isShareOf(excerpt: Excerpt, point: number, { manifest }: Placement): boolean {
  const entry = manifest.shares[point - 1];
  if (entry === undefined || entry.peer === "") return false;
  const digest = digestOfBlocks(excerpt.blockDigests);
  return isExcerptOf(excerpt, digest) && equalBytes(shareDigest(manifest.dealId, point, digest), entry.digest);
}

function requireMembers({ placement, terms }: CheckedProof, accused: PeerName, court: Court): void {
  const strangers = placement.roster.filter((peer) => court.agreementKeyOf(peer) === undefined);
  if (strangers.length > 0 || !mayDeal(court, placement.manifest, terms.token.owner)) {
    throw broken("it is about peers that are not in our federation file");
  }
  if (accused === placement.manifest.dealer || placement.roster.includes(accused)) return;
  throw broken("the accused has no part in the deposit");
}

function broken(why: string, cause?: unknown): IntercloudError {
  return new IntercloudError("EVIDENCE_BROKEN", "integrity", `this evidence shows nothing: ${why}`, {}, cause);
}
