/** What the receipts of a destroyed deposit say, in plain data. Needs no network and no home. */
import { isUnrecoverable, neededToDestroy, readReceipts } from "../protocols/custody/destroyed.ts";
import type { Token } from "../protocols/tokens/token.ts";
import { formatTokenText } from "../protocols/tokens/token-text.ts";
import type { PeerName } from "../protocols/wire/transport.ts";
import type { Members, MembershipLine } from "./proof-report.ts";

export interface ReceiptReport {
  /** What the federation calls it; null when no federation file is at hand, or it is not in it. */
  readonly provider: string | null;
  /** Null when the receipt cannot be read. */
  readonly peer: PeerName | null;
  /** What was there and is gone. */
  readonly share: boolean;
  readonly ciphertext: boolean;
  /** It goes with the ciphertext. */
  readonly envelope: boolean;
  /** ISO 8601. */
  readonly time: string | null;
  readonly valid: boolean;
  readonly problem?: string;
}

export interface ReceiptsReport {
  /** Every receipt holds, and nobody in the deposit is a stranger to the federation (when that is known). */
  readonly valid: boolean;
  readonly token: string;
  readonly tokenId: string;
  readonly owner: string;
  readonly providers: number;
  readonly threshold: number;
  readonly protocol: Token["protocol"];
  /** Providers with a receipt that holds. */
  readonly destroyed: number;
  /** n-t+1. With Protocol 2 the user's own share must be gone, too; with Protocol 1 all that keep the ciphertext. */
  readonly needed: number;
  /** Whether so many providers did it that the others are fewer than are needed to read it. */
  readonly unrecoverable: boolean;
  readonly receipts: readonly ReceiptReport[];
  /** Providers without a receipt that holds; by name where it is known. */
  readonly missing: readonly string[];
  /** Null when there is no federation file to hold it against. */
  readonly federation: MembershipLine | null;
}

/** @throws IntercloudError RECEIPTS_BROKEN when they are of no deposit. */
export function reportReceipts(bytes: Uint8Array, members: Members | undefined): ReceiptsReport {
  const checked = readReceipts(bytes);
  const { token, tokenId, roster, threshold, receipts } = checked;
  const nameOf = (peer: PeerName) => (members?.providers.includes(peer) ? members.nameOf(peer) : null);
  const lines = receipts.map(({ receipt, problem }): ReceiptReport => {
    return {
      provider: receipt === undefined ? null : nameOf(receipt.peer),
      peer: receipt?.peer ?? null,
      share: receipt?.removed.share === true,
      ciphertext: receipt?.removed.ciphertext === true,
      envelope: token.policy.form === "envelope" && receipt?.removed.ciphertext === true,
      time: receipt === undefined ? null : new Date(receipt.timeMs).toISOString(),
      valid: problem === undefined,
      ...(problem === undefined ? {} : { problem }),
    };
  });
  const good = new Set(lines.filter(({ valid }) => valid).map(({ peer }) => peer ?? ""));
  const strangers = roster.filter((peer) => nameOf(peer) === null);
  const federation = members === undefined ? null : { valid: strangers.length === 0, strangers };
  const needed = neededToDestroy(checked);
  return {
    valid: lines.every(({ valid }) => valid) && federation?.valid !== false,
    token: formatTokenText({ tokenId, home: token.home }),
    tokenId: Buffer.from(tokenId).toString("hex"),
    owner: token.owner,
    providers: roster.length,
    threshold,
    protocol: token.protocol,
    destroyed: good.size,
    needed,
    unrecoverable: isUnrecoverable(checked, good),
    receipts: lines,
    missing: roster.filter((peer) => !good.has(peer)).map((peer) => nameOf(peer) ?? peer),
    federation,
  };
}
