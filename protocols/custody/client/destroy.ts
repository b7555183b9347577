/** Destroying a deposit: every provider is asked, and answers with a receipt. n-t+1 of them make the message unrecoverable. */
import type { Token } from "../../tokens/token.ts";
import { formatTokenText, type TokenText } from "../../tokens/token-text.ts";
import type { CborValue } from "../../wire/codec.ts";
import { IntercloudError, type Status } from "../../wire/errors.ts";
import { parseShape } from "../../wire/shape.ts";
import type { PeerName } from "../../wire/transport.ts";
import { ASK_TIMEOUT_MS, SEAL_TIMEOUT_MS } from "../constants.ts";
import { type CheckedDestroyed, encodeReceipts, neededToDestroy } from "../destroyed.ts";
import { destroyedAnswerShape } from "../messages.ts";
import { type Site, siteOf } from "../placement.ts";
import { askAll, type Failure, unread } from "./ask-all.ts";
import { clockError } from "./clock-error.ts";
import { readDestroyedAt } from "./destroyed.ts";
import { findDeposit } from "./find-proof.ts";
import { type CustodyUser, notEnough, signedRequest } from "./user.ts";

export interface Destruction {
  readonly tokenText: string;
  readonly tokenId: Uint8Array;
  readonly token: Token;
  /** The providers in point order. */
  readonly roster: readonly PeerName[];
  /** One for each provider that did it, now or earlier. */
  readonly destroyed: readonly CheckedDestroyed[];
  /** Those that gave no good receipt. */
  readonly missing: readonly PeerName[];
  /** n-t+1. */
  readonly needed: number;
  /** What `verify` checks offline; worth keeping. */
  readonly receipts: Uint8Array;
}

/**
 * Resolves when at least one provider did it, because that cannot be taken back: the caller looks at how many did.
 * @throws IntercloudError NO_SUCH_DEPOSIT, NOT_THE_OWNER, REQUEST_EXPIRED, NOT_ENOUGH_PROVIDERS; nothing was destroyed then.
 */
export async function destroy(user: CustodyUser, text: TokenText, signal: AbortSignal): Promise<Destruction> {
  const { tokenId } = text;
  const site = await siteOfText(user, text, signal);
  const { token, roster } = site;
  if (token.owner !== user.session.identity) {
    const message = "only the owner can destroy a deposit; use the home of the identity that owns it";
    throw new IntercloudError("NOT_THE_OWNER", "refused", message);
  }
  const request = signedRequest(user, "destroy", { tokenId });
  const options = { timeoutMs: SEAL_TIMEOUT_MS, signal };
  // One that missed a move still has what it had before: not needed for the count, and gone all the same.
  const elsewhere = user.directory.providers.filter((peer) => !roster.includes(peer));
  const receiptOf = (answer: CborValue, peer: PeerName) =>
    readDestroyedAt(peer, tokenId, parseShape(destroyedAnswerShape, answer, "destroy").destroyed);
  const [{ answers, failures }] = await Promise.all([
    askAll(user, roster, "destroy", { request }, options, receiptOf),
    askAll(user, elsewhere, "destroy", { request }, { timeoutMs: ASK_TIMEOUT_MS, signal }, unread),
  ]);
  const destroyed = roster.flatMap((peer) => answers.get(peer) ?? []);
  const needed = neededToDestroy(site);
  if (destroyed.length === 0) {
    signal.throwIfAborted();
    throw await nothingDestroyed(user, roster, needed, failures, signal);
  }
  const signers = new Set(destroyed.map(({ receipt }) => receipt.peer));
  const missing = roster.filter((peer) => !signers.has(peer));
  const tokenText = formatTokenText({ tokenId, home: token.home });
  return { tokenText, tokenId, token, roster, destroyed, missing, needed, receipts: encodeReceipts(destroyed) };
}

/** From a provider that still has it, or from one that destroyed it before. */
async function siteOfText(user: CustodyUser, text: TokenText, signal: AbortSignal): Promise<Site> {
  const deposit = await findDeposit(user, text, signal);
  if (deposit.kind === "destroyed") return deposit.destroyed[0]!;
  const { terms, placement } = deposit.found.proof;
  return siteOf(terms, placement);
}

/** The failure that says most; that somebody is away says least. */
const MOST_TELLING: readonly Status[] = ["integrity", "refused", "full"];

async function nothingDestroyed(
  user: CustodyUser,
  roster: readonly PeerName[],
  needed: number,
  failures: readonly Failure[],
  signal: AbortSignal,
): Promise<unknown> {
  const telling = MOST_TELLING.map((status) => failures.find(({ error }) => statusOf(error) === status));
  return (
    (await clockError(user, failures, signal)) ??
    telling.find((failure) => failure !== undefined)?.error ??
    notEnough(user, 0, needed, roster, failures[0]?.error)
  );
}

function statusOf(error: unknown): Status | undefined {
  return error instanceof IntercloudError ? error.status : undefined;
}
