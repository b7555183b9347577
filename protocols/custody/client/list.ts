/** An identity's deposits and those that others let it read, as the providers tell them: the union of all their answers. */
import { decodeToken, type Token, tokenIdOf } from "../../tokens/token.ts";
import { formatTokenText } from "../../tokens/token-text.ts";
import type { CborValue } from "../../wire/codec.ts";
import { IntercloudError } from "../../wire/errors.ts";
import { parseShape } from "../../wire/shape.ts";
import type { PeerName } from "../../wire/transport.ts";
import { ASK_TIMEOUT_MS, CUSTODY_PROTOCOL } from "../constants.ts";
import type { GrantTerms } from "../grants.ts";
import { grantedAnswerShape, listAnswerShape } from "../messages.ts";
import type { Failure } from "./ask-all.ts";
import { clockError } from "./clock-error.ts";
import { type CustodyUser, notEnough, signedRequest } from "./user.ts";

export interface ListedDeposit {
  readonly tokenText: string;
  readonly token: Token;
  /** How long its envelope is; null when it has none. */
  readonly envelopeBytes: number | null;
  /** What its owner lets us do with it; null when it is ours. */
  readonly grant: GrantTerms | null;
}

export interface Listing {
  /** Oldest first. */
  readonly deposits: readonly ListedDeposit[];
  /** Providers that did not answer; deposits that only they know are missing. */
  readonly missing: readonly PeerName[];
}

/** @throws IntercloudError NOT_ENOUGH_PROVIDERS when nobody answered. */
export async function listDeposits(user: CustodyUser, signal: AbortSignal): Promise<Listing> {
  const found = new Map<string, Entry>();
  const failures: Failure[] = [];
  await Promise.all(
    user.directory.providers.map(async (peer) => {
      try {
        for (const method of ["list", "granted"] as const) {
          for await (const entry of entriesAt(user, peer, method, signal)) {
            const { tokenText } = entry.deposit;
            const known = found.get(tokenText);
            // A provider that missed a change of the grants tells what was before.
            if (known === undefined || entry.version > known.version) found.set(tokenText, entry);
          }
        }
      } catch (error) {
        failures.push({ peer, error });
      }
    }),
  );
  signal.throwIfAborted();
  const missing = failures.map(({ peer }) => peer);
  if (missing.length === user.directory.providers.length) {
    throw (await clockError(user, failures, signal)) ?? notEnough(user, 0, 1, missing, failures[0]?.error);
  }
  const deposits = [...found.values()].map(({ deposit }) => deposit);
  return { deposits: deposits.sort((a, b) => a.token.createdAtMs - b.token.createdAtMs), missing };
}

interface Entry {
  readonly deposit: ListedDeposit;
  /** Of the list of grants that it is by; 0 for our own. */
  readonly version: number;
}

interface Page {
  readonly lines: readonly {
    readonly token: Uint8Array;
    readonly envelopeBytes: number | null;
    readonly grant: GrantTerms | null;
    readonly version: number;
  }[];
  readonly more: boolean;
}

/** Pages of one provider that we read: two million deposits, and an end to one that makes them up. */
const MAX_PAGES = 10_000;

async function* entriesAt(
  user: CustodyUser,
  peer: PeerName,
  method: "list" | "granted",
  signal: AbortSignal,
): AsyncIterable<Entry> {
  let after: Uint8Array | null = null;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const request = signedRequest(user, "read", { after, provider: peer });
    const options = { timeoutMs: ASK_TIMEOUT_MS, signal };
    const answer = await user.transport.ask(peer, CUSTODY_PROTOCOL, method, { request }, options);
    const { lines, more } = method === "list" ? ownPage(answer) : grantedPage(answer);
    for (const { token: bytes, envelopeBytes, grant, version } of lines) {
      const token = decodeToken(bytes);
      const tokenId = tokenIdOf(bytes);
      if (after !== null && Buffer.compare(tokenId, after) <= 0) throw endless(peer);
      after = tokenId;
      const isOurs = token.owner === user.session.identity;
      if (isOurs !== (method === "list")) continue;
      const tokenText = formatTokenText({ tokenId, home: token.home });
      yield { deposit: { tokenText, token, envelopeBytes, grant }, version };
    }
    if (!more || lines.length === 0) return;
  }
  throw endless(peer);
}

function ownPage(answer: CborValue): Page {
  const { deposits, more } = parseShape(listAnswerShape, answer, "list");
  return { lines: deposits.map((each) => ({ ...each, grant: null, version: 0 })), more };
}

function grantedPage(answer: CborValue): Page {
  const { deposits, more } = parseShape(grantedAnswerShape, answer, "granted");
  return { lines: deposits, more };
}

function endless(peer: PeerName): IntercloudError {
  const message = "a provider lists deposits out of order or without end";
  return new IntercloudError("BAD_LISTING", "integrity", message, { peers: [peer] });
}
