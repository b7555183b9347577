/** An owner's deposits, as the providers tell them: the union of all their answers. */
import { decodeToken, type Token, tokenIdOf } from "../../tokens/token.ts";
import { formatTokenText } from "../../tokens/token-text.ts";
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

async function* tokensAt(user: CustodyUser, peer: PeerName, signal: AbortSignal) {
  let after: Uint8Array | null = null;
  for (;;) {
    const request = signedRequest(user, "read", { after, provider: peer });
    const options = { timeoutMs: ASK_TIMEOUT_MS, signal };
    const answer = await user.transport.ask(peer, CUSTODY_PROTOCOL, "list", { request }, options);
    const { tokens, more } = parseShape(listAnswerShape, answer, "list");
    for (const bytes of tokens) {
      const token = decodeToken(bytes);
      if (token.owner === user.session.identity) yield { tokenId: tokenIdOf(bytes), token };
    }
    const last = tokens.at(-1);
    if (!more || last === undefined) return;
    after = tokenIdOf(last);
  }
}
