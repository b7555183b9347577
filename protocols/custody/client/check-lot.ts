/** As for one deposit (check-layers.ts), for all of a lot at once: what belongs to them stands one after another. */
import { wipe } from "../../crypto/release.ts";
import { seedInLot } from "../../dealing/lot/deal-lot.ts";
import type { FreshLot } from "../../dealing/lot/request-lot.ts";
import { CHALLENGE_BYTES, createFingerprinter, fingerprintOf } from "../../rounds/fingerprint.ts";
import type { PointedBytes } from "../../rounds/interpolate.ts";
import type { Fingerprints } from "../messages.ts";
import { areLayersRight, type Checking } from "./check-layers.ts";
import type { CustodyUser } from "./user.ts";

/** @param layered all that is layered, without our layer and the masks */
export function lotChecking({ entropy, tools }: CustodyUser, layered: Uint8Array): Checking {
  const challenge = entropy(CHALLENGE_BYTES);
  return { challenge, message: fingerprintOf(layered, challenge, tools.kernel) };
}

/** @param said without the masks */
export function isLotRight(
  user: CustodyUser,
  fresh: FreshLot,
  copies: number,
  { challenge, message }: Checking,
  said: readonly Fingerprints[],
): boolean {
  const { threshold } = fresh.lot.manifest;
  return areLayersRight(user, { threshold, copies }, said, ownLotFingerprint(user, fresh, challenge), message);
}

/** Of our own shares. */
export function ownLotFingerprint(
  { tools }: CustodyUser,
  { lot, userSeed }: FreshLot,
  challenge: Uint8Array,
): PointedBytes {
  const fingerprinter = createFingerprinter(challenge, lot.manifest.lengthBytes, tools.kernel);
  for (const [index, lengthBytes] of lot.lengths.entries()) {
    const seed = seedInLot(userSeed, index);
    const share = tools.keystream(seed, 0).xor(new Uint8Array(lengthBytes));
    fingerprinter.add(share);
    for (const secret of [seed, share]) wipe(secret);
  }
  return { point: lot.manifest.shares.length, bytes: fingerprinter.fingerprint() };
}
