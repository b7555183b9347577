/** Who may have a deposit here: its owner, and whom the owner's newest list names. Every provider decides it for itself. */
import type { Identity } from "../../identity/identity.ts";
import { IntercloudError } from "../../wire/errors.ts";
import type { DepositTerms } from "../deposit-terms.ts";
import { allows, type Grant, type GrantPurpose, isExpired } from "../grants.ts";
import type { StoredDeposit } from "./deposit-record.ts";
import { loadGrants } from "./grant-record.ts";
import type { CustodyProvider } from "./provider.ts";

/** @throws IntercloudError NO_SUCH_DEPOSIT. */
export function requireSealed({ record }: StoredDeposit): void {
  if (record.state === "sealed") return;
  throw new IntercloudError("NO_SUCH_DEPOSIT", "not-found", "this deposit was never completed");
}

/** @throws IntercloudError NOT_THE_OWNER. */
export function requireOwner(owner: Identity, identity: Identity): void {
  if (owner === identity) return;
  throw new IntercloudError("NOT_THE_OWNER", "refused", "only the owner may do this with a deposit");
}

/**
 * @returns the grant by which the identity may, null when it is the owner.
 * @throws IntercloudError NOT_THE_OWNER, GRANT_PURPOSE, GRANT_EXPIRED.
 */
export async function requireReader(
  provider: CustodyProvider,
  { token, tokenId }: Pick<DepositTerms, "token" | "tokenId">,
  identity: Identity,
  purpose: GrantPurpose,
): Promise<Grant | null> {
  if (token.owner === identity) return null;
  const kept = await loadGrants(provider.store, tokenId);
  const grant = kept?.list.grants.find((each) => each.identity === identity);
  if (grant === undefined) {
    throw new IntercloudError(
      "NOT_THE_OWNER",
      "refused",
      "only the owner, and whom the owner grants it, may have this",
    );
  }
  if (!allows(grant, purpose)) {
    throw new IntercloudError("GRANT_PURPOSE", "refused", `the owner's grant does not allow "${purpose}"`);
  }
  if (isExpired(grant, provider.clock.nowMs())) {
    throw new IntercloudError("GRANT_EXPIRED", "expired", "the owner's grant has expired");
  }
  return grant;
}
