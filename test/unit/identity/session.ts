/** An identity with a session, and tags and requests with any field changed and signed again. */
import { randomBytes } from "node:crypto";
import { newSigner, type Signer } from "../../../protocols/crypto/signing.ts";
import {
  identityOfKey,
  openSession,
  PURPOSES,
  type Purpose,
  type Session,
  signRequest,
} from "../../../protocols/identity/index.ts";
import { type CborValue, decodeCanonical, encodeCanonical } from "../../../protocols/wire/codec.ts";

export const NOW_MS = 1_700_000_000_000;
export const HOUR_MS = 60 * 60_000;

export const entropy = (lengthBytes: number) => new Uint8Array(randomBytes(lengthBytes));

export interface Person {
  readonly identity: string;
  readonly identityKey: Signer;
  readonly session: Session;
}

export function newPerson(purposes: readonly Purpose[] = PURPOSES, nowMs = NOW_MS): Person {
  const identityKey = newSigner(entropy);
  const identity = identityOfKey(identityKey.publicKey);
  const session = openSession({ identity, identityKey, purposes, nowMs, lifetimeMs: HOUR_MS, entropy });
  return { identity, identityKey, session };
}

export function requestOf(
  session: Session,
  purpose: Purpose,
  options: { readonly nowMs?: number; readonly lifetimeMs?: number; readonly content?: CborValue } = {},
): Uint8Array {
  const { nowMs = NOW_MS, lifetimeMs = 60_000, content = { file: "a" } } = options;
  return signRequest({ session, purpose, content, nowMs, lifetimeMs, entropy });
}

type Fields = Record<string, CborValue>;

export const fieldsOf = (bytes: Uint8Array) => decodeCanonical(bytes) as Fields;

/** A signed tag with its body changed, signed by `signer`. Undefined removes a field. */
export function tagWith(tag: Uint8Array, changes: Record<string, CborValue | undefined>, signer: Signer): Uint8Array {
  return signedAgain(fieldsOf(tag)["body"] as Uint8Array, changes, "intercloud/tag/v1", signer);
}

/** A request with its body changed, signed by `signer`, under the same tag. */
export function requestWith(
  request: Uint8Array,
  changes: Record<string, CborValue | undefined>,
  signer: Signer,
): Uint8Array {
  const { tag, body } = fieldsOf(request) as { tag: Uint8Array; body: Uint8Array };
  return encodeCanonical({ tag, ...fieldsOf(signedAgain(body, changes, "intercloud/request/v1", signer)) });
}

function signedAgain(
  body: Uint8Array,
  changes: Record<string, CborValue | undefined>,
  domain: string,
  signer: Signer,
): Uint8Array {
  const changed = Object.entries({ ...fieldsOf(body), ...changes }).filter(([, value]) => value !== undefined);
  const bytes = encodeCanonical(Object.fromEntries(changed) as Fields);
  return encodeCanonical({ body: bytes, signature: signer.sign(domain, bytes) });
}

/** The map with its first two entries exchanged: the same content in another order. */
export function reordered(bytes: Uint8Array): Uint8Array {
  const entries = Object.entries(fieldsOf(bytes)).sort(([a], [b]) => a.length - b.length || (a < b ? -1 : 1));
  const [first, second, ...rest] = entries as [[string, CborValue], [string, CborValue], ...[string, CborValue][]];
  const parts = [second, first, ...rest].map(([key, value]) => encodeCanonical({ [key]: value }).subarray(1));
  return Buffer.concat([bytes.subarray(0, 1), ...parts]);
}
