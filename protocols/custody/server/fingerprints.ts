/**
 * What the owner holds against each other before it closes a deposit: a fingerprint of our share, and of the ciphertext if we keep it, for
 * a challenge that nobody knew while the layers were laid (`client/check-layers.ts`). They are under a mask that only the owner can take off.
 */
import { wipe } from "../../crypto/release.ts";
import { loadHeldDeal, shareOf } from "../../dealing/held-deal.ts";
import type { RoundMember } from "../../rounds/descriptor.ts";
import { createFingerprinter } from "../../rounds/fingerprint.ts";
import { fingerprintsMaskKey, reportKey } from "../../rounds/masks.ts";
import { type Share, shareBytes } from "../../rounds/share.ts";
import type { CborValue } from "../../wire/codec.ts";
import { IntercloudError } from "../../wire/errors.ts";
import { parseShape } from "../../wire/shape.ts";
import type { Context } from "../../wire/transport.ts";
import type { DepositTerms } from "../deposit-terms.ts";
import { checkShape, type Fingerprints } from "../messages.ts";
import type { ActiveDeposits } from "./active.ts";
import { ciphertextName, loadDeposit } from "./deposit-record.ts";
import type { CustodyProvider } from "./provider.ts";

/** From the owner of a long deposit, when everybody has signed. A short one has it done with the signing. */
export async function check(
  provider: CustodyProvider,
  active: ActiveDeposits,
  body: CborValue,
  context: Context,
): Promise<CborValue> {
  const { tokenId, challenge } = parseShape(checkShape, body, "check");
  const { terms, record } = await loadDeposit(provider.store, tokenId);
  requireOwnersPeer(terms, record.state, context);
  return await active.run(tokenId, "check", context.signal, async (signal) => {
    const kept = record.holdsCiphertext ? provider.store.bodies.read(ciphertextName(tokenId), 0) : undefined;
    const { lengthBytes } = terms.descriptor;
    const own = { share: await ownShare(provider, terms), reportKey: ownReportKey(provider, terms), lengthBytes };
    return { ...(await ownFingerprints(provider, own, challenge, kept, signal)) };
  });
}

/** @throws IntercloudError NOT_YOUR_STEP unless it is asked by the one whose deposit it is, between the signing and the sealing. */
export function requireOwnersPeer(terms: DepositTerms, state: string, { from }: Context): void {
  if (from === terms.descriptor.requester && state === "linked") return;
  throw new IntercloudError("NOT_YOUR_STEP", "refused", "this peer has no such step in this deposit");
}

/** Our share of one deposit. */
export interface OwnShare {
  readonly share: Share;
  /** Is overwritten when it was used. */
  readonly reportKey: Uint8Array;
  readonly lengthBytes: number;
}

/** @param kept the ciphertext, at those that keep it */
export async function ownFingerprints(
  provider: CustodyProvider,
  { share, reportKey, lengthBytes }: OwnShare,
  challenge: Uint8Array,
  kept: AsyncIterable<Uint8Array> | undefined,
  signal: AbortSignal,
): Promise<Fingerprints> {
  const bodies = { lengthBytes, share: shareBytes(share, lengthBytes, provider.tools.keystream), kept };
  return await maskedFingerprints(provider, reportKey, challenge, bodies, signal);
}

/** @param key is overwritten @param bodies `share` is wiped as it comes */
export async function maskedFingerprints(
  { tools: { kernel, keystream } }: CustodyProvider,
  key: Uint8Array,
  challenge: Uint8Array,
  bodies: {
    readonly lengthBytes: number;
    readonly share: AsyncIterable<Uint8Array>;
    readonly kept: AsyncIterable<Uint8Array> | undefined;
  },
  signal: AbortSignal,
): Promise<Fingerprints> {
  const of = async (source: AsyncIterable<Uint8Array>, isSecret: boolean) => {
    const fingerprinter = createFingerprinter(challenge, bodies.lengthBytes, kernel);
    for await (const bytes of source) {
      signal.throwIfAborted();
      fingerprinter.add(bytes);
      if (isSecret) wipe(bytes);
    }
    return fingerprinter.fingerprint();
  };
  const share = await of(bodies.share, true);
  const ciphertext = bodies.kept === undefined ? null : await of(bodies.kept, false);
  const maskKey = fingerprintsMaskKey(key, challenge);
  const mask = keystream(maskKey, 0);
  const masked = { share: mask.xor(share), ciphertext: ciphertext && mask.xor(ciphertext) };
  for (const secret of [key, maskKey, share]) secret.fill(0);
  return masked;
}

/** @throws IntercloudError NO_SHARE. */
export async function ownShare(provider: CustodyProvider, { manifest }: DepositTerms): Promise<Share> {
  const deal = await loadHeldDeal(provider.store, manifest.dealId);
  if (deal !== undefined && deal.state !== "burnt") return shareOf(deal, provider.store);
  throw new IntercloudError("NO_SHARE", "not-found", "we hold no share of this deal");
}

/** What we report to the owner is under streams of this key. */
export function ownReportKey(provider: CustodyProvider, terms: DepositTerms): Uint8Array {
  const { descriptor, roundHash } = terms;
  return reportKey(provider.agreementKey, descriptor.userKey, ownMember(provider, terms), roundHash);
}

/** We in the round of a deposit whose terms were checked. */
export function ownMember({ transport }: CustodyProvider, { descriptor }: DepositTerms): RoundMember {
  return descriptor.members.find(({ peer }) => peer === transport.peer)!;
}
