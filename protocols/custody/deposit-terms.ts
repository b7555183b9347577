/** What an owner asks for in a deposit: token, round and deal, and whether they fit together. */
import { equalBytes } from "../crypto/digest.ts";
import { checkManifest, isSelfDealt, type Manifest, manifestDigest } from "../dealing/manifest.ts";
import type { CheckedRequest } from "../identity/request.ts";
import { decodeDescriptor, descriptorHash, type RoundDescriptor } from "../rounds/descriptor.ts";
import type { ChainExpectation } from "../tokens/chain.ts";
import { layeredBytes } from "../tokens/message.ts";
import { decodeToken, type Token, tokenIdOf } from "../tokens/token.ts";
import { IntercloudError } from "../wire/errors.ts";
import { parseShape } from "../wire/shape.ts";
import type { PeerName } from "../wire/transport.ts";
import { depositContentShape } from "./messages.ts";

export interface DepositTerms {
  readonly tokenId: Uint8Array;
  readonly token: Token;
  readonly descriptor: RoundDescriptor;
  /** What the masks are bound to. */
  readonly roundHash: Uint8Array;
  readonly manifest: Manifest;
  readonly manifestDigest: Uint8Array;
  /** The providers in point order; home first. */
  readonly roster: readonly PeerName[];
}

/** @throws IntercloudError TERMS_DISAGREE and whatever the parts throw when they are malformed or badly signed. */
export function readTerms(request: CheckedRequest, manifestBytes: Uint8Array): DepositTerms {
  const content = parseShape(depositContentShape, request.content, "deposit request");
  const token = decodeToken(content.token);
  const tokenId = tokenIdOf(content.token);
  const descriptor = decodeDescriptor(content.descriptor);
  const manifest = checkManifest(manifestBytes);
  const digest = manifestDigest(manifestBytes);
  const roster = manifest.shares.slice(0, -1).map((share) => share.peer);
  const memberAt = (position: number) => descriptor.members[position];

  const agreed: readonly (readonly [what: string, agrees: boolean])[] = [
    ["owner", token.owner === request.identity],
    ["manifest", equalBytes(token.manifestDigest, digest)],
    ["dealer", (token.dealer === "self") === isSelfDealt(manifest, token.owner)],
    ["deal", equalBytes(token.dealId, manifest.dealId) && equalBytes(descriptor.dealId, manifest.dealId)],
    ["n", token.providers === roster.length && descriptor.members.length === roster.length],
    ["t", token.threshold === manifest.threshold],
    ["length", manifest.lengthBytes === layeredBytes(token.lengthBytes)],
    ["number of deals", manifest.items === undefined],
    ["range", descriptor.offsetBytes === 0 && descriptor.lengthBytes === manifest.lengthBytes],
    ["kind", descriptor.kind === "deposit" && descriptor.route === token.route],
    ["token id", equalBytes(descriptor.tokenId, tokenId)],
    ["roster", roster.every((peer, i) => memberAt(i)?.peer === peer && memberAt(i)?.point === i + 1)],
    ["user's point", descriptor.userPoint === roster.length + 1],
    ["home", token.home === roster[0]],
    ["user's key", (token.protocol === 1) === (token.userKey !== null)],
    ["copies", token.copies <= roster.length],
  ];
  const wrong = agreed.find(([, agrees]) => !agrees)?.[0];
  if (wrong !== undefined) {
    throw new IntercloudError("TERMS_DISAGREE", "bad-request", `token, round and deal disagree about the ${wrong}`);
  }
  const roundHash = descriptorHash(content.descriptor);
  return { tokenId, token, descriptor, roundHash, manifest, manifestDigest: digest, roster };
}

/** What the chain of this deposit has to fit to. */
export function chainExpectation(terms: DepositTerms, digestFromOwner?: Uint8Array): ChainExpectation {
  const { tokenId, manifestDigest, roster, token } = terms;
  return { tokenId, manifestDigest, roster, route: token.route, digestFromOwner };
}

/** The providers that keep the ciphertext, home first. */
export function keepers(terms: DepositTerms): readonly PeerName[] {
  return terms.roster.slice(0, terms.token.copies);
}
