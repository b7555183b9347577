/** prepared -> active: a provider of the new generation says that it holds it, and will not give it up by itself any more. */

import { equalBytes } from "../../../crypto/digest.ts";
import { loadHeldDeal } from "../../../dealing/held-deal.ts";
import { checkKeptRequest } from "../../../identity/request.ts";
import type { CborValue } from "../../../wire/codec.ts";
import { IntercloudError } from "../../../wire/errors.ts";
import { parseShape } from "../../../wire/shape.ts";
import { readKeeping } from "../../change/change-proof.ts";
import { type ChangeTerms, readChange } from "../../change/change-terms.ts";
import { type StatementOf, signStatement } from "../../change/statements.ts";
import { isSameEnvelope } from "../../kept-envelope.ts";
import { activateShape } from "../../messages.ts";
import { keepersOf } from "../../placement.ts";
import { ownBox } from "../own-box.ts";
import type { CustodyProvider } from "../provider.ts";
import { advanceChange, before, type ChangeRecord, loadChange, requireOpen } from "./change-record.ts";

export async function activate(provider: CustodyProvider, body: CborValue): Promise<CborValue> {
  const message = parseShape(activateShape, body, "activate");
  const change = readChange(message.request, checkKeptRequest(message.request, "change"));
  const keeping = readKeeping(change, message.keeping);
  const isKeeper = keepersOf(change.next).includes(provider.transport.peer);
  const deal = await loadHeldDeal(provider.store, change.next.manifest.dealId);
  const { envelope, terms } = await before(provider.store, await loadChange(provider, change));
  const { userKey } = terms.token;
  const { holding } = await advanceChange(provider, change, "change-active", (record) => {
    // The answer to an earlier attempt may have been lost.
    if (record.state === "active") return record;
    requireOpen(provider, change);
    if (deal?.state !== "bound")
      throw new IntercloudError("DEAL_USED", "conflict", "the fresh deal of this change is gone");
    if (isKeeper && !keepsTheSame(record, change, keeping.digestKept)) {
      throw new IntercloudError("NO_CIPHERTEXT", "conflict", "the ciphertext that we should keep has not come");
    }
    if (isKeeper && !isSameEnvelope(record.envelope, envelope)) {
      throw new IntercloudError("NO_ENVELOPE", "conflict", "the envelope that we should keep has not come");
    }
    const box = userKey === null ? null : ownBox(provider, userKey, deal);
    const holding = ownHolding(provider, change, { point: deal.point, holdsCiphertext: isKeeper, box });
    return { ...record, state: "active", keeping: message.keeping, holding };
  });
  provider.observe({ kind: "change-active", tokenId: change.tokenId });
  return { holding };
}

/** The home must have given the same word to everybody. */
function keepsTheSame(
  { keeping, holdsCiphertext }: ChangeRecord,
  change: ChangeTerms,
  digestKept: Uint8Array,
): boolean {
  return holdsCiphertext && keeping !== null && equalBytes(readKeeping(change, keeping).digestKept, digestKept);
}

function ownHolding(
  provider: CustodyProvider,
  change: ChangeTerms,
  own: Pick<StatementOf<"holding">, "point" | "holdsCiphertext" | "box">,
): Uint8Array {
  return signStatement(
    {
      ...{ kind: "holding", version: 1, tokenId: change.tokenId, generation: change.next.generation },
      ...{ change: change.digest, peer: provider.transport.peer, timeMs: provider.clock.nowMs() },
      ...own,
    },
    provider.signer,
  );
}
