/**
 * An account: what a provider says, signed, that its share of a deposit is (and its ciphertext, if it keeps one), with the blocks that a
 * retrieval turned out wrong in. It is asked for when the sum of all answers was wrong, to find out whose answer it was.
 */
import * as v from "valibot";
import { createBlockDigester, DIGEST_BLOCK_BYTES, digestOfBlocks } from "../crypto/block-digest.ts";
import { DIGEST_BYTES, digestOf, equalBytes } from "../crypto/digest.ts";
import { publicKeyOfPeer } from "../crypto/peer-name.ts";
import { SIGNATURE_BYTES, type Signer, verifySignature } from "../crypto/signing.ts";
import { DEAL_ID_BYTES, MAX_PROVIDERS, TOKEN_ID_BYTES } from "../rounds/constants.ts";
import { decodeCanonical, encodeCanonical } from "../wire/codec.ts";
import { IntercloudError } from "../wire/errors.ts";
import { boundedBytes, fixedBytes, integer, parseShape, text, timeMs } from "../wire/shape.ts";
import { MAX_HOLDING_BYTES } from "./constants.ts";

const ACCOUNT_DOMAIN = "intercloud/account/v1";

const accountShape = v.strictObject({
  version: v.literal(1),
  tokenId: fixedBytes(TOKEN_ID_BYTES),
  dealId: fixedBytes(DEAL_ID_BYTES),
  point: integer(1, MAX_PROVIDERS),
  peer: text(64),
  /** Digest of the signed request that this answers. */
  request: fixedBytes(DIGEST_BYTES),
  /** Names home's statement of the ciphertext, as the provider knows it. */
  keepingDigest: fixedBytes(DIGEST_BYTES),
  /** `bodyDigest` of the share; null when it is lost or damaged, which the provider owns up to by this. */
  shareDigest: v.nullable(fixedBytes(DIGEST_BYTES)),
  /** `bodyDigest` of the ciphertext; null when none is kept here, or it is damaged. */
  ciphertextDigest: v.nullable(fixedBytes(DIGEST_BYTES)),
  timeMs,
});
export type Account = v.InferOutput<typeof accountShape>;

const signedShape = v.strictObject({ body: boundedBytes(MAX_HOLDING_BYTES), signature: fixedBytes(SIGNATURE_BYTES) });

export function signAccount(account: Account, signer: Signer): Uint8Array {
  const body = encodeCanonical(account);
  return encodeCanonical({ body, signature: signer.sign(ACCOUNT_DOMAIN, body) });
}

/** @throws IntercloudError BAD_ACCOUNT when it is not signed by the provider that it names. */
export function readAccount(bytes: Uint8Array): Account {
  const { body, signature } = parseShape(signedShape, decodeCanonical(bytes), "signed account");
  const account = parseShape(accountShape, decodeCanonical(body), "account");
  if (verifySignature(publicKeyOfPeer(account.peer), ACCOUNT_DOMAIN, body, signature)) return account;
  throw new IntercloudError("BAD_ACCOUNT", "integrity", "the account is not signed by the provider that it names");
}

export function accountRequestDigest(request: Uint8Array): Uint8Array {
  return digestOf("intercloud/account-request/v1", request);
}

/** Some blocks of 1 MiB of a long body, and the digests of all of its blocks. */
export interface Excerpt {
  readonly blockDigests: Uint8Array;
  /** Number of the first block in `content`. */
  readonly firstBlock: number;
  readonly content: Uint8Array;
}

/** The blocks that cover a range. */
export function coveringBlocks(offsetBytes: number, lengthBytes: number, totalBytes: number) {
  const firstBlock = Math.floor(offsetBytes / DIGEST_BLOCK_BYTES);
  const start = firstBlock * DIGEST_BLOCK_BYTES;
  const end = Math.min(totalBytes, Math.ceil((offsetBytes + lengthBytes) / DIGEST_BLOCK_BYTES) * DIGEST_BLOCK_BYTES);
  return { firstBlock, startBytes: start, lengthBytes: end - start };
}

/** Whether the content is what the digests say, and the digests what `digest` says. */
export function isExcerptOf({ blockDigests, firstBlock, content }: Excerpt, digest: Uint8Array): boolean {
  if (!equalBytes(digestOfBlocks(blockDigests), digest)) return false;
  const digester = createBlockDigester();
  digester.add(content);
  const own = digester.blockDigests();
  const start = firstBlock * DIGEST_BYTES;
  return equalBytes(own, blockDigests.subarray(start, start + own.length));
}

/** The bytes of the range. */
export function rangeOf({ firstBlock, content }: Excerpt, offsetBytes: number, lengthBytes: number): Uint8Array {
  const start = offsetBytes - firstBlock * DIGEST_BLOCK_BYTES;
  return content.subarray(start, start + lengthBytes);
}

/** Reads a body once: the digests of its blocks, and the blocks that cover the range. */
export async function excerpt(
  source: AsyncIterable<Uint8Array>,
  range: { readonly firstBlock: number; readonly startBytes: number; readonly lengthBytes: number },
): Promise<Excerpt> {
  const digester = createBlockDigester();
  const content = new Uint8Array(range.lengthBytes);
  let at = 0;
  for await (const chunk of source) {
    digester.add(chunk);
    const from = Math.max(0, range.startBytes - at);
    const to = Math.min(chunk.length, range.startBytes + range.lengthBytes - at);
    if (from < to) content.set(chunk.subarray(from, to), at + from - range.startBytes);
    at += chunk.length;
  }
  return { blockDigests: digester.blockDigests(), firstBlock: range.firstBlock, content };
}
