/**
 * What custody peers say to each other. Asks: bind, seal, abandon, ready, show, list, locate.
 * Channels: pour (chain deposit), collect and part (fanout deposit), copy (home to the keepers of copies), retrieve.
 * Bytes that are signed travel as byte strings, so that the signature is checked over what was received.
 */
import * as v from "valibot";
import { DIGEST_BYTES } from "../crypto/digest.ts";
import { MAX_REQUEST_BYTES } from "../identity/constants.ts";
import {
  DEAL_ID_BYTES,
  MAX_DESCRIPTOR_BYTES,
  MAX_PROVIDERS,
  MAX_ROUND_BYTES,
  TOKEN_ID_BYTES,
} from "../rounds/constants.ts";
import { MAX_LINK_BYTES, MAX_MANIFEST_BYTES, MAX_TOKEN_BYTES } from "../tokens/constants.ts";
import { boundedBytes, fixedBytes, integer, text, timeMs } from "../wire/shape.ts";
import {
  LIST_PAGE,
  MAX_CHANGE_PROOF_BYTES,
  MAX_EXCERPT_BYTES,
  MAX_HOLDING_BYTES,
  MAX_PROOF_BYTES,
  MAX_STATEMENT_BYTES,
} from "./constants.ts";

const request = boundedBytes(2 * MAX_REQUEST_BYTES);
const tokenId = fixedBytes(TOKEN_ID_BYTES);
const link = boundedBytes(2 * MAX_LINK_BYTES);
const links = v.pipe(v.array(link), v.maxLength(MAX_PROVIDERS));
const keeping = boundedBytes(64 * MAX_LINK_BYTES);

/** Content of the owner's signed deposit request. */
export const depositContentShape = v.strictObject({
  token: boundedBytes(MAX_TOKEN_BYTES),
  descriptor: boundedBytes(MAX_DESCRIPTOR_BYTES),
});
/** Content of the owner's signed closing request: what it sent, and the chain that it accepts. */
export const closingContentShape = v.strictObject({
  tokenId,
  digestFromOwner: fixedBytes(DIGEST_BYTES),
  chainDigest: fixedBytes(DIGEST_BYTES),
});
export const retrieveContentShape = v.strictObject({ descriptor: boundedBytes(MAX_DESCRIPTOR_BYTES) });
/** To give a deposit up, or a deal that was not bound yet (no token); the same request goes to every provider. */
export const abandonContentShape = v.strictObject({ tokenId: v.nullable(tokenId), dealId: fixedBytes(DEAL_ID_BYTES) });
/** Questions name the provider that is asked, so that it cannot ask others in the owner's name. */
export const showContentShape = v.strictObject({ tokenId, provider: text(64) });
export const listContentShape = v.strictObject({ after: v.nullable(tokenId), provider: text(64) });

export const bindShape = v.strictObject({ request, manifest: boundedBytes(MAX_MANIFEST_BYTES) });
export const requestShape = v.strictObject({ request });
export const sealShape = v.strictObject({ closing: request, links, keeping });

/** `step` k is provider k; n+1 is the way back to home with the ciphertext. */
export const pourShape = v.strictObject({ tokenId, step: integer(1, MAX_PROVIDERS + 1) });
export const depositHeaderShape = v.strictObject({ tokenId });
export const linksShape = v.strictObject({ links });
/** Sent in place of the chain while it cannot come yet. */
export const waitingShape = v.strictObject({ waiting: v.literal(true) });
export const chainShape = v.strictObject({ links, keeping });
export const statementShape = v.strictObject({ statement: boundedBytes(MAX_LINK_BYTES) });
export const linkShape = v.strictObject({ link });

export const readyShape = v.strictObject({ tokenId, dealId: fixedBytes(DEAL_ID_BYTES) });
export const locateShape = v.strictObject({ tokenId });
export const readyAnswerShape = v.strictObject({ holdsShare: v.boolean(), holdsCiphertext: v.boolean() });
export const showAnswerShape = v.strictObject({ proof: boundedBytes(MAX_PROOF_BYTES) });
export const listAnswerShape = v.strictObject({
  tokens: v.pipe(v.array(boundedBytes(MAX_TOKEN_BYTES)), v.maxLength(LIST_PAGE)),
  more: v.boolean(),
});
export const locateAnswerShape = v.strictObject({
  providers: v.pipe(v.array(text(64)), v.maxLength(MAX_PROVIDERS)),
});
export const helloAnswerShape = v.strictObject({ acceptsDeposits: v.boolean(), timeMs });

/** Content of a reader's signed request for an account, which names the provider that is asked. */
export const accountContentShape = v.strictObject({
  tokenId,
  dealId: fixedBytes(DEAL_ID_BYTES),
  provider: text(64),
  offsetBytes: integer(0, MAX_ROUND_BYTES),
  lengthBytes: integer(1, MAX_EXCERPT_BYTES),
});
/** Then come bodies: the block digests and the blocks of the share, and of the ciphertext, as far as there is a digest of them. */
export const accountAnswerShape = v.strictObject({ account: boundedBytes(MAX_HOLDING_BYTES) });

/** Repair: from a provider that lost something, to others that have a part of the same deposit. */
export const repairPartShape = v.strictObject({ round: boundedBytes(2 * MAX_DESCRIPTOR_BYTES) });
export const repairCiphertextShape = v.strictObject({ tokenId, dealId: fixedBytes(DEAL_ID_BYTES) });
/** From the owner to a provider: look whether all that you should have is there, and make good what is not. */
export const repairShape = v.strictObject({ request, proof: boundedBytes(MAX_PROOF_BYTES) });
export const repairContentShape = v.strictObject({ tokenId, provider: text(64) });
/** What was there before. */
export const repairedShape = v.strictObject({ record: v.boolean(), share: v.boolean(), ciphertext: v.boolean() });
/** The deposits in which the asking provider has a share, a page at a time. */
export const restorePageShape = v.strictObject({ after: v.nullable(tokenId) });
export const restorePageAnswerShape = v.strictObject({
  proofs: v.array(boundedBytes(MAX_PROOF_BYTES)),
  /** Where to go on; null at the end. */
  next: v.nullable(tokenId),
});

/** A refresh or move. The owner's signed change request goes to everybody who has a part in it. */
export const prepareChangeShape = v.strictObject({ request, proof: boundedBytes(MAX_PROOF_BYTES) });
export const changeHeaderShape = v.strictObject({ request });
const changeKeeping = boundedBytes(2 * MAX_STATEMENT_BYTES);
export const changeKeepingShape = v.strictObject({ keeping: changeKeeping });
export const partStatementShape = v.strictObject({ statement: boundedBytes(MAX_HOLDING_BYTES) });
export const activateShape = v.strictObject({ request, keeping: changeKeeping });
export const holdingShape = v.strictObject({ holding: boundedBytes(MAX_HOLDING_BYTES) });
export const retireShape = v.strictObject({ proof: boundedBytes(MAX_CHANGE_PROOF_BYTES) });
export const retiredShape = v.strictObject({ retired: boundedBytes(MAX_HOLDING_BYTES) });
/** Content of the owner's signed request to give a change up. */
/** Null: whatever is under way. */
export const dropContentShape = v.strictObject({ tokenId, change: v.nullable(fixedBytes(DIGEST_BYTES)) });
/** What has become of a change here. `proof` when it was completed. */
export const changeStatusShape = v.strictObject({ tokenId, change: fixedBytes(DIGEST_BYTES) });
export const changeStatusAnswerShape = v.strictObject({
  state: v.picklist(["unknown", "prepared", "active", "completed"]),
  proof: v.nullable(boundedBytes(MAX_CHANGE_PROOF_BYTES)),
});
