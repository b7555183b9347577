/**
 * Our stanza: which deposit opens the file.
 *
 *   -> intercloud/v1 <token text>
 *   <ChaCha20-Poly1305 of the file key, 32 bytes>
 *
 * The key is HKDF-SHA256(envelope key, salt = token text, info = "intercloud/envelope/v1") and the nonce zero, as in age's own X25519
 * stanza: an envelope key is 32 fresh random bytes that wrap one file key, and are kept in one deposit, so no key is used twice.
 * The salt ties the wrapped key to the deposit that the file names, and the header's MAC ties the file to both.
 */
import { deriveKey } from "../crypto/key-agreement.ts";
import { parseTokenText } from "../tokens/token-text.ts";
import { IntercloudError } from "../wire/errors.ts";
import { AEAD_NONCE_BYTES, seal, unseal } from "./aead.ts";
import { WRAPPED_KEY_BYTES } from "./constants.ts";
import { headerDamaged } from "./errors.ts";
import type { Stanza } from "./header.ts";

const TYPE = "intercloud/v1";
const ZERO_NONCE = new Uint8Array(AEAD_NONCE_BYTES);

export interface EnvelopeStanza {
  /** `ict1...` */
  readonly tokenText: string;
  readonly wrappedKey: Uint8Array;
}

/** @param envelopeKey used for this one call, ever */
export function wrapFileKey(envelopeKey: Uint8Array, tokenText: string, fileKey: Uint8Array): Stanza {
  const key = wrapKey(envelopeKey, tokenText);
  try {
    return stanzaOf(tokenText, seal(key, ZERO_NONCE, fileKey));
  } finally {
    key.fill(0);
  }
}

export function stanzaOf(tokenText: string, wrappedKey: Uint8Array): Stanza {
  return { arguments: [TYPE, tokenText], body: wrappedKey };
}

/** @throws IntercloudError WRONG_ENVELOPE_KEY. */
export function unwrapFileKey(envelopeKey: Uint8Array, { tokenText, wrappedKey }: EnvelopeStanza): Uint8Array {
  const key = wrapKey(envelopeKey, tokenText);
  const fileKey = unseal(key, ZERO_NONCE, wrappedKey);
  key.fill(0);
  if (fileKey !== undefined) return fileKey;
  const message =
    "the key in the deposit that this file names does not open it: the file was changed, or is not of that deposit";
  throw new IntercloudError("WRONG_ENVELOPE_KEY", "integrity", message);
}

/** @throws IntercloudError NOT_OUR_FILE when there is none of ours, HEADER_DAMAGED. */
export function findStanza(stanzas: readonly Stanza[]): EnvelopeStanza {
  const [ours, second] = stanzas.filter((stanza) => stanza.arguments[0] === TYPE);
  if (ours === undefined) {
    const message =
      "this age file was not made by `encrypt`: no deposit is named in it that could open it; use age and the key it was made for";
    throw new IntercloudError("NOT_OUR_FILE", "bad-request", message);
  }
  const [, tokenText = "", ...more] = ours.arguments;
  if (second !== undefined || more.length > 0 || ours.body.length !== WRAPPED_KEY_BYTES || !isTokenText(tokenText)) {
    throw headerDamaged("what it says about its deposit is not right");
  }
  return { tokenText, wrappedKey: ours.body };
}

function isTokenText(text: string): boolean {
  try {
    parseTokenText(text);
    return true;
  } catch {
    return false;
  }
}

function wrapKey(envelopeKey: Uint8Array, tokenText: string): Uint8Array {
  return deriveKey(envelopeKey, Buffer.from(tokenText, "latin1"), "intercloud/envelope/v1");
}
