/** The statements of a chain in the fanout route, which follow from the digests alone: whoever has these can write them all at once. */
import { peerIdentity } from "../crypto/peer-name.ts";
import { EMPTY_DIGEST } from "../tokens/chain.ts";
import { encodeLink, statementDigest } from "../tokens/link.ts";
import type { DepositTerms } from "./deposit-terms.ts";

/** What each provider is asked to sign: its layer's digest, after the statement before it. */
export function fanoutStatements(terms: DepositTerms, digestsOut: readonly Uint8Array[], timeMs: number): Uint8Array[] {
  const statements: Uint8Array[] = [];
  let previous = terms.manifestDigest;
  for (const [i, peer] of terms.roster.entries()) {
    const statement = encodeLink({
      version: 1,
      tokenId: terms.tokenId,
      index: i + 1,
      peer,
      identity: peerIdentity(peer),
      digestIn: EMPTY_DIGEST,
      digestOut: digestsOut[i]!,
      previous,
      timeMs,
    });
    statements.push(statement);
    previous = statementDigest(statement);
  }
  return statements;
}
