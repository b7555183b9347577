import type { PeerName } from "../../wire/transport.ts";
import { ASK_TIMEOUT_MS } from "../constants.ts";
import { readProof } from "../proof.ts";
import { askAll, unread } from "./ask-all.ts";
import { type CustodyUser, signedRequest } from "./user.ts";

/**
 * Gives a deposit up, or a deal that was not bound (no token). Best effort, at every provider; who cannot be reached burns it by itself
 * when the deal expires.
 */
export async function abandon(
  user: CustodyUser,
  peers: readonly PeerName[],
  dealId: Uint8Array,
  tokenId: Uint8Array | null,
): Promise<void> {
  const request = signedRequest(user, "destroy", { tokenId, dealId });
  await askAll(user, peers, "abandon", { request }, { timeoutMs: ASK_TIMEOUT_MS }, unread);
}

/** A deposit that was just made, as its proof has it. */
export async function abandonDeposit(user: CustodyUser, proof: Uint8Array): Promise<void> {
  const { terms, placement } = readProof(proof);
  await abandon(user, placement.roster, placement.manifest.dealId, terms.tokenId);
}
