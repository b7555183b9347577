/**
 * Before a deposit is closed: whether the message can be read back. Everybody has signed what it gave, and only then hears the challenge.
 * The fingerprints of all shares, ours among them, must lie on one polynomial, and that of each ciphertext must be the sum of the
 * message's and of the polynomial's value at 0. A provider that laid another layer than its share makes, a keeper that keeps another sum, and a
 * dealer whose shares do not belong together are found out by that, up to a chance of 2^-64.
 */
import { equalBytes } from "../../crypto/digest.ts";
import type { FreshDeal } from "../../dealing/client.ts";
import { CHALLENGE_BYTES, createFingerprinter, fingerprintBytes } from "../../rounds/fingerprint.ts";
import { interpolate, lieOnPolynomial, type PointedBytes } from "../../rounds/interpolate.ts";
import { fingerprintsMaskKey } from "../../rounds/masks.ts";
import { shareBytes } from "../../rounds/share.ts";
import type { DepositTerms } from "../deposit-terms.ts";
import type { Fingerprints } from "../messages.ts";
import type { CustodyUser } from "./user.ts";

/** What is ours of the check. */
export interface Checking {
  /** Told to nobody before all have signed. */
  readonly challenge: Uint8Array;
  /** Of what is layered; complete when it was sent. */
  readonly message: Uint8Array;
}

/** What is layered, which can be read once. */
export interface LayeredMessage {
  readonly source: AsyncIterable<Uint8Array>;
  /** When all of it was read. */
  checking(): Checking;
}

/** Passes on what is layered, and takes its fingerprint on the way. */
export function fingerprinted(
  user: CustodyUser,
  lengthBytes: number,
  source: AsyncIterable<Uint8Array>,
): LayeredMessage {
  const challenge = user.entropy(CHALLENGE_BYTES);
  const fingerprinter = createFingerprinter(challenge, lengthBytes, user.tools.kernel);
  return {
    source: (async function* () {
      for await (const bytes of source) {
        fingerprinter.add(bytes);
        yield bytes;
      }
    })(),
    checking: () => ({ challenge, message: fingerprinter.fingerprint() }),
  };
}

/** Takes the masks off what the providers said, in point order. One of another length stands for none. */
export function unmaskedFingerprints(
  { tools }: CustodyUser,
  keys: readonly Uint8Array[],
  challenge: Uint8Array,
  bodyBytes: number,
  said: readonly Fingerprints[],
): Fingerprints[] {
  const lengthBytes = fingerprintBytes(bodyBytes);
  const fits = (bytes: Uint8Array | null): bytes is Uint8Array => bytes?.length === lengthBytes;
  return keys.map((key, i) => {
    const { share, ciphertext } = said[i]!;
    const mask = tools.keystream(fingerprintsMaskKey(key, challenge), 0);
    key.fill(0);
    return {
      share: fits(share) ? mask.xor(share) : new Uint8Array(lengthBytes),
      ciphertext: fits(ciphertext) ? mask.xor(ciphertext) : null,
    };
  });
}

/**
 * @param said by all providers in point order, without the masks
 * @param own fingerprint of our own share @param message of what was layered
 */
export function areLayersRight(
  { tools: { kernel } }: CustodyUser,
  { threshold, copies }: { readonly threshold: number; readonly copies: number },
  said: readonly Fingerprints[],
  own: PointedBytes,
  message: Uint8Array,
): boolean {
  const shares = [...said.map(({ share }, i) => ({ point: i + 1, bytes: share })), own];
  if (!lieOnPolynomial(shares, threshold, kernel)) return false;
  const expected = interpolate(shares.slice(0, threshold), 0, kernel);
  kernel.addScaled(expected, message, 1);
  const kept = said.slice(0, copies).map(({ ciphertext }) => ciphertext);
  return kept.every((ciphertext) => ciphertext !== null && equalBytes(ciphertext, expected));
}

/** Of our own share. */
export async function ownFingerprint(
  user: CustodyUser,
  terms: DepositTerms,
  { userSeed }: Pick<FreshDeal, "userSeed">,
  challenge: Uint8Array,
): Promise<PointedBytes> {
  const point = terms.roster.length + 1;
  const { lengthBytes } = terms.descriptor;
  const { kernel, keystream } = user.tools;
  const fingerprinter = createFingerprinter(challenge, lengthBytes, kernel);
  const share = { point, seed: userSeed, correction: undefined };
  for await (const bytes of shareBytes(share, lengthBytes, keystream)) fingerprinter.add(bytes);
  return { point, bytes: fingerprinter.fingerprint() };
}
