/**
 * Who lied, when the answers of a round add up to something wrong. Every member gives account of its share; the share is held against
 * what the dealer signed, and the answer against what the share makes. A member that gives no account is judged by the share that the
 * others' shares make of it. When all of them answered right, the shares themselves are held against each other.
 */
import { blockDigestsOf, bodyDigest, DIGEST_BLOCK_BYTES, digestOfBlocks } from "../../crypto/block-digest.ts";
import { equalBytes } from "../../crypto/digest.ts";
import { agreementKeyFromSeed } from "../../crypto/key-agreement.ts";
import { coefficientOf, type RoundMember } from "../../rounds/descriptor.ts";
import { interpolate, lieOnPolynomial } from "../../rounds/interpolate.ts";
import { maskKey } from "../../rounds/masks.ts";
import { shareDigest } from "../../rounds/share.ts";
import { IntercloudError } from "../../wire/errors.ts";
import type { PeerName } from "../../wire/transport.ts";
import { type Excerpt, rangeOf } from "../account.ts";
import { type Evidence, encodeEvidence, isShareOf } from "../evidence.ts";
import type { Placement } from "../placement.ts";
import { type Accounted, askAccount, type Range } from "./ask-account.ts";
import type { Located, RoundRecord } from "./round.ts";
import { agreementKeyOf, type CustodyUser } from "./user.ts";

export interface Accusation {
  readonly accused: PeerName;
  readonly kind: Evidence["kind"];
  /** It lost the ciphertext; its share is good. */
  readonly hasShare: boolean;
  /** What `verifyEvidence` checks. */
  readonly evidence: Uint8Array;
}

export interface Blame {
  readonly accusations: readonly Accusation[];
  /** Members that gave no account, and that nothing can be proved against. */
  readonly silent: readonly PeerName[];
}

/** @param proof the deposit's, for the evidence @param round one by the fanout route, whose last block was wrong */
export async function blame(
  user: CustodyUser,
  located: Located,
  proof: Uint8Array,
  round: RoundRecord,
  signal: AbortSignal,
): Promise<Blame> {
  const trial = { user, located, proof, round, signal, range: rangeOfRound(round) };
  const accounts = await accountsOf(
    trial,
    round.descriptor.members.map(({ peer }) => peer),
  );
  const accusations: Accusation[] = [];
  const silent: RoundMember[] = [];
  for (const member of round.descriptor.members) {
    const account = accounts.get(member.peer);
    const found = account === undefined ? undefined : judge(trial, member, account);
    if (found !== undefined) accusations.push(found);
    if (account === undefined) silent.push(member);
  }
  if (silent.length === 0 && accusations.length > 0) return { accusations, silent: [] };
  // Whoever says nothing, and a deal that is wrong, are found out with the help of the others.
  const others = located.placement.roster.filter((peer) => !accounts.has(peer));
  for (const [peer, account] of await accountsOf(trial, others)) accounts.set(peer, account);
  const good = goodShares(located.placement, accounts);
  const stillSilent: PeerName[] = [];
  for (const member of silent) {
    const found = judgeSilent(trial, member, good, accounts);
    if (found === undefined) stillSilent.push(member.peer);
    else accusations.push(found);
  }
  if (accusations.length === 0) {
    const deal = judgeDeal(trial, good);
    if (deal !== undefined) accusations.push(deal);
  }
  return { accusations, silent: stillSilent };
}

interface Trial {
  readonly user: CustodyUser;
  readonly located: Located;
  readonly proof: Uint8Array;
  readonly round: RoundRecord;
  readonly range: Range;
  readonly signal: AbortSignal;
}

interface PointedShare {
  readonly point: number;
  readonly excerpt: Excerpt;
}

function rangeOfRound({ answers }: RoundRecord): Range {
  const [answer] = answers.values();
  if (answer === undefined) throw new IntercloudError("NO_ANSWERS", "internal", "there is no wrong block to judge");
  return { offsetBytes: answer.offsetBytes, lengthBytes: answer.lengthBytes };
}

async function accountsOf(
  { user, located, range, signal }: Trial,
  peers: readonly PeerName[],
): Promise<Map<PeerName, Accounted>> {
  const accounts = new Map<PeerName, Accounted>();
  await Promise.all(
    peers.map(async (peer) => {
      try {
        accounts.set(peer, await askAccount(user, located, peer, range, signal));
      } catch {
        // It gives none: what that means is for the caller to say.
      }
    }),
  );
  signal.throwIfAborted();
  return accounts;
}

/** A member that gave account. Undefined when nothing is wrong with it. */
function judge(trial: Trial, member: RoundMember, account: Accounted): Accusation | undefined {
  const { placement } = trial.located;
  const { said, share, ciphertext } = account;
  const accuse = (kind: "lost" | "wrong-share" | "wrong-ciphertext") =>
    accusation({ kind, version: 1, proof: trial.proof, accused: member.peer, account: account.bytes });
  const isFirst = trial.round.descriptor.members[0]?.peer === member.peer;
  if (share === undefined) return accuse("lost");
  if (isFirst && ciphertext === undefined && isShareOf(share, member.point, placement)) {
    return { ...accuse("lost"), hasShare: true };
  }
  if (!isShareOf(share, member.point, placement)) return accuse("wrong-share");
  const { kept } = placement;
  const wrong =
    said.ciphertextDigest !== null && kept !== undefined && !equalBytes(said.ciphertextDigest, kept.ciphertextDigest);
  if (isFirst && wrong) return accuse("wrong-ciphertext");
  return judgeAnswer(trial, member, share, isFirst ? ciphertext : undefined);
}

/** Whether the member's answer is what its share (and the ciphertext) makes. */
function judgeAnswer(
  { user, round, range, proof }: Trial,
  member: RoundMember,
  share: Excerpt,
  ciphertext: Excerpt | undefined,
): Accusation | undefined {
  const { descriptor, roundHash, secret, answers, request } = round;
  const answer = answers.get(member.peer);
  if (answer === undefined) return undefined;
  const { offsetBytes, lengthBytes } = range;
  const key = maskKey(agreementKeyFromSeed(secret), agreementKeyOf(user, member.peer), member, roundHash);
  const expected = user.tools.keystream(key, offsetBytes).xor(new Uint8Array(lengthBytes));
  const coefficient = coefficientOf(descriptor, member.point);
  user.tools.kernel.addScaled(expected, rangeOf(share, offsetBytes, lengthBytes), coefficient);
  if (ciphertext !== undefined) user.tools.kernel.addScaled(expected, rangeOf(ciphertext, offsetBytes, lengthBytes), 1);
  if (equalBytes(bodyDigest(expected), answer.digest)) return undefined;
  const { digest, signature } = answer;
  return accusation({
    ...{ kind: "wrong-answer", version: 1, proof, accused: member.peer, request, offsetBytes, lengthBytes },
    ...{ digest, signature, secret: new Uint8Array(secret), share, ciphertext: ciphertext ?? null },
  });
}

/** Shares that are as the dealer signed them. */
function goodShares(placement: Placement, accounts: ReadonlyMap<PeerName, Accounted>): PointedShare[] {
  return placement.roster.flatMap((peer, i) => {
    const excerpt = accounts.get(peer)?.share;
    return excerpt !== undefined && isShareOf(excerpt, i + 1, placement) ? [{ point: i + 1, excerpt }] : [];
  });
}

/** Its share is made from t good ones, if that can be shown to be its share: when all of it is one block. */
function judgeSilent(
  trial: Trial,
  member: RoundMember,
  good: readonly PointedShare[],
  accounts: ReadonlyMap<PeerName, Accounted>,
): Accusation | undefined {
  const { manifest } = trial.located.placement;
  if (manifest.lengthBytes > DIGEST_BLOCK_BYTES || good.length < manifest.threshold) return undefined;
  const base = good.slice(0, manifest.threshold).map(({ point, excerpt }) => ({ point, bytes: excerpt.content }));
  const content = interpolate(base, member.point, trial.user.tools.kernel);
  const blockDigests = blockDigestsOf(content);
  const entry = manifest.shares[member.point - 1];
  const digest = shareDigest(manifest.dealId, member.point, digestOfBlocks(blockDigests));
  if (entry === undefined || !equalBytes(digest, entry.digest)) return undefined;
  const isFirst = trial.round.descriptor.members[0]?.peer === member.peer;
  const ciphertext = isFirst ? goodCiphertext(trial.located.placement, accounts) : undefined;
  if (isFirst && ciphertext === undefined) return undefined;
  return judgeAnswer(trial, member, { blockDigests, firstBlock: 0, content }, ciphertext);
}

function goodCiphertext({ kept }: Placement, accounts: ReadonlyMap<PeerName, Accounted>): Excerpt | undefined {
  for (const { said, ciphertext } of accounts.values()) {
    const good =
      said.ciphertextDigest !== null && kept !== undefined && equalBytes(said.ciphertextDigest, kept.ciphertextDigest);
    if (good && ciphertext !== undefined) return ciphertext;
  }
  return undefined;
}

/** More than t shares that the dealer signed, and that disagree. */
function judgeDeal({ user, located, proof }: Trial, good: readonly PointedShare[]): Accusation | undefined {
  const { threshold, dealer } = located.placement.manifest;
  const base = good.slice(0, threshold);
  for (const other of good.slice(threshold)) {
    const shares = [...base, other];
    const plain = shares.map(({ point, excerpt }) => ({ point, bytes: excerpt.content }));
    if (lieOnPolynomial(plain, threshold, user.tools.kernel)) continue;
    return accusation({ kind: "wrong-deal", version: 1, proof, accused: dealer, shares });
  }
  return undefined;
}

function accusation(evidence: Evidence): Accusation {
  return { accused: evidence.accused, kind: evidence.kind, hasShare: false, evidence: encodeEvidence(evidence) };
}
