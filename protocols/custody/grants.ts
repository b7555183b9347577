/**
 * Who else may read a deposit. The owner signs the whole list under a version, and of two lists the newer one counts, whatever
 * the order in which they come: a list that is sent again after a newer one changes nothing, at any provider.
 */
import * as v from "valibot";
import { digestOf } from "../crypto/digest.ts";
import { type Identity, keyOfIdentity, MAX_IDENTITY_LENGTH } from "../identity/identity.ts";
import { type CheckedRequest, checkKeptRequest } from "../identity/request.ts";
import { TOKEN_ID_BYTES } from "../rounds/constants.ts";
import { encodeCanonical } from "../wire/codec.ts";
import { IntercloudError } from "../wire/errors.ts";
import { fixedBytes, integer, parseShape, text, timeMs } from "../wire/shape.ts";
import { MAX_GRANTS } from "./constants.ts";

/** `show`: see the proof of the deposit. `retrieve`: get the message back; the proof is needed for that and comes with it. */
export const GRANT_PURPOSES = ["retrieve", "show"] as const;
export type GrantPurpose = (typeof GRANT_PURPOSES)[number];

/** What an owner lets somebody do, as the grantee is told it. */
const termsEntries = {
  purposes: v.pipe(v.array(v.picklist(GRANT_PURPOSES)), v.minLength(1), v.maxLength(GRANT_PURPOSES.length)),
  /** By the provider's clock; null: until it is revoked. */
  expiresAtMs: v.nullable(timeMs),
};
export const grantTermsShape = v.strictObject(termsEntries);
export type GrantTerms = Readonly<v.InferOutput<typeof grantTermsShape>>;

const grantShape = v.strictObject({ identity: text(MAX_IDENTITY_LENGTH), ...termsEntries });
export type Grant = Readonly<v.InferOutput<typeof grantShape>>;

/** Content of the owner's signed request. */
const grantListShape = v.strictObject({
  tokenId: fixedBytes(TOKEN_ID_BYTES),
  /** One more than that of the list which it replaces. */
  version: integer(1, Number.MAX_SAFE_INTEGER),
  /** Decides between two lists that replace the same one. Stays when the list is signed again for a provider that missed it. */
  madeAtMs: timeMs,
  /** In the order of their identities. */
  grants: v.pipe(v.array(grantShape), v.maxLength(MAX_GRANTS)),
});
export type GrantList = Readonly<v.InferOutput<typeof grantListShape>>;

/** A list with the signed request that it came in. */
export interface SignedGrantList {
  readonly list: GrantList;
  readonly owner: Identity;
  readonly request: Uint8Array;
}

/**
 * The list in a request that was checked.
 * @throws IntercloudError BAD_MESSAGE, BAD_GRANTS, BAD_IDENTITY, GRANT_TO_SELF.
 */
export function grantListOf(request: Uint8Array, checked: CheckedRequest): SignedGrantList {
  const list = parseShape(grantListShape, checked.content, "grant request");
  if (list.madeAtMs > checked.issuedAtMs) throw badGrants("the list is made later than it is signed");
  for (const [i, { identity, purposes }] of list.grants.entries()) {
    keyOfIdentity(identity);
    if (identity === checked.identity) throw grantToSelf();
    const before = list.grants[i - 1]?.identity;
    if (before !== undefined && before >= identity) throw badGrants("its identities are not in order, each once");
    if (orderedPurposes(purposes).join() !== purposes.join())
      throw badGrants("its purposes are not in order, each once");
  }
  return { list, owner: checked.identity, request };
}

/** A list that a provider kept: everything is checked as at the moment when the owner signed it. */
export function readKeptGrants(request: Uint8Array): SignedGrantList {
  return grantListOf(request, checkKeptRequest(request, "grant"));
}

/** Names a signed list, or that there is none, in another request of the owner. */
export function grantsDigest(request: Uint8Array | null): Uint8Array {
  return digestOf("intercloud/grants/v1", request ?? new Uint8Array());
}

/** Above 0 when `a` is newer than `b`, 0 when they are the same list. A total order, so every provider ends with the same one. */
export function compareGrants(a: GrantList, b: GrantList): number {
  if (a.version !== b.version) return a.version - b.version;
  if (a.madeAtMs !== b.madeAtMs) return a.madeAtMs - b.madeAtMs;
  return Buffer.compare(encodeCanonical(a), encodeCanonical(b));
}

/** Each purpose once, in our order. */
export function orderedPurposes(purposes: readonly GrantPurpose[]): GrantPurpose[] {
  return GRANT_PURPOSES.filter((purpose) => purposes.includes(purpose));
}

/** Whoever may get the message may see its proof: it is needed for that. */
export function allows({ purposes }: Pick<GrantTerms, "purposes">, purpose: GrantPurpose): boolean {
  return purpose === "show" || purposes.includes(purpose);
}

export function isExpired({ expiresAtMs }: Pick<GrantTerms, "expiresAtMs">, nowMs: number): boolean {
  return expiresAtMs !== null && nowMs > expiresAtMs;
}

export function grantToSelf(): IntercloudError {
  const message = "this is your own identity: an owner needs no grant, and nobody else can make one; name another one";
  return new IntercloudError("GRANT_TO_SELF", "refused", message);
}

/** Grants are for deposits that any t providers can hand out. */
export function requireGrantable({ protocol }: { readonly protocol: number }): void {
  if (protocol === 3) return;
  const message =
    `a deposit of Protocol ${protocol} is read with the owner's own ${protocol === 1 ? "key" : "share"}, which nobody else has; ` +
    "deposit the message with Protocol 3 to let others read it";
  throw new IntercloudError("NOT_GRANTABLE", "refused", message);
}

function badGrants(why: string): IntercloudError {
  return new IntercloudError("BAD_GRANTS", "bad-request", `this list of grants is not well formed: ${why}`);
}
