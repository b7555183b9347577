/** Chains made link by link, with whatever is to be wrong in them. */
import { createHash } from "node:crypto";
import { peerIdentity, peerNameOf } from "../../../protocols/crypto/peer-name.ts";
import { type Signer, signerFromSeed } from "../../../protocols/crypto/signing.ts";
import { type ChainExpectation, EMPTY_DIGEST } from "../../../protocols/tokens/chain.ts";
import {
  encodeLink,
  type Keeping,
  type Link,
  signKeeping,
  signLink,
  statementDigest,
} from "../../../protocols/tokens/link.ts";

export type Route = ChainExpectation["route"];

export function digest(text: string): Uint8Array {
  return new Uint8Array(createHash("sha256").update(text).digest());
}

export const signers: readonly Signer[] = [1, 2, 3, 4].map((i) => signerFromSeed(digest(`provider ${i}`)));
export const roster = signers.map(({ publicKey }) => peerNameOf(publicKey));
const N = signers.length;

export interface Changes {
  /** By number, from 1: fields that differ from what they should be. The links after it fit to the changed one. */
  readonly links?: Readonly<Record<number, Partial<Link>>>;
  readonly keeping?: Partial<Keeping>;
  /** By number: who signs instead; `keeping` is number n+1. */
  readonly signedBy?: Readonly<Record<number, Signer>>;
  readonly tokenId?: Uint8Array;
  /** Makes the times differ, and so all the statements. */
  readonly startMs?: number;
}

export interface MadeChain {
  readonly expected: ChainExpectation;
  readonly links: readonly Uint8Array[];
  readonly keeping: Uint8Array;
}

/** What passed at stage i: 0 comes from the owner, i goes out of provider i. */
export const passed = (i: number) => digest(`stage ${i}`);

export function makeChain(route: Route, changes: Changes = {}): MadeChain {
  const { tokenId = digest("token"), startMs = 1_700_000_000_000 } = changes;
  const manifestDigest = digest("manifest");
  const links: Uint8Array[] = [];
  let previous = manifestDigest;
  for (const [i, peer] of roster.entries()) {
    const body = encodeLink({
      version: 1,
      tokenId,
      index: i + 1,
      peer,
      identity: peerIdentity(peer),
      digestIn: route === "chain" ? passed(i) : EMPTY_DIGEST,
      digestOut: passed(i + 1),
      previous,
      timeMs: startMs + i,
      ...changes.links?.[i + 1],
    });
    links.push(signLink(body, changes.signedBy?.[i + 1] ?? (signers[i] as Signer)));
    previous = statementDigest(body);
  }
  const all = roster.map((_, i) => passed(i + 1));
  const keeping: Keeping = {
    version: 1,
    tokenId,
    peer: roster[0] as string,
    digestFromOwner: passed(0),
    digestsReceived: route === "chain" ? all.slice(-1) : all,
    digestKept: route === "chain" ? passed(N) : digest("the sum"),
    previous,
    timeMs: startMs + N,
    ...changes.keeping,
  };
  const expected = { tokenId, manifestDigest, roster, route, digestFromOwner: passed(0) };
  return { expected, links, keeping: signKeeping(keeping, changes.signedBy?.[N + 1] ?? (signers[0] as Signer)) };
}
