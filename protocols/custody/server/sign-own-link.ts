/** Signing our link and putting it on disk before anybody sees it. */
import { auditChange } from "../../audit/index.ts";
import { equalBytes } from "../../crypto/digest.ts";
import { peerIdentity } from "../../crypto/peer-name.ts";
import { closedDealChange, withDeal } from "../../dealing/held-deal.ts";
import { CLOCK_SKEW_MS } from "../../identity/constants.ts";
import type { Change } from "../../storage/index.ts";
import { EMPTY_DIGEST } from "../../tokens/chain.ts";
import { decodeLink, encodeLink, type Link, signKeeping, signLink } from "../../tokens/link.ts";
import { IntercloudError } from "../../wire/errors.ts";
import type { PeerName } from "../../wire/transport.ts";
import type { DepositTerms } from "../deposit-terms.ts";
import type { Received } from "../messages.ts";
import { type DepositRecord, depositChange, loadDeposit } from "./deposit-record.ts";
import type { CustodyProvider } from "./provider.ts";

export type OwnStatement = Pick<Link, "index" | "digestIn" | "digestOut" | "previous" | "timeMs">;

/** The canonical statement that a provider signs. */
export function ownStatement(provider: CustodyProvider, terms: DepositTerms, own: OwnStatement): Uint8Array {
  const { peer } = provider.transport;
  return encodeLink({ version: 1, tokenId: terms.tokenId, peer, identity: peerIdentity(peer), ...own });
}

/** What home says that it received and keeps. @param previous digest of the last provider's statement */
export function ownKeeping(
  { transport, clock, signer }: CustodyProvider,
  { tokenId }: DepositTerms,
  previous: Uint8Array,
  { digestFromOwner, digestsReceived, digest }: Received,
): Uint8Array {
  const digests = { digestFromOwner, digestsReceived: [...digestsReceived], digestKept: digest };
  return signKeeping(
    { version: 1, tokenId, peer: transport.peer, ...digests, previous, timeMs: clock.nowMs() },
    signer,
  );
}

/** We sign only what is true as far as we know: our place, our digest, the present time. @param asking who made the statement */
export function requireTrue(
  provider: CustodyProvider,
  terms: DepositTerms,
  statement: Uint8Array,
  digestOut: Uint8Array,
  asking: PeerName,
): void {
  const { previous, timeMs } = decodeLink(statement);
  const index = terms.roster.indexOf(provider.transport.peer) + 1;
  const ours = ownStatement(provider, terms, { index, digestIn: EMPTY_DIGEST, digestOut, previous, timeMs });
  if (equalBytes(ours, statement) && Math.abs(timeMs - provider.clock.nowMs()) <= CLOCK_SKEW_MS) return;
  throw new IntercloudError("UNTRUE_STATEMENT", "integrity", "we are asked to sign what we did not do", {
    peers: [asking],
  });
}

/** bound -> linked. Returns the signed link. */
export async function signOwnLink(
  provider: CustodyProvider,
  terms: DepositTerms,
  statement: Uint8Array,
): Promise<Uint8Array> {
  const link = signLink(statement, provider.signer);
  await advance(provider, terms, "bound", "linked", (record) => ({ ...record, state: "linked", ownLink: link }));
  provider.observe({ kind: "linked", tokenId: terms.tokenId });
  return link;
}

type Step = "linked" | "kept" | "copied";

/** Changes a deposit's record while nobody else does, and logs what happened. `also` goes into the same commit. @throws IntercloudError WRONG_STATE. */
export async function advance(
  provider: CustodyProvider,
  terms: DepositTerms,
  from: DepositRecord["state"],
  kind: Step | readonly Step[],
  change: (record: DepositRecord) => DepositRecord,
  also: readonly Change[] = [],
): Promise<void> {
  await withDeal(provider.store, terms.manifest.dealId, async () => {
    const { record } = await loadDeposit(provider.store, terms.tokenId);
    if (record.state !== from) {
      throw new IntercloudError("WRONG_STATE", "conflict", `the deposit is ${record.state} here, not ${from}`);
    }
    const { tokenId, manifest } = terms;
    const events = [kind].flat().map((kind) => auditChange({ kind, tokenId }));
    // Once we have signed, others may have sealed it: the deal ends with the deposit only, whatever its own time is.
    const closed = from === "bound" ? [closedDealChange(manifest.dealId)] : [];
    await provider.store.commit([depositChange(tokenId, change(record)), ...also, ...events, ...closed]);
  });
}
