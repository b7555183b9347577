/** Who lied in a lot whose fingerprints do not fit: as find-liar.ts finds out for one deposit, by doing all layers again. */
import { bodyDigest } from "../../crypto/block-digest.ts";
import { DIGEST_BYTES, equalBytes } from "../../crypto/digest.ts";
import type { AgreementKey } from "../../crypto/key-agreement.ts";
import { dealIdInLot, digestInLot } from "../../dealing/lot/deal-lot.ts";
import type { FreshLot } from "../../dealing/lot/request-lot.ts";
import { lagrangeCoefficients } from "../../field/index.ts";
import { fingerprintOf } from "../../rounds/fingerprint.ts";
import { lieOnPolynomial } from "../../rounds/interpolate.ts";
import { maskKey, maskKeyInLot, reportKey, shareMaskKey } from "../../rounds/masks.ts";
import { shareDigest } from "../../rounds/share.ts";
import type { PeerName } from "../../wire/transport.ts";
import { receiveWhole } from "../../wire/whole-body.ts";
import { abortOn } from "../abort-on.ts";
import { CUSTODY_PROTOCOL, OPEN_TIMEOUT_MS } from "../constants.ts";
import { columnAt } from "../lot/lot-statements.ts";
import type { Fingerprints } from "../messages.ts";
import type { Checking } from "./check-layers.ts";
import { ownLotFingerprint } from "./check-lot.ts";
import type { Finding } from "./find-liar.ts";
import { agreementKeyOf, type CustodyUser } from "./user.ts";

export interface SaidInLot {
  readonly roster: readonly PeerName[];
  readonly copies: number;
  readonly ephemeral: AgreementKey;
  readonly roundHashes: readonly Uint8Array[];
  /** All that we sent to the keepers. */
  readonly sent: Uint8Array;
  /** For each deposit in turn what each provider signed, and what home signed that it keeps. */
  readonly digestsOut: Uint8Array;
  readonly digestsKept: Uint8Array;
  /** In point order, without the masks. */
  readonly fingerprints: readonly Fingerprints[];
}

export async function findLotLiar(
  user: CustodyUser,
  fresh: FreshLot,
  checking: Checking,
  said: SaidInLot,
  signal: AbortSignal,
): Promise<Finding[]> {
  const { roster } = said;
  const shown = await Promise.all(roster.map((_, position) => showShares(user, fresh, said, position, signal)));
  signal.throwIfAborted();
  const findings: Finding[] = [];
  const find = (did: string, ...peers: readonly PeerName[]) => void findings.push({ peers, did });
  const kept = said.sent.slice();
  for (const [position, peer] of roster.entries()) {
    const shares = shown[position]?.shares;
    if (shares === undefined) find("did not show what it did", peer);
    else if (!areDealt(fresh, position, shares)) find("has another share than the dealer signed", peer);
    else if (!layAgain(user, fresh, said, position, shares, kept))
      find("laid another layer than its share makes", peer);
  }
  if (findings.length > 0) return findings;

  const { challenge } = checking;
  const { kernel } = user.tools;
  const { manifest } = fresh.lot;
  const prints = shown.map((each, i) => ({
    point: i + 1,
    bytes: fingerprintOf(each!.shares, challenge, kernel),
  }));
  if (!lieOnPolynomial([...prints, ownLotFingerprint(user, fresh, challenge)], manifest.threshold, kernel)) {
    return [{ peers: [manifest.dealer], did: "dealt shares that do not belong together" }];
  }
  const right = fingerprintOf(kept, challenge, kernel);
  const isHomeRight = eachItem(fresh, (index, of) =>
    equalBytes(bodyDigest(of(kept)), columnAt(said.digestsKept, index)),
  );
  for (const [position, peer] of roster.entries()) {
    const { share, ciphertext } = said.fingerprints[position]!;
    const from = giverOf(said, shown[position]?.received);
    const isKept = position >= said.copies || (ciphertext !== null && equalBytes(ciphertext, right));
    if (from >= 0 && from !== position) {
      find("gave other parts than it signed, or says that it was given them", roster[from]!, peer);
    } else if (!equalBytes(share, prints[position]!.bytes)) {
      find("said something else about its share than it is", peer);
    } else if (!isKept || (position === 0 && !isHomeRight)) {
      find("keeps something else than what it was given makes", peer);
    }
  }
  return findings;
}

interface Shown {
  readonly shares: Uint8Array;
  /** At the keepers: digests of what came from each provider. */
  readonly received: Uint8Array | undefined;
}

/** Undefined when it shows nothing, or not all. */
async function showShares(
  user: CustodyUser,
  { lot }: FreshLot,
  said: SaidInLot,
  position: number,
  signal: AbortSignal,
): Promise<Shown | undefined> {
  const peer = said.roster[position]!;
  const { dealId, lengthBytes } = lot.manifest;
  const key = reportKey(said.ephemeral, agreementKeyOf(user, peer), { point: position + 1, peer }, dealId);
  try {
    const options = { timeoutMs: OPEN_TIMEOUT_MS, signal };
    const channel = await user.transport.open(peer, CUSTODY_PROTOCOL, "testify-lot", { lotId: dealId }, options);
    const release = abortOn(signal, channel);
    try {
      const masked = await receiveWhole(channel, lengthBytes);
      const columnBytes = lot.lengths.length * said.roster.length * DIGEST_BYTES;
      const received = position < said.copies ? await receiveWhole(channel, columnBytes) : undefined;
      return { shares: user.tools.keystream(shareMaskKey(key), 0).xor(masked), received };
    } finally {
      release();
      channel.abort();
    }
  } catch {
    return undefined; // what that means is said above
  }
}

function areDealt(fresh: FreshLot, position: number, shares: Uint8Array): boolean {
  const { manifest, digests } = fresh.lot;
  const point = position + 1;
  return eachItem(fresh, (index, of) => {
    const digest = shareDigest(dealIdInLot(manifest.dealId, index), point, bodyDigest(of(shares)));
    return equalBytes(digest, digestInLot(digests, manifest.shares.length, index, point));
  });
}

/** Lays the layers of one provider on top of `kept`, and says whether they are the ones that it signed. */
function layAgain(
  user: CustodyUser,
  fresh: FreshLot,
  { roster, ephemeral, roundHashes, digestsOut }: SaidInLot,
  position: number,
  shares: Uint8Array,
  kept: Uint8Array,
): boolean {
  const { kernel, keystream } = user.tools;
  const peer = roster[position]!;
  const point = position + 1;
  const { dealId } = fresh.lot.manifest;
  const lotKey = maskKey(ephemeral, agreementKeyOf(user, peer), { point, peer }, dealId);
  const coefficient = lagrangeCoefficients([...roster.keys(), roster.length].map((each) => each + 1))[position]!;
  return eachItem(fresh, (index, of) => {
    const share = of(shares);
    const part = keystream(maskKeyInLot(lotKey, roundHashes[index]!), 0).xor(new Uint8Array(share.length));
    kernel.addScaled(part, share, coefficient);
    kernel.addScaled(of(kept), part, 1);
    return equalBytes(bodyDigest(part), columnAt(digestsOut, index * roster.length + position));
  });
}

/** Whether it is so for all deposits; all of them are looked at. @param check gets what takes the part of the deposit out of all bytes */
function eachItem(
  { lot }: FreshLot,
  check: (index: number, of: (bytes: Uint8Array) => Uint8Array) => boolean,
): boolean {
  const results = lot.lengths.map((lengthBytes, index) => {
    const start = lot.offsets[index]!;
    return check(index, (bytes) => bytes.subarray(start, start + lengthBytes));
  });
  return results.every((isSo) => isSo);
}

/** The position of whose part a keeper says that it received is not the one that was signed; -1 when all are. */
function giverOf({ roster, digestsOut }: SaidInLot, received: Uint8Array | undefined): number {
  if (received === undefined) return -1;
  for (let at = 0; at * DIGEST_BYTES < digestsOut.length; at += 1) {
    if (!equalBytes(columnAt(received, at), columnAt(digestsOut, at))) return at % roster.length;
  }
  return -1;
}
