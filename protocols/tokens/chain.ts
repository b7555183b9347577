/**
 * Checking a chain and naming where it breaks. Nobody has to be trusted for it: the links are signed, and what one side says
 * went out must be what the other says came in. `out_i = in_{i+1}` in the chain route; in the fanout route nothing comes in
 * and home says what it received from each.
 */
import { bodyDigest } from "../crypto/block-digest.ts";
import { equalBytes } from "../crypto/digest.ts";
import { peerIdentity } from "../crypto/peer-name.ts";
import type { Route } from "../rounds/descriptor.ts";
import type { PeerName } from "../wire/transport.ts";
import { type Keeping, type Link, readKeeping, readLink, type SignedStatement } from "./link.ts";

export const EMPTY_DIGEST: Uint8Array = bodyDigest(new Uint8Array());

/** What the chain of a deposit has to fit to. */
export interface ChainExpectation {
  readonly tokenId: Uint8Array;
  readonly manifestDigest: Uint8Array;
  /** All providers of the deal, in point order; home first. */
  readonly roster: readonly PeerName[];
  readonly route: Route;
  /** `bodyDigest` of what the owner says it sent to home; undefined while the owner has not said so yet. */
  readonly digestFromOwner: Uint8Array | undefined;
}

export interface LinkReport {
  readonly index: number;
  readonly peer: PeerName;
  readonly link: Link | undefined;
  readonly valid: boolean;
  /** In plain words, when not valid. */
  readonly problem: string | undefined;
}

export interface ChainBreak {
  readonly index: number;
  readonly problem: string;
  /** One of these signed something untrue or altered the chain: one peer, or two when the word of one is against the other's. */
  readonly suspects: readonly PeerName[];
}

export interface ChainReport {
  readonly valid: boolean;
  readonly links: readonly LinkReport[];
  readonly keeping: Keeping | undefined;
  /** The first place where the chain breaks. */
  readonly firstBreak: ChainBreak | undefined;
}

/** Checks links and the closing statement of home. Malformed parts are reported, never thrown. */
export function checkChain(expected: ChainExpectation, links: readonly Uint8Array[], keeping: Uint8Array): ChainReport {
  const read = links.map((bytes) => attempt(() => readLink(bytes)));
  const breaks: ChainBreak[] = [];
  const reports = expected.roster.map((peer, position): LinkReport => {
    const found = linkBreak(expected, read, position);
    if (found !== undefined) breaks.push(found);
    const link = read[position]?.statement;
    return { index: position + 1, peer, link, valid: found === undefined, problem: found?.problem };
  });
  if (links.length > expected.roster.length) {
    breaks.push(breakAt(links.length, "the chain has more links than there are providers", []));
  }
  const kept = attempt(() => readKeeping(keeping));
  const closing = keepingBreak(expected, read, kept);
  if (closing !== undefined) breaks.push(closing);
  return { valid: breaks.length === 0, links: reports, keeping: kept?.statement, firstBreak: breaks[0] };
}

/** Checks the first `count` links alone; what a provider does before it adds its own. Undefined when all is well. */
export function checkLinks(expected: ChainExpectation, links: readonly Uint8Array[]): ChainBreak | undefined {
  const read = links.map((bytes) => attempt(() => readLink(bytes)));
  for (const position of links.keys()) {
    const found = linkBreak(expected, read, position);
    if (found !== undefined) return found;
  }
  return undefined;
}

type ReadLink = SignedStatement<Link> | undefined;

function linkBreak(expected: ChainExpectation, links: readonly ReadLink[], position: number): ChainBreak | undefined {
  const index = position + 1;
  const peer = expected.roster[position];
  const signed = links[position];
  if (peer === undefined) return breakAt(index, "there is no such provider", []);
  if (signed === undefined) return breakAt(index, "the link is missing or malformed", [peer]);
  const link = signed.statement;
  if (link.index !== index || link.peer !== peer || link.identity !== peerIdentity(peer)) {
    return breakAt(index, "the link is not this provider's", [peer]);
  }
  if (!signed.signatureValid) return breakAt(index, "the link's signature is wrong", [peer]);
  if (!equalBytes(link.tokenId, expected.tokenId)) return breakAt(index, "the link is of another deposit", [peer]);
  const before = position === 0 ? expected.manifestDigest : links[position - 1]?.digest;
  if (before === undefined || !equalBytes(link.previous, before)) {
    // In the chain route the one before may have signed two statements; in the fanout route home says what to sign.
    const teller = expected.roster[expected.route === "fanout" ? 0 : position - 1] ?? peer;
    return breakAt(index, "the link does not follow the one before it", [teller, peer]);
  }
  if (expected.route === "fanout") {
    const empty = equalBytes(link.digestIn, EMPTY_DIGEST);
    return empty ? undefined : breakAt(index, "something came in where nothing should", [peer]);
  }
  const sent = position === 0 ? expected.digestFromOwner : links[position - 1]?.statement.digestOut;
  if (sent !== undefined && !equalBytes(link.digestIn, sent)) {
    const before = position === 0 ? "owner" : (expected.roster[position - 1] ?? "");
    return breakAt(index, "what came in is not what the one before it says went out", [before, peer]);
  }
  return undefined;
}

function keepingBreak(
  expected: ChainExpectation,
  links: readonly ReadLink[],
  kept: SignedStatement<Keeping> | undefined,
): ChainBreak | undefined {
  const home = expected.roster[0] ?? "";
  const last = links[expected.roster.length - 1];
  const index = expected.roster.length + 1;
  if (kept === undefined) return breakAt(index, "home's closing statement is missing or malformed", [home]);
  const keeping = kept.statement;
  if (!kept.signatureValid || keeping.peer !== home || !equalBytes(keeping.tokenId, expected.tokenId)) {
    return breakAt(index, "the closing statement is not signed by home for this deposit", [home]);
  }
  if (last === undefined || !equalBytes(keeping.previous, last.digest)) {
    const suspects = expected.route === "fanout" || last === undefined ? [home] : [last.statement.peer, home];
    return breakAt(index, "home's closing statement does not follow the last link", suspects);
  }
  if (expected.digestFromOwner !== undefined && !equalBytes(keeping.digestFromOwner, expected.digestFromOwner)) {
    return breakAt(index, "what home received is not what the owner says it sent", ["owner", home]);
  }
  const sent = expected.route === "chain" ? [last] : links.slice(0, expected.roster.length);
  if (keeping.digestsReceived.length !== sent.length) {
    return breakAt(index, "home's closing statement has the wrong number of digests", [home]);
  }
  for (const [position, link] of sent.entries()) {
    const received = keeping.digestsReceived[position];
    if (link === undefined || received === undefined || equalBytes(received, link.statement.digestOut)) continue;
    return breakAt(index, "what home received is not what the provider says went out", [link.statement.peer, home]);
  }
  if (expected.route === "chain" && !equalBytes(keeping.digestKept, last.statement.digestOut)) {
    return breakAt(index, "home keeps other bytes than it received", [home]);
  }
  return undefined;
}

function breakAt(index: number, problem: string, suspects: readonly PeerName[]): ChainBreak {
  return { index, problem, suspects: [...new Set(suspects)] };
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
