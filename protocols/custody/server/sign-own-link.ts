/** Signing our link and putting it on disk before anybody sees it. */
import { auditChange } from "../../audit/index.ts";
import { peerIdentity } from "../../crypto/peer-name.ts";
import { withDeal } from "../../dealing/held-deal.ts";
import { encodeLink, type Link, signLink } from "../../tokens/link.ts";
import { IntercloudError } from "../../wire/errors.ts";
import type { DepositTerms } from "../deposit-terms.ts";
import { type DepositRecord, depositChange, loadDeposit } from "./deposit-record.ts";
import type { CustodyProvider } from "./provider.ts";

export type OwnStatement = Pick<Link, "index" | "digestIn" | "digestOut" | "previous" | "timeMs">;

/** The canonical statement that a provider signs. */
export function ownStatement(provider: CustodyProvider, terms: DepositTerms, own: OwnStatement): Uint8Array {
  const { peer } = provider.transport;
  return encodeLink({ version: 1, tokenId: terms.tokenId, peer, identity: peerIdentity(peer), ...own });
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

/** Changes a deposit's record while nobody else does, and logs the event. @throws IntercloudError WRONG_STATE. */
export async function advance(
  provider: CustodyProvider,
  terms: DepositTerms,
  from: DepositRecord["state"],
  kind: "linked" | "kept" | "copied",
  change: (record: DepositRecord) => DepositRecord,
): Promise<void> {
  await withDeal(provider.store, terms.manifest.dealId, async () => {
    const { record } = await loadDeposit(provider.store, terms.tokenId);
    if (record.state !== from) {
      throw new IntercloudError("WRONG_STATE", "conflict", `the deposit is ${record.state} here, not ${from}`);
    }
    const { tokenId } = terms;
    await provider.store.commit([depositChange(tokenId, change(record)), auditChange({ kind, tokenId })]);
  });
}
