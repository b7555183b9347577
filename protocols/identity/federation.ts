/**
 * The federation: the providers and dealers that know each other. Each entry is signed by its peer; the whole is signed by
 * the founder, so nobody is added, left out or exchanged. Which founder to trust is the reader's own decision.
 */
import * as v from "valibot";
import { PUBLIC_KEY_BYTES, SIGNATURE_BYTES, type Signer, verifySignature } from "../crypto/signing.ts";
import { encodeCanonical } from "../wire/codec.ts";
import { IntercloudError } from "../wire/errors.ts";
import { fixedBytes } from "../wire/shape.ts";
import type { PeerName } from "../wire/transport.ts";
import { isDescriptorSigned, namePattern, type SignedDescriptor, signedDescriptorShape } from "./descriptor.ts";

const FEDERATION_DOMAIN = "intercloud/federation/v1";

/** Points are non-zero elements of GF(2^8) and the user needs one too. */
const MAX_PROVIDERS = 254;
const MAX_DEALERS = 64;

export interface Federation {
  readonly version: 1;
  readonly name: string;
  readonly providers: readonly SignedDescriptor[];
  readonly dealers: readonly SignedDescriptor[];
}

export interface SignedFederation extends Federation {
  /** The founder's Ed25519 public key. */
  readonly founder: Uint8Array;
  readonly signature: Uint8Array;
}

const signedFederationShape = v.strictObject({
  version: v.literal(1),
  name: v.pipe(v.string(), v.regex(namePattern)),
  providers: v.pipe(v.array(signedDescriptorShape), v.maxLength(MAX_PROVIDERS)),
  dealers: v.pipe(v.array(signedDescriptorShape), v.maxLength(MAX_DEALERS)),
  founder: fixedBytes(PUBLIC_KEY_BYTES),
  signature: fixedBytes(SIGNATURE_BYTES),
});

/** @throws what `checkFederation` throws: nothing is signed that a reader would refuse. */
export function signFederation(fields: Omit<Federation, "version">, founder: Signer): SignedFederation {
  const federation: Federation = { ...fields, version: 1 };
  const signature = founder.sign(FEDERATION_DOMAIN, federationBytes(federation));
  return checkFederation({ ...federation, founder: founder.publicKey, signature });
}

/**
 * @param founder the public key that must have signed it; without it, the key that the federation itself names.
 * @throws IntercloudError FEDERATION_MALFORMED, FEDERATION_DUPLICATE, FEDERATION_BAD_SIGNATURE; each names the entry.
 */
export function checkFederation(value: unknown, founder?: Uint8Array): SignedFederation {
  const parsed = v.safeParse(signedFederationShape, value);
  if (!parsed.success) {
    const entry = v.getDotPath(parsed.issues[0]) ?? "(whole)";
    throw malformed(entry, "is missing, unknown or not valid");
  }
  const federation = parsed.output;
  assertKinds(federation);
  assertUnique(federation);
  for (const descriptor of [...federation.providers, ...federation.dealers]) {
    if (!isDescriptorSigned(descriptor)) throw badSignature(`the entry "${descriptor.name}" is not signed by its peer`);
  }
  if (founder !== undefined && Buffer.compare(founder, federation.founder) !== 0) {
    throw badSignature("it is signed by another founder than the one you trust");
  }
  const { founder: signedBy, signature, ...unsigned } = federation;
  if (!verifySignature(signedBy, FEDERATION_DOMAIN, federationBytes(unsigned), signature)) {
    throw badSignature("it was changed after its founder signed it");
  }
  return federation;
}

/** What is signed: deterministic CBOR of all fields but the founder's key and signature. */
export function federationBytes(federation: Federation): Uint8Array {
  return encodeCanonical({
    version: federation.version,
    name: federation.name,
    providers: federation.providers.map((descriptor) => ({ ...descriptor })),
    dealers: federation.dealers.map((descriptor) => ({ ...descriptor })),
  });
}

/** The member with this name, provider or dealer. */
export function memberNamed(federation: Federation, name: string): SignedDescriptor | undefined {
  return [...federation.providers, ...federation.dealers].find((member) => member.name === name);
}

export function memberWithPeer(federation: Federation, peer: PeerName): SignedDescriptor | undefined {
  return [...federation.providers, ...federation.dealers].find((member) => member.peer === peer);
}

function assertKinds({ providers, dealers }: Federation): void {
  for (const [index, { kind }] of providers.entries()) {
    if (kind !== "provider") throw malformed(`providers.${index}.kind`, "is not provider");
  }
  for (const [index, { kind }] of dealers.entries()) {
    if (kind !== "dealer") throw malformed(`dealers.${index}.kind`, "is not dealer");
  }
}

/** Two members with one name, peer or agreement key could be taken for each other. */
function assertUnique({ providers, dealers }: Federation): void {
  const seen = new Map<string, string>();
  for (const { name, peer, agreementKey } of [...providers, ...dealers]) {
    for (const value of [
      `name ${name}`,
      `peer ${peer}`,
      `agreement key ${Buffer.from(agreementKey).toString("hex")}`,
    ]) {
      const other = seen.get(value);
      if (other !== undefined) {
        throw new IntercloudError(
          "FEDERATION_DUPLICATE",
          "bad-request",
          `the federation names the ${value} twice (${other} and ${name}); each member needs its own`,
          { members: [other, name] },
        );
      }
      seen.set(value, name);
    }
  }
}

function malformed(entry: string, what: string): IntercloudError {
  return new IntercloudError(
    "FEDERATION_MALFORMED",
    "bad-request",
    `the federation's entry "${entry}" ${what}; get the file again from who runs the federation`,
    { entry },
  );
}

function badSignature(what: string): IntercloudError {
  return new IntercloudError(
    "FEDERATION_BAD_SIGNATURE",
    "integrity",
    `do not use this federation: ${what}. Get the file again from who runs the federation`,
  );
}
