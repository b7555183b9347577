/**
 * What is left of a deposit that was destroyed: who owned it, where it was, and the receipts. Checks offline.
 *
 *   destroyed ::= CBOR { token, manifest, change, request, receipt }  what one provider keeps, and answers its owner with
 *   receipts  ::= CBOR { token, manifest, change, requests, receipts }  what a user collects from several of them
 *
 * A token is known by the digest of its bytes, and names the owner and the manifest; the manifest names n, t and the providers,
 * unless the deposit was refreshed or moved: then the proof of the last change does.
 */
import * as v from "valibot";
import { equalBytes } from "../crypto/digest.ts";
import { checkManifest, manifestDigest, providersOf } from "../dealing/manifest.ts";
import { checkKeptRequest } from "../identity/request.ts";
import { MAX_PROVIDERS } from "../rounds/constants.ts";
import { MAX_MANIFEST_BYTES, MAX_TOKEN_BYTES } from "../tokens/constants.ts";
import { decodeToken, tokenIdOf } from "../tokens/token.ts";
import { decodeCanonical, encodeCanonical } from "../wire/codec.ts";
import { IntercloudError } from "../wire/errors.ts";
import { boundedBytes, parseShape } from "../wire/shape.ts";
import type { PeerName } from "../wire/transport.ts";
import { readChangeProof } from "./change/change-proof.ts";
import { MAX_CHANGE_PROOF_BYTES, MAX_DESTROY_REQUEST_BYTES, MAX_RECEIPT_BYTES } from "./constants.ts";
import { destroyContentShape } from "./messages.ts";
import { type Site, siteOf } from "./placement.ts";
import { destroyRequestDigest, type Receipt, readReceipt } from "./receipt.ts";

const request = boundedBytes(MAX_DESTROY_REQUEST_BYTES);
const receipt = boundedBytes(2 * MAX_RECEIPT_BYTES);
const depositEntries = {
  token: boundedBytes(MAX_TOKEN_BYTES),
  manifest: boundedBytes(MAX_MANIFEST_BYTES),
  change: v.nullable(boundedBytes(MAX_CHANGE_PROOF_BYTES)),
};

const destroyedShape = v.strictObject({ ...depositEntries, request, receipt });
export type Destroyed = Readonly<v.InferOutput<typeof destroyedShape>>;

const receiptsShape = v.strictObject({
  ...depositEntries,
  /** The owner's, each once: whoever destroys in several goes has made several. */
  requests: v.pipe(v.array(request), v.minLength(1), v.maxLength(MAX_PROVIDERS)),
  receipts: v.pipe(v.array(receipt), v.minLength(1), v.maxLength(MAX_PROVIDERS)),
});

export interface CheckedDestroyed extends Site {
  readonly receipt: Receipt;
  readonly bytes: Destroyed;
}

export interface ReceiptLine {
  /** Undefined when it cannot be read. */
  readonly receipt: Receipt | undefined;
  /** In plain words, when it does not hold. */
  readonly problem: string | undefined;
}

export interface CheckedReceipts extends Site {
  readonly receipts: readonly ReceiptLine[];
}

/**
 * n-t+1: with so many shares gone the others are fewer than t. In Protocol 1 each that keeps the ciphertext, because the owner's key
 * opens the shares there.
 */
export function neededToDestroy({ token, roster, threshold, copies }: Omit<Site, "tokenId" | "dealId">): number {
  return token.protocol === 1 ? copies : roster.length - threshold + 1;
}

/** Whether the message is unrecoverable when these have destroyed what they had. */
export function isUnrecoverable(site: Omit<Site, "tokenId" | "dealId">, destroyedAt: Iterable<PeerName>): boolean {
  const peers = new Set(destroyedAt);
  const counted = site.token.protocol === 1 ? site.roster.slice(0, site.copies) : site.roster;
  return counted.filter((peer) => peers.has(peer)).length >= neededToDestroy(site);
}

export function encodeDestroyed(destroyed: Destroyed): Uint8Array {
  return encodeCanonical(destroyed);
}

/** @throws IntercloudError DESTROYED_BROKEN when any of it does not hold. */
export function readDestroyed(bytes: Uint8Array): CheckedDestroyed {
  return refusing("DESTROYED_BROKEN", "this statement that a deposit was destroyed does not hold", () => {
    const destroyed = parseShape(destroyedShape, decodeCanonical(bytes), "destroyed deposit");
    const terms = termsOf(destroyed);
    const { receipt, problem } = checkReceipt(terms, [destroyed.request], destroyed.receipt);
    if (receipt === undefined || problem !== undefined) {
      throw new IntercloudError("BAD_RECEIPT", "integrity", problem ?? "the receipt is malformed");
    }
    return { ...terms, receipt, bytes: destroyed };
  });
}

/** All of one deposit. */
export function encodeReceipts(collected: readonly CheckedDestroyed[]): Uint8Array {
  const first = collected[0]?.bytes;
  if (first === undefined) throw new IntercloudError("NO_RECEIPTS", "bad-request", "there is no receipt to write");
  const requests = new Map(collected.map(({ bytes }) => [Buffer.from(bytes.request).toString("hex"), bytes.request]));
  const receipts = collected.map(({ bytes }) => bytes.receipt);
  const { token, manifest, change } = first;
  return encodeCanonical({ token, manifest, change, requests: [...requests.values()], receipts });
}

/** Whether these bytes look like a file of receipts; says nothing about their truth. */
export function looksLikeReceipts(bytes: Uint8Array): boolean {
  try {
    return v.is(receiptsShape, decodeCanonical(bytes));
  } catch {
    return false;
  }
}

/**
 * Checks each receipt; one that does not hold is reported.
 * @throws IntercloudError RECEIPTS_BROKEN when token and manifest do not fit together.
 */
export function readReceipts(bytes: Uint8Array): CheckedReceipts {
  return refusing("RECEIPTS_BROKEN", "these receipts do not hold", () => {
    const { requests, receipts, ...deposit } = parseShape(receiptsShape, decodeCanonical(bytes), "receipts");
    const terms = termsOf(deposit);
    const seen = new Set<PeerName>();
    const lines = receipts.map((each): ReceiptLine => {
      const line = checkReceipt(terms, requests, each);
      const peer = line.receipt?.peer ?? "";
      if (line.problem === undefined && seen.has(peer))
        return { ...line, problem: "this provider's receipt is here twice" };
      seen.add(peer);
      return line;
    });
    return { ...terms, receipts: lines };
  });
}

function termsOf(deposit: Pick<Destroyed, "token" | "manifest" | "change">): Site {
  const token = decodeToken(deposit.token);
  const manifest = checkManifest(deposit.manifest);
  const roster = providersOf(manifest);
  const fits =
    equalBytes(token.manifestDigest, manifestDigest(deposit.manifest)) &&
    token.providers === roster.length &&
    token.threshold === manifest.threshold;
  if (!fits) throw new IntercloudError("TERMS_DISAGREE", "integrity", "token and manifest are of two deposits");
  const tokenId = tokenIdOf(deposit.token);
  if (deposit.change === null) {
    const { threshold, dealId } = manifest;
    return { tokenId, token, roster, threshold, dealId, copies: token.copies };
  }
  const { change, placement } = readChangeProof(deposit.change);
  if (change.owner !== token.owner || !equalBytes(change.tokenId, tokenId)) {
    throw new IntercloudError("TERMS_DISAGREE", "integrity", "token and change are of two deposits");
  }
  return siteOf({ tokenId, token }, placement);
}

function checkReceipt(terms: Site, requests: readonly Uint8Array[], bytes: Uint8Array): ReceiptLine {
  let receipt: Receipt;
  try {
    const read = readReceipt(bytes);
    receipt = read.receipt;
    if (!read.signatureValid) return { receipt, problem: "its signature is wrong" };
  } catch {
    return { receipt: undefined, problem: "it is malformed" };
  }
  if (!equalBytes(receipt.tokenId, terms.tokenId)) return { receipt, problem: "it is of another deposit" };
  if (!terms.roster.includes(receipt.peer)) return { receipt, problem: "its signer has no part in this deposit" };
  const request = requests.find((each) => equalBytes(destroyRequestDigest(each), receipt.requestDigest));
  if (request === undefined) return { receipt, problem: "the owner's request that it answers is not here" };
  return {
    receipt,
    problem: isOwnersRequest(terms, request) ? undefined : "the request that it answers is not the owner's",
  };
}

function isOwnersRequest({ token, tokenId }: Site, request: Uint8Array): boolean {
  try {
    const checked = checkKeptRequest(request, "destroy");
    const content = parseShape(destroyContentShape, checked.content, "destroy request");
    return checked.identity === token.owner && equalBytes(content.tokenId, tokenId);
  } catch {
    return false;
  }
}

function refusing<T>(code: string, what: string, action: () => T): T {
  try {
    return action();
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new IntercloudError(code, "integrity", `${what}: ${why}`, {}, cause);
  }
}
