/**
 * What custody peers say to each other. Asks: bind, place, place-part, link, seal, seal-status, abandon, ready, show, list, locate, grant,
 * grants, granted, destroy.
 * Channels: pour (chain deposit), collect and part (fanout deposit), copy (home to the keepers of copies), envelope (to home, and on to
 * the other keepers), retrieve, read-envelope.
 * Bytes that are signed travel as byte strings, so that the signature is checked over what was received.
 */
import * as v from "valibot";
import { DIGEST_BYTES } from "../crypto/digest.ts";
import { SIGNATURE_BYTES } from "../crypto/signing.ts";
import { MAX_REQUEST_BYTES } from "../identity/constants.ts";
import {
  DEAL_ID_BYTES,
  MAX_DESCRIPTOR_BYTES,
  MAX_PROVIDERS,
  MAX_ROUND_BYTES,
  TOKEN_ID_BYTES,
} from "../rounds/constants.ts";
import { CHALLENGE_BYTES, MAX_FINGERPRINT_BYTES } from "../rounds/fingerprint.ts";
import { MAX_LINK_BYTES, MAX_MANIFEST_BYTES, MAX_TOKEN_BYTES } from "../tokens/constants.ts";
import { boundedBytes, fixedBytes, integer, text, timeMs } from "../wire/shape.ts";
import {
  LIST_PAGE,
  MAX_CHANGE_PROOF_BYTES,
  MAX_DESTROYED_BYTES,
  MAX_ENVELOPE_BYTES,
  MAX_EXCERPT_BYTES,
  MAX_GRANT_LIST_BYTES,
  MAX_HOLDING_BYTES,
  MAX_PROOF_BYTES,
  MAX_SHORT_BYTES,
  MAX_STATEMENT_BYTES,
} from "./constants.ts";
import { grantTermsShape } from "./grants.ts";
import { keptEnvelopeShape } from "./kept-envelope.ts";
import { boxesShape, boxShape } from "./share-boxes.ts";

const request = boundedBytes(2 * MAX_REQUEST_BYTES);
const tokenId = fixedBytes(TOKEN_ID_BYTES);
const link = boundedBytes(2 * MAX_LINK_BYTES);
const links = v.pipe(v.array(link), v.maxLength(MAX_PROVIDERS));
const keeping = boundedBytes(64 * MAX_LINK_BYTES);
/** The owner's signed list, if there is one. */
const grantList = v.nullable(boundedBytes(MAX_GRANT_LIST_BYTES));

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
  /** Protocol 1: the shares that are sealed to the owner; empty in the others. */
  boxes: boxesShape,
  /** Null for a deposit of another form. */
  envelope: v.nullable(keptEnvelopeShape),
});
export const retrieveContentShape = v.strictObject({ descriptor: boundedBytes(MAX_DESCRIPTOR_BYTES) });
/** To give a deposit up, or a deal that was not bound yet (no token); the same request goes to every provider. */
export const abandonContentShape = v.strictObject({ tokenId: v.nullable(tokenId), dealId: fixedBytes(DEAL_ID_BYTES) });
/**
 * To destroy a deposit that exists; the same request goes to every provider. The owner's request to give one up has another
 * shape, so neither is ever taken for the other.
 */
export const destroyContentShape = v.strictObject({ tokenId });
/** Questions name the provider that is asked, so that it cannot ask others in the owner's name. */
export const showContentShape = v.strictObject({ tokenId, provider: text(64) });
export const listContentShape = v.strictObject({ after: v.nullable(tokenId), provider: text(64) });

export const bindShape = v.strictObject({ request, manifest: boundedBytes(MAX_MANIFEST_BYTES) });
/** `box`: in Protocol 1, our share sealed to the owner, if it is a seed. */
export const bindAnswerShape = v.strictObject({ box: v.nullable(boxShape) });
export const requestShape = v.strictObject({ request });
/** A short deposit: `bind`, and for the keepers what the owner sends. Answered with the digest of the provider's part. */
export const placeShape = v.strictObject({
  ...bindShape.entries,
  masked: v.nullable(boundedBytes(MAX_SHORT_BYTES)),
});
export const placeAnswerShape = v.strictObject({ digestOut: fixedBytes(DIGEST_BYTES), ...bindAnswerShape.entries });
export const placePartShape = v.strictObject({ tokenId, part: boundedBytes(MAX_SHORT_BYTES) });
const challenge = fixedBytes(CHALLENGE_BYTES);
const fingerprint = boundedBytes(MAX_FINGERPRINT_BYTES);
/** Of the provider's share, and of the ciphertext at those that keep it; under a mask. */
export const fingerprintsShape = v.strictObject({ share: fingerprint, ciphertext: v.nullable(fingerprint) });
export type Fingerprints = Readonly<v.InferOutput<typeof fingerprintsShape>>;
/** `bodyDigest` of each. */
export const receivedShape = v.strictObject({
  digestFromOwner: fixedBytes(DIGEST_BYTES),
  /** Of the layer that came from each provider, in order. */
  digestsReceived: v.pipe(v.array(fixedBytes(DIGEST_BYTES)), v.maxLength(MAX_PROVIDERS)),
  /** Of the ciphertext. */
  digest: fixedBytes(DIGEST_BYTES),
});
/** What a keeper added up. */
export type Received = Readonly<v.InferOutput<typeof receivedShape>>;
/** What the provider is to sign, and for home the digest of the last provider's statement. Nobody knew the challenge before. */
export const linkAskShape = v.strictObject({
  tokenId,
  statement: boundedBytes(MAX_LINK_BYTES),
  last: fixedBytes(DIGEST_BYTES),
  challenge,
});
/** `keeping` is home's; the other keepers say what they `received` without signing it. */
export const linkAnswerShape = v.strictObject({
  link,
  keeping: v.nullable(keeping),
  received: v.nullable(receivedShape),
  fingerprints: fingerprintsShape,
});
/** The same for a long deposit, when all have signed. Answered with fingerprints. */
export const checkShape = v.strictObject({ tokenId, challenge });
export const sealShape = v.strictObject({ closing: request, links, keeping });

/** `step` k is provider k; n+1 is the way back to home with the ciphertext. */
export const pourShape = v.strictObject({ tokenId, step: integer(1, MAX_PROVIDERS + 1) });
export const depositHeaderShape = v.strictObject({ tokenId });
/** From who keeps an envelope, when it is on its disk and on those that it was passed on to. */
export const envelopeKeptShape = v.strictObject({ envelope: keptEnvelopeShape });
export const linksShape = v.strictObject({ links });
/** Sent in place of the chain while it cannot come yet. */
export const waitingShape = v.strictObject({ waiting: v.literal(true) });
export const chainShape = v.strictObject({ links, keeping });
export const statementShape = v.strictObject({ statement: boundedBytes(MAX_LINK_BYTES) });
export const linkShape = v.strictObject({ link });

/** From a provider that signed its link and heard no more, to the others of the deposit. */
export const sealStatusShape = v.strictObject({ tokenId });
/** Null when it is not sealed here. */
export const sealStatusAnswerShape = v.strictObject({ proof: v.nullable(boundedBytes(MAX_PROOF_BYTES)) });

export const readyShape = v.strictObject({ tokenId });
export const readAnswerShape = v.strictObject({
  bytes: boundedBytes(MAX_SHORT_BYTES),
  signature: fixedBytes(SIGNATURE_BYTES),
});
export const locateShape = v.strictObject({ tokenId });
/** The generations that can be served: one, or two during a change. */
export const readyAnswerShape = v.strictObject({
  held: v.pipe(
    v.array(
      v.strictObject({ dealId: fixedBytes(DEAL_ID_BYTES), holdsCiphertext: v.boolean(), holdsEnvelope: v.boolean() }),
    ),
    v.maxLength(2),
  ),
});
/** What is told of a deposit that is gone, to its owner only: `destroyed.ts`. */
export const destroyedAnswerShape = v.strictObject({ destroyed: boundedBytes(MAX_DESTROYED_BYTES) });
const showAnswerEntries = {
  proof: boundedBytes(MAX_PROOF_BYTES),
  /** What the owner lets the asker do; null for the owner itself. */
  grant: v.nullable(grantTermsShape),
};
export const showAnswerShape = v.union([v.strictObject(showAnswerEntries), destroyedAnswerShape]);
/** The owner's signed list as it is kept here now; null when there is none. */
export const grantsAnswerShape = v.union([
  v.strictObject({ list: v.nullable(boundedBytes(MAX_GRANT_LIST_BYTES)) }),
  destroyedAnswerShape,
]);
/** The length of its envelope; null when it has none. */
const envelopeBytes = v.nullable(integer(1, MAX_ENVELOPE_BYTES));
export const listAnswerShape = v.strictObject({
  deposits: v.pipe(
    v.array(v.strictObject({ token: boundedBytes(MAX_TOKEN_BYTES), envelopeBytes })),
    v.maxLength(LIST_PAGE),
  ),
  more: v.boolean(),
});
/** The list as it is kept here after a new one was offered, and the one that made way for it without the owner knowing it. */
export const grantAnswerShape = v.strictObject({
  list: boundedBytes(MAX_GRANT_LIST_BYTES),
  replaced: v.nullable(boundedBytes(MAX_GRANT_LIST_BYTES)),
});
const grantedDepositShape = v.strictObject({
  token: boundedBytes(MAX_TOKEN_BYTES),
  envelopeBytes,
  grant: grantTermsShape,
  /** Of the list that the grant is in. */
  version: integer(1, Number.MAX_SAFE_INTEGER),
});
export type GrantedDeposit = v.InferOutput<typeof grantedDepositShape>;
/** Deposits of others that the asker may read. */
export const grantedAnswerShape = v.strictObject({
  deposits: v.pipe(v.array(grantedDepositShape), v.maxLength(LIST_PAGE)),
  more: v.boolean(),
});
export const locateAnswerShape = v.strictObject({
  providers: v.pipe(v.array(text(64)), v.maxLength(MAX_PROVIDERS)),
});
export const helloAnswerShape = v.strictObject({ acceptsDeposits: v.boolean(), timeMs });

/** Content of a reader's signed request for the envelope from an offset on; then comes the body. It names the provider that is asked. */
export const readEnvelopeContentShape = v.strictObject({
  tokenId,
  dealId: fixedBytes(DEAL_ID_BYTES),
  provider: text(64),
  offsetBytes: integer(0, MAX_ENVELOPE_BYTES),
});

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
/** For the ciphertext, or the envelope. */
export const repairCiphertextShape = v.strictObject({ tokenId, dealId: fixedBytes(DEAL_ID_BYTES) });
/** From the owner to a provider: look whether all that you should have is there, and make good what is not. */
export const repairShape = v.strictObject({ request, proof: boundedBytes(MAX_PROOF_BYTES), grants: grantList });
export const repairContentShape = v.strictObject({ tokenId, provider: text(64), grants: fixedBytes(DIGEST_BYTES) });
/** What was there before. */
export const repairedShape = v.strictObject({
  record: v.boolean(),
  share: v.boolean(),
  ciphertext: v.boolean(),
  envelope: v.boolean(),
});
/** The deposits in which the asking provider has a share, a page at a time. */
export const restorePageShape = v.strictObject({ after: v.nullable(tokenId) });
export const restorePageAnswerShape = v.strictObject({
  deposits: v.array(v.strictObject({ proof: boundedBytes(MAX_PROOF_BYTES), grants: grantList })),
  /** Where to go on; null at the end. */
  next: v.nullable(tokenId),
});

/** A refresh or move. The owner's signed change request goes to everybody who has a part in it. */
export const prepareChangeShape = v.strictObject({ request, proof: boundedBytes(MAX_PROOF_BYTES), grants: grantList });
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
/** What has become of a change here. `proof` when it was completed; `destroyed` when the deposit was, whatever its generation. */
export const changeStatusShape = v.strictObject({ tokenId, change: fixedBytes(DIGEST_BYTES) });
export const changeStatusAnswerShape = v.strictObject({
  state: v.picklist(["unknown", "prepared", "active", "completed", "destroyed"]),
  proof: v.nullable(boundedBytes(MAX_CHANGE_PROOF_BYTES)),
});
