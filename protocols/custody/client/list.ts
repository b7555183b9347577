/** An owner's deposits, as the providers tell them: the union of all their answers. */
import { decodeToken, type Token, tokenIdOf } from "../../tokens/token.ts";
import { formatTokenText } from "../../tokens/token-text.ts";
import { IntercloudError } from "../../wire/errors.ts";
import { parseShape } from "../../wire/shape.ts";
import type { PeerName } from "../../wire/transport.ts";
import { ASK_TIMEOUT_MS, CUSTODY_PROTOCOL } from "../constants.ts";
import { listAnswerShape } from "../messages.ts";
import { type CustodyUser, notEnough, signedRequest } from "./user.ts";

export interface ListedDeposit {
  readonly tokenText: string;
  readonly token: Token;
}

export interface Listing {
  /** Oldest first. */
  readonly deposits: readonly ListedDeposit[];
  /** Providers that did not answer; deposits that only they know are missing. */
  readonly missing: readonly PeerName[];
}

/** @throws IntercloudError NOT_ENOUGH_PROVIDERS when nobody answered. */
export async function listDeposits(user: CustodyUser, signal: AbortSignal): Promise<Listing> {
  const found = new Map<string, ListedDeposit>();
  const failures: { readonly peer: PeerName; readonly error: unknown }[] = [];
  await Promise.all(
    user.directory.providers.map(async (peer) => {
      try {
        for await (const token of tokensAt(user, peer, signal)) {
          const tokenText = formatTokenText({ tokenId: token.tokenId, home: token.token.home });
          found.set(tokenText, { tokenText, token: token.token });
        }
      } catch (error) {
        failures.push({ peer, error });
      }
    }),
  );
  signal.throwIfAborted();
  const missing = failures.map(({ peer }) => peer);
  if (missing.length === user.directory.providers.length) throw notEnough(user, 0, 1, missing, failures[0]?.error);
  const deposits = [...found.values()].sort((a, b) => a.token.createdAtMs - b.token.createdAtMs);
  return { deposits, missing };
}

/** Pages of one provider that we read: two million deposits, and an end to one that makes them up. */
const MAX_PAGES = 10_000;

async function* tokensAt(user: CustodyUser, peer: PeerName, signal: AbortSignal) {
  let after: Uint8Array | null = null;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const request = signedRequest(user, "read", { after, provider: peer });
    const options = { timeoutMs: ASK_TIMEOUT_MS, signal };
    const answer = await user.transport.ask(peer, CUSTODY_PROTOCOL, "list", { request }, options);
    const { tokens, more } = parseShape(listAnswerShape, answer, "list");
    for (const bytes of tokens) {
      const token = decodeToken(bytes);
      const tokenId = tokenIdOf(bytes);
      if (after !== null && Buffer.compare(tokenId, after) <= 0) throw endless(peer);
      after = tokenId;
      if (token.owner === user.session.identity) yield { tokenId, token };
    }
    if (!more || tokens.length === 0) return;
  }
  throw endless(peer);
}

function endless(peer: PeerName): IntercloudError {
  const message = "a provider lists deposits out of order or without end";
  return new IntercloudError("BAD_LISTING", "integrity", message, { peers: [peer] });
}
