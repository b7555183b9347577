/** What a provider reads a deposit from: the generation that a request names by its deal. During a change there may be two. */
import { equalBytes } from "../../crypto/digest.ts";
import type { Store } from "../../storage/index.ts";
import { IntercloudError } from "../../wire/errors.ts";
import { withKeeping } from "../change/change-proof.ts";
import type { DepositTerms } from "../deposit-terms.ts";
import type { KeptEnvelope } from "../kept-envelope.ts";
import type { Placement } from "../placement.ts";
import { readProof } from "../proof.ts";
import { findChange } from "./change/change-record.ts";
import { findDeposit, noSuchDeposit } from "./deposit-record.ts";

export interface Serving {
  readonly terms: DepositTerms;
  readonly placement: Placement;
  readonly holdsCiphertext: boolean;
  /** The envelope that is here. */
  readonly envelope: KeptEnvelope | null;
}

/** @throws IntercloudError NO_SUCH_DEPOSIT; OTHER_GENERATION when the deposit is on another deal here. */
export async function loadServing(store: Store, tokenId: Uint8Array, dealId: Uint8Array): Promise<Serving> {
  const servings = await servingsOf(store, tokenId);
  const found = servings.find(({ placement }) => equalBytes(placement.manifest.dealId, dealId));
  if (found !== undefined) return found;
  if (servings.length === 0) throw noSuchDeposit();
  throw new IntercloudError("OTHER_GENERATION", "conflict", "the deposit was refreshed or moved; look where it is now");
}

/** All generations that can be served here. */
export async function servingsOf(store: Store, tokenId: Uint8Array): Promise<Serving[]> {
  const deposit = await findDeposit(store, tokenId);
  const sealed = deposit?.record.state === "sealed" ? deposit : undefined;
  const servings: Serving[] = [];
  if (sealed !== undefined) {
    const { terms, placement, record } = sealed;
    servings.push({ terms, placement, holdsCiphertext: record.holdsCiphertext, envelope: record.envelope });
  }
  const stored = await findChange(store, tokenId);
  if (stored?.record.state === "active" && stored.record.keeping !== null) {
    const placement = withKeeping(stored.change, stored.record.keeping);
    const terms = sealed?.terms ?? readProof(stored.record.proof ?? new Uint8Array()).terms;
    const { holdsCiphertext, envelope } = stored.record;
    servings.push({ terms, placement, holdsCiphertext, envelope });
  }
  return servings;
}
