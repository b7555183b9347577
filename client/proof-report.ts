/** What a proof of a deposit says, in plain data: for `verify`, `trace`, and for programs. Needs no network and no home. */
import { equalBytes } from "../protocols/crypto/digest.ts";
import { type DealtBy, dealtBy } from "../protocols/custody/dealers.ts";
import { type CheckedProof, readProof } from "../protocols/custody/proof.ts";
import { messageBytesIn } from "../protocols/envelope/index.ts";
import type { Token } from "../protocols/tokens/token.ts";
import { formatTokenText } from "../protocols/tokens/token-text.ts";
import type { PeerName } from "../protocols/wire/transport.ts";

export interface LinkLine {
  readonly index: number;
  /** What the federation calls it; null when no federation file is at hand or it is not in it. */
  readonly provider: string | null;
  readonly peer: PeerName;
  readonly identity: string | null;
  /** SHA-256, hex; null when the link cannot be read. */
  readonly digestIn: string | null;
  readonly digestOut: string | null;
  /** ISO 8601. */
  readonly time: string | null;
  readonly valid: boolean;
  readonly problem?: string;
}

export interface Suspect {
  readonly provider: string | null;
  /** A peer's name, or `owner`. */
  readonly peer: string;
}

export interface BreakLine {
  readonly index: number;
  readonly problem: string;
  readonly suspects: readonly Suspect[];
  /** What the two sides of the break signed; empty when the break is not about bytes. */
  readonly signed: readonly { readonly by: Suspect; readonly says: string; readonly digest: string }[];
}

export interface MembershipLine {
  /** Whether the dealer (unless it is the owner itself) and every provider are in the federation file; for receipts, every provider. */
  readonly valid: boolean;
  readonly strangers: readonly PeerName[];
}

/** Where a deposit is now. */
export interface PlaceLine {
  /** 0 as deposited; each refresh or move makes the next. */
  readonly generation: number;
  readonly home: string;
  /** In point order. */
  readonly providers: readonly string[];
  readonly threshold: number;
  readonly copies: number;
  readonly dealtBy: DealtBy;
  /** ISO 8601: when the new home signed for it; null for generation 0. */
  readonly changed: string | null;
}

export interface ProofReport {
  /** Every signature holds, the chain is whole, and nobody in it is a stranger to the federation (when that is known). */
  readonly valid: boolean;
  readonly token: string;
  readonly tokenId: string;
  readonly owner: string;
  /** What the federation calls it; the peer's own name when it is unknown. */
  readonly home: string;
  readonly dealer: string;
  /** "self": the owner dealt it itself. */
  readonly dealtBy: DealtBy;
  readonly providers: number;
  readonly threshold: number;
  readonly protocol: Token["protocol"];
  readonly route: Token["route"];
  readonly form: Token["policy"]["form"];
  /** Of the message; of a detached deposit, whose file is elsewhere, of its key. */
  readonly lengthBytes: number;
  /** The file that is kept beside the ciphertext, as the owner signed for it. */
  readonly envelope: { readonly lengthBytes: number; readonly digest: string } | null;
  readonly copies: number;
  readonly time: string;
  readonly links: readonly LinkLine[];
  readonly keeping: { readonly peer: PeerName; readonly digestKept: string; readonly time: string } | null;
  readonly firstBreak: BreakLine | null;
  /** Where it is now. What stands above is the deposit as it was made. */
  readonly place: PlaceLine;
  /** Null when there is no federation file to hold it against: then only the signatures were checked. */
  readonly federation: MembershipLine | null;
}

/** Who belongs to the federation, and what it is called. */
export interface Members {
  readonly providers: readonly PeerName[];
  readonly dealers: readonly PeerName[];
  nameOf(peer: PeerName): string;
}

/** @throws IntercloudError PROOF_BROKEN when the owner's or the dealer's part does not hold. */
export function reportProof(bytes: Uint8Array, members: Members | undefined): ProofReport {
  return reportCheckedProof(readProof(bytes), members);
}

export function reportCheckedProof(proof: CheckedProof, members: Members | undefined): ProofReport {
  const { terms, chain, envelope } = proof;
  const { token, tokenId, manifest, roster } = terms;
  const known = new Set([...(members?.providers ?? []), ...(members?.dealers ?? [])]);
  const called = (peer: string): Suspect => ({ provider: known.has(peer) ? members!.nameOf(peer) : null, peer });
  const { placement } = proof;
  const peers = [...new Set([...roster, ...placement.roster])];
  // An owner that dealt for itself is no stranger to its own deposit.
  const others = [manifest, placement.manifest].filter((each) => dealtBy(each, token.owner) === "federation");
  const dealers = [...new Set(others.map(({ dealer }) => dealer))];
  const federation = members === undefined ? null : membership(members, peers, dealers);
  const tokenText = formatTokenText({ tokenId, home: token.home });
  return {
    valid: chain.valid && federation?.valid !== false,
    token: tokenText,
    tokenId: hex(tokenId),
    owner: token.owner,
    home: called(token.home).provider ?? token.home,
    dealer: called(manifest.dealer).provider ?? manifest.dealer,
    dealtBy: dealtBy(manifest, token.owner),
    providers: token.providers,
    threshold: token.threshold,
    protocol: token.protocol,
    route: token.route,
    form: token.policy.form,
    lengthBytes: envelope === null ? token.lengthBytes : messageBytesIn(envelope.lengthBytes, tokenText),
    envelope: envelope && { lengthBytes: envelope.lengthBytes, digest: hex(envelope.digest) },
    copies: token.copies,
    time: iso(token.createdAtMs),
    links: chain.links.map(({ index, peer, link, valid, problem }) => ({
      index,
      ...called(peer),
      identity: link?.identity ?? null,
      digestIn: link === undefined ? null : hex(link.digestIn),
      digestOut: link === undefined ? null : hex(link.digestOut),
      time: link === undefined ? null : iso(link.timeMs),
      valid,
      ...(problem === undefined ? {} : { problem }),
    })),
    keeping:
      chain.keeping === undefined
        ? null
        : { peer: chain.keeping.peer, digestKept: hex(chain.keeping.digestKept), time: iso(chain.keeping.timeMs) },
    firstBreak: chain.firstBreak === undefined ? null : breakLine(proof, called),
    place: placeLine(proof, (peer) => called(peer).provider ?? peer),
    federation,
  };
}

function placeLine({ placement, change, terms }: CheckedProof, nameOf: (peer: PeerName) => string): PlaceLine {
  const { generation, roster, manifest, copies } = placement;
  return {
    ...{ generation, home: nameOf(roster[0] ?? ""), providers: roster.map(nameOf) },
    ...{ threshold: manifest.threshold, copies, dealtBy: dealtBy(manifest, terms.token.owner) },
    changed: change === undefined ? null : iso(change.keeping.timeMs),
  };
}

function membership(members: Members, providers: readonly PeerName[], dealers: readonly PeerName[]): MembershipLine {
  const strangers = providers.filter((peer) => !members.providers.includes(peer));
  strangers.push(...dealers.filter((peer) => !members.dealers.includes(peer)));
  return { valid: strangers.length === 0, strangers };
}

function breakLine(proof: CheckedProof, called: (peer: string) => Suspect): BreakLine | null {
  const found = proof.chain.firstBreak;
  if (found === undefined) return null;
  const { index, problem, suspects } = found;
  // Only a break between two peers is about bytes: the word of one against the word of the other.
  const signed = suspects.length === 2 ? bothSides(proof, index, suspects[0]!, called) : [];
  return { index, problem, suspects: suspects.map(called), signed };
}

function bothSides(
  { terms, chain, digestFromOwner }: CheckedProof,
  index: number,
  giver: string,
  called: (peer: string) => Suspect,
): BreakLine["signed"] {
  const linkOf = (peer: string) => chain.links.find((each) => each.peer === peer)?.link;
  const given = giver === "owner" ? digestFromOwner : linkOf(giver)?.digestOut;
  const closes = index > terms.roster.length;
  const taker = closes ? terms.token.home : (terms.roster[index - 1] ?? "");
  const taken = closes ? receivedByHome(chain, giver, terms.token.route) : linkOf(taker)?.digestIn;
  // the same bytes: the break is about something else that they signed
  if (given !== undefined && taken !== undefined && equalBytes(given, taken)) return [];
  return [
    ...(given === undefined ? [] : [{ by: called(giver), says: "went out", digest: hex(given) }]),
    ...(taken === undefined ? [] : [{ by: called(taker), says: "came in", digest: hex(taken) }]),
  ];
}

function receivedByHome({ keeping, links }: CheckedProof["chain"], giver: string, route: Token["route"]) {
  if (giver === "owner") return keeping?.digestFromOwner;
  return keeping?.digestsReceived[route === "chain" ? 0 : links.findIndex(({ peer }) => peer === giver)];
}

function iso(timeMs: number): string {
  return new Date(timeMs).toISOString();
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
