/** Giving up a refresh or move that was not ended: by its owner, or by the provider itself when nobody ended it in time. */
import { equalBytes } from "../../../crypto/digest.ts";
import { withDeal } from "../../../dealing/held-deal.ts";
import { CLOCK_SKEW_MS } from "../../../identity/constants.ts";
import { checkRequest } from "../../../identity/request.ts";
import type { CborValue } from "../../../wire/codec.ts";
import { IntercloudError } from "../../../wire/errors.ts";
import { parseShape } from "../../../wire/shape.ts";
import type { PeerName } from "../../../wire/transport.ts";
import { readChangeProof } from "../../change/change-proof.ts";
import { ASK_TIMEOUT_MS, CUSTODY_PROTOCOL } from "../../constants.ts";
import { changeStatusAnswerShape, changeStatusShape, dropContentShape, requestShape } from "../../messages.ts";
import type { ActiveDeposits } from "../active.ts";
import { findDeposit } from "../deposit-record.ts";
import type { CustodyProvider } from "../provider.ts";
import { loadTombstone } from "../tombstone.ts";
import { before, changesUnderWay, dropChange, findChange, type StoredChange } from "./change-record.ts";
import { complete } from "./retire.ts";

/** The owner's. Nothing there is fine, too. @throws IntercloudError CHANGE_COMPLETED. */
export async function dropOwn(provider: CustodyProvider, active: ActiveDeposits, body: CborValue): Promise<CborValue> {
  const message = parseShape(requestShape, body, "drop of a change");
  const nowMs = provider.clock.nowMs();
  const request = checkRequest(message.request, "change", nowMs);
  const { tokenId, change } = parseShape(dropContentShape, request.content, "drop of a change");
  const found = await findChange(provider.store, tokenId);
  if (found === undefined || (change !== null && !equalBytes(found.change.digest, change))) {
    if (change === null || (await stateOf(provider, tokenId, change)).state !== "completed") return {};
    throw new IntercloudError("CHANGE_COMPLETED", "conflict", "this change was completed already");
  }
  if (found.change.owner !== request.identity) {
    throw new IntercloudError("NOT_THE_OWNER", "refused", "only the owner may give up its change");
  }
  provider.replayGuard.admit(request, nowMs);
  await active.stop(tokenId, new IntercloudError("ABANDONED", "cancelled", "the owner gave this change up"));
  await drop(provider, found, "abandoned");
  return {};
}

/** What has become of a change here; everybody who knows its digest may ask. */
export async function changeStatus(provider: CustodyProvider, body: CborValue): Promise<CborValue> {
  const { tokenId, change } = parseShape(changeStatusShape, body, "question about a change");
  return await stateOf(provider, tokenId, change);
}

async function stateOf(provider: CustodyProvider, tokenId: Uint8Array, digest: Uint8Array) {
  const deposit = await findDeposit(provider.store, tokenId);
  const proof = deposit?.record.change ?? null;
  if (proof !== null && equalBytes(readChangeProof(proof).change.digest, digest)) {
    return { state: "completed", proof } as const;
  }
  if ((await loadTombstone(provider.store, tokenId)) !== undefined) return { state: "destroyed", proof: null } as const;
  const found = await findChange(provider.store, tokenId);
  const ours = found !== undefined && equalBytes(found.change.digest, digest);
  return { state: ours ? found.record.state : "unknown", proof: null } as const;
}

async function drop(provider: CustodyProvider, { change }: StoredChange, why: "abandoned" | "expired"): Promise<void> {
  await withDeal(provider.store, change.next.manifest.dealId, async () => {
    const found = await findChange(provider.store, change.tokenId);
    if (found === undefined || !equalBytes(found.change.digest, change.digest)) return;
    await dropChange(provider.store, found, why);
    provider.observe({ kind: "change-dropped", tokenId: change.tokenId });
  });
}

/**
 * Ends what nobody ended in time. Somebody may have heard the owner's last word, so all others are asked before we give the new
 * generation up; as long as one of them does not answer we keep both.
 */
export async function settleChanges(provider: CustodyProvider, signal: AbortSignal): Promise<void> {
  for (const tokenId of await changesUnderWay(provider.store)) {
    if (signal.aborted) return;
    const found = await findChange(provider.store, tokenId);
    if (found === undefined) continue;
    const overAtMs = found.change.round.expiresAtMs + 2 * CLOCK_SKEW_MS;
    if (provider.clock.nowMs() > overAtMs) await settle(provider, found, signal);
  }
}

async function settle(provider: CustodyProvider, stored: StoredChange, signal: AbortSignal): Promise<void> {
  const { change } = stored;
  const others = (await everybody(provider, stored)).filter((peer) => peer !== provider.transport.peer);
  const options = { timeoutMs: ASK_TIMEOUT_MS, signal };
  const body = { tokenId: change.tokenId, change: change.digest };
  const answers = await Promise.allSettled(
    others.map(async (peer) => {
      const answer = await provider.transport.ask(peer, CUSTODY_PROTOCOL, "change-status", body, options);
      const { proof } = parseShape(changeStatusAnswerShape, answer, "answer about a change");
      return proof === null ? undefined : { proof, checked: readChangeProof(proof) };
    }),
  );
  for (const answer of answers) {
    const completed = answer.status === "fulfilled" ? answer.value : undefined;
    if (completed === undefined || !equalBytes(completed.checked.change.digest, change.digest)) continue;
    return await complete(provider, completed.proof, completed.checked);
  }
  if (answers.every(({ status }) => status === "fulfilled")) await drop(provider, stored, "expired");
}

/** All providers of both generations. */
async function everybody(provider: CustodyProvider, stored: StoredChange): Promise<PeerName[]> {
  const { roster } = (await before(provider.store, stored)).placement;
  return [...new Set([...roster, ...stored.change.next.roster])];
}
