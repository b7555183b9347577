/** What each provider of an owner's deposit has of it now: the list of grants, or the receipt that it was destroyed there. */
import { equalBytes } from "../../crypto/digest.ts";
import { IntercloudError } from "../../wire/errors.ts";
import { parseShape } from "../../wire/shape.ts";
import type { CallOptions, PeerName } from "../../wire/transport.ts";
import { CUSTODY_PROTOCOL } from "../constants.ts";
import type { CheckedDestroyed } from "../destroyed.ts";
import { compareGrants, readKeptGrants, type SignedGrantList } from "../grants.ts";
import { grantsAnswerShape } from "../messages.ts";
import type { Site } from "../placement.ts";
import type { Failure } from "./ask-all.ts";
import { readDestroyedAt } from "./destroyed.ts";
import { type CustodyUser, signedRequest } from "./user.ts";

export interface Standing {
  /** Of those that keep the deposit; undefined where there is no list yet. */
  readonly lists: ReadonlyMap<PeerName, SignedGrantList | undefined>;
  readonly destroyed: ReadonlyMap<PeerName, CheckedDestroyed>;
  readonly failures: readonly Failure[];
  /** The newest of the lists. */
  readonly newest: SignedGrantList | undefined;
}

/** Asks providers of a deposit. Resolves when they have answered or failed; never rejects. */
export async function askStanding(
  user: CustodyUser,
  terms: Pick<Site, "tokenId" | "token">,
  peers: readonly PeerName[],
  { timeoutMs, signal }: CallOptions,
): Promise<Standing> {
  const lists = new Map<PeerName, SignedGrantList | undefined>();
  const destroyed = new Map<PeerName, CheckedDestroyed>();
  const failures: Failure[] = [];
  await Promise.all(
    peers.map(async (peer) => {
      try {
        // A question names the provider that is asked, so each gets one of its own.
        const request = signedRequest(user, "read", { tokenId: terms.tokenId, provider: peer });
        const asking = user.transport.ask(peer, CUSTODY_PROTOCOL, "grants", { request }, { timeoutMs, signal });
        const answer = parseShape(grantsAnswerShape, await asking, "grants");
        if ("destroyed" in answer) destroyed.set(peer, readDestroyedAt(peer, terms.tokenId, answer.destroyed));
        else lists.set(peer, answer.list === null ? undefined : readListAt(peer, terms, answer.list));
      } catch (error) {
        failures.push({ peer, error });
      }
    }),
  );
  return { lists, destroyed, failures, newest: newestOf(lists.values()) };
}

/** @throws IntercloudError FOREIGN_GRANTS and what `readKeptGrants` throws: nobody but the owner makes a list. */
export function readListAt(
  peer: PeerName,
  { tokenId, token }: Pick<Site, "tokenId" | "token">,
  bytes: Uint8Array,
): SignedGrantList {
  const signed = readKeptGrants(bytes);
  if (signed.owner === token.owner && equalBytes(signed.list.tokenId, tokenId)) return signed;
  throw new IntercloudError(
    "FOREIGN_GRANTS",
    "integrity",
    "the provider has a list of grants that the owner did not make",
    {
      peers: [peer],
    },
  );
}

function newestOf(lists: Iterable<SignedGrantList | undefined>): SignedGrantList | undefined {
  let newest: SignedGrantList | undefined;
  for (const each of lists) {
    if (each !== undefined && (newest === undefined || compareGrants(each.list, newest.list) > 0)) newest = each;
  }
  return newest;
}
