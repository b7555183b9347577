/**
 * Who lied in a deposit whose fingerprints do not fit. Everybody shows us its share, and we do all layers again, in step: the first that did
 * something else than it should is found by what it signed. Nothing of the deposit was closed, so nothing that depends on these shares is kept.
 */
import { createBlockDigester, digestOfBlocks } from "../../crypto/block-digest.ts";
import { equalBytes } from "../../crypto/digest.ts";
import { wipe } from "../../crypto/release.ts";
import type { FreshDeal } from "../../dealing/client.ts";
import { coefficientOf } from "../../rounds/descriptor.ts";
import { type ExactReader, exactReader } from "../../rounds/exact-reader.ts";
import { createFingerprinter } from "../../rounds/fingerprint.ts";
import { lieOnPolynomial } from "../../rounds/interpolate.ts";
import { layer } from "../../rounds/layer.ts";
import { maskKey, reportKey, shareMaskKey } from "../../rounds/masks.ts";
import { shareDigest } from "../../rounds/share.ts";
import { readKeeping, readLink } from "../../tokens/link.ts";
import { IntercloudError } from "../../wire/errors.ts";
import type { Channel, PeerName } from "../../wire/transport.ts";
import { abortOn } from "../abort-on.ts";
import { CUSTODY_PROTOCOL, OPEN_TIMEOUT_MS } from "../constants.ts";
import type { Fingerprints, Received } from "../messages.ts";
import { type Checking, ownFingerprint } from "./check-layers.ts";
import { keysOf, type Offer } from "./offer.ts";
import type { CustodyUser } from "./user.ts";

/** What all providers signed and said, in point order. */
export interface SaidInDeposit {
  readonly links: readonly Uint8Array[];
  readonly keeping: Uint8Array;
  readonly fingerprints: readonly Fingerprints[];
  /** What the keepers of a short deposit besides home say that they added up. */
  readonly received: readonly (Received | null)[];
}

export interface Finding {
  /** One of these; two when the word of one is against the other's. */
  readonly peers: readonly PeerName[];
  /** What it did, in plain words after its name. */
  readonly did: string;
}

/** @param message what is layered, from its start again */
export async function findLiar(
  user: CustodyUser,
  offer: Offer,
  deal: FreshDeal,
  checking: Checking,
  said: SaidInDeposit,
  message: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<Finding[]> {
  const shown = await openShares(user, offer, signal);
  try {
    const again = await doAgain(user, offer, deal, checking, message, shown);
    return await judge(user, offer, deal, checking, said, again);
  } finally {
    for (const each of shown) each.close();
  }
}

/** The spoilt deposit, as an error that names who spoilt it. */
export function spoilt(user: CustodyUser, findings: readonly Finding[]): IntercloudError {
  const { directory } = user;
  const texts = findings.map(({ peers, did }) => `${peers.map((peer) => directory.nameOf(peer)).join(" or ")} ${did}`);
  const why = texts.length > 0 ? texts.join("; ") : "nobody could be found who did it";
  const peers = findings.flatMap((finding) => finding.peers);
  const names = peers.filter((peer) => directory.providers.includes(peer)).map((peer) => directory.nameOf(peer));
  const hint =
    names.length > 0
      ? `without them (${[...new Set(names)].map((name) => `--without ${name}`).join(" ")})`
      : "with another dealer";
  const message = `the message could not have been read back: ${why}. Nothing was kept; put it again ${hint}`;
  return new IntercloudError("DEPOSIT_SPOILT", "integrity", message, { peers });
}

/** A share that is being shown, under a mask that is taken off here. */
interface ShownShare {
  /** Undefined as soon as there is no more of it. */
  next(lengthBytes: number): Promise<Uint8Array | undefined>;
  close(): void;
}

async function openShares(user: CustodyUser, { terms, ephemeral }: Offer, signal: AbortSignal): Promise<ShownShare[]> {
  const keys = keysOf(user, terms, ephemeral, reportKey);
  const options = { timeoutMs: OPEN_TIMEOUT_MS, signal };
  const { tokenId, roster, descriptor } = terms;
  return await Promise.all(
    roster.map(async (peer, i) => {
      const mask = user.tools.keystream(shareMaskKey(keys[i]!), 0);
      let reader: ExactReader | undefined;
      let channel: Channel | undefined;
      let release = () => {};
      try {
        channel = await user.transport.open(peer, CUSTODY_PROTOCOL, "testify", { tokenId }, options);
        release = abortOn(signal, channel);
        reader = exactReader(channel.receiveBody({ lengthBytes: descriptor.lengthBytes }));
      } catch {
        // It shows nothing: what that means is said at the end.
      }
      return {
        async next(lengthBytes) {
          try {
            const bytes = await reader?.read(lengthBytes);
            return bytes && mask.xor(bytes);
          } catch {
            signal.throwIfAborted();
            reader = undefined;
            return undefined;
          }
        },
        close() {
          release();
          channel?.abort();
        },
      };
    }),
  );
}

/** What each provider should have done, by the share that it showed. */
interface DoneAgain {
  /** In point order; undefined for a provider that did not show all of its share. */
  readonly shares: readonly ({ readonly digest: Uint8Array; readonly fingerprint: Uint8Array } | undefined)[];
  /** Digest of what should have gone out; undefined when it cannot be known. */
  readonly digestsOut: readonly (Uint8Array | undefined)[];
  /** Digest of the ciphertext, and its fingerprint. */
  readonly kept: { readonly digest: Uint8Array; readonly fingerprint: Uint8Array } | undefined;
}

async function doAgain(
  user: CustodyUser,
  { terms, ephemeral }: Offer,
  { userSeed }: FreshDeal,
  { challenge }: Checking,
  message: AsyncIterable<Uint8Array>,
  shown: readonly ShownShare[],
): Promise<DoneAgain> {
  const { descriptor, token } = terms;
  const { kernel, keystream } = user.tools;
  const point = terms.roster.length + 1;
  const own = {
    share: { point, seed: userSeed, correction: undefined },
    coefficient: coefficientOf(descriptor, point),
  };
  const fromUs = layer({
    ...user.tools,
    share: own,
    maskKeys: keysOf(user, terms, ephemeral, maskKey),
    offsetBytes: 0,
  });
  const fingerprinter = () => createFingerprinter(challenge, descriptor.lengthBytes, kernel);
  const members = keysOf(user, terms, ephemeral, maskKey).map((key, i) => ({
    mask: keystream(key, 0),
    coefficient: coefficientOf(descriptor, i + 1),
    shown: shown[i]!,
    share: { digester: createBlockDigester(), fingerprinter: fingerprinter() },
    out: createBlockDigester(),
    isShown: true,
    isOutKnown: true,
  }));
  const kept = { digester: createBlockDigester(), fingerprinter: fingerprinter() };
  for await (const passing of fromUs(message)) {
    let isPassingKnown = true;
    for (const member of members) {
      const share = member.isShown ? await member.shown.next(passing.length) : undefined;
      member.isShown = share !== undefined;
      const bytes = member.mask.xor(new Uint8Array(passing.length));
      if (share !== undefined) {
        member.share.digester.add(share);
        member.share.fingerprinter.add(share);
        kernel.addScaled(bytes, share, member.coefficient);
        wipe(share);
      }
      kernel.addScaled(passing, bytes, 1);
      isPassingKnown &&= member.isShown;
      member.isOutKnown &&= token.route === "chain" ? isPassingKnown : member.isShown;
      member.out.add(token.route === "chain" ? passing : bytes);
    }
    kept.digester.add(passing);
    kept.fingerprinter.add(passing);
  }
  return {
    shares: members.map(({ isShown, share }) =>
      isShown
        ? { digest: digestOfBlocks(share.digester.blockDigests()), fingerprint: share.fingerprinter.fingerprint() }
        : undefined,
    ),
    digestsOut: members.map(({ isOutKnown, out }) => (isOutKnown ? digestOfBlocks(out.blockDigests()) : undefined)),
    kept: members.every(({ isShown }) => isShown)
      ? { digest: digestOfBlocks(kept.digester.blockDigests()), fingerprint: kept.fingerprinter.fingerprint() }
      : undefined,
  };
}

async function judge(
  user: CustodyUser,
  { terms }: Offer,
  deal: FreshDeal,
  { challenge }: Checking,
  said: SaidInDeposit,
  { shares, digestsOut, kept }: DoneAgain,
): Promise<Finding[]> {
  const { roster, manifest, token } = terms;
  const findings: Finding[] = [];
  const isDealt = shares.map((share, i) => {
    const entry = manifest.shares[i]!;
    return share !== undefined && equalBytes(shareDigest(manifest.dealId, entry.point, share.digest), entry.digest);
  });
  const find = (did: string, ...peers: readonly PeerName[]) => void findings.push({ peers, did });
  const sent = said.links.map((link) => readLink(link).statement.digestOut);
  for (const [i, peer] of roster.entries()) {
    const expected = digestsOut[i];
    if (shares[i] === undefined) find("did not show what it did", peer);
    else if (!isDealt[i]) find("has another share than the dealer signed", peer);
    else if (expected !== undefined && !equalBytes(expected, sent[i]!))
      find("laid another layer than its share makes", peer);
    else continue;
    // What follows in the chain went on from there, and cannot be told from here.
    if (token.route === "chain") break;
  }
  if (findings.length > 0) return findings;

  const prints = shares.map((share, i) => ({ point: i + 1, bytes: share!.fingerprint }));
  const own = await ownFingerprint(user, terms, deal, challenge);
  if (!lieOnPolynomial([...prints, own], token.threshold, user.tools.kernel)) {
    find("dealt shares that do not belong together", manifest.dealer);
    return findings;
  }
  const { digestKept } = readKeeping(said.keeping).statement;
  const isHomeWrong = !equalBytes(kept!.digest, digestKept);
  const isShort = said.received.some((received) => received !== null);
  for (const [i, peer] of roster.entries()) {
    const { share, ciphertext } = said.fingerprints[i]!;
    const from = giverOf(said.received[i], sent);
    const isKept = i >= token.copies || (ciphertext !== null && equalBytes(ciphertext, kept!.fingerprint));
    if (from >= 0 && from !== i) {
      find("gave another part than it signed, or says that it was given one", roster[from]!, peer);
    } else if (!equalBytes(share, shares[i]!.fingerprint)) {
      find("said something else about its share than it is", peer);
    } else if (i === 0 ? isHomeWrong || !isKept : !isKept && (isShort || !isHomeWrong)) {
      // The other keepers of a long deposit have their copies from home.
      find("keeps something else than what it was given makes", peer);
    }
  }
  return findings;
}

/** The position of whose part a keeper says that it received is not the one that was signed; -1 when all are. */
function giverOf(received: Received | null | undefined, sent: readonly Uint8Array[]): number {
  if (received == null) return -1;
  return sent.findIndex((digest, from) => !equalBytes(received.digestsReceived[from] ?? EMPTY, digest));
}

const EMPTY = new Uint8Array();
