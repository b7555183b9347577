/** What a provider answers when it is asked to repair itself, and which deposits others should know of. */
import { equalBytes } from "../../../crypto/digest.ts";
import { checkRequest } from "../../../identity/request.ts";
import type { CborValue } from "../../../wire/codec.ts";
import { IntercloudError } from "../../../wire/errors.ts";
import { parseShape } from "../../../wire/shape.ts";
import type { Channel, Context } from "../../../wire/transport.ts";
import { abortOn } from "../../abort-on.ts";
import { MAX_RESTORE_PAGE_BYTES, RESTORE_SCAN } from "../../constants.ts";
import { grantsDigest } from "../../grants.ts";
import { repairContentShape, repairShape, restorePageShape } from "../../messages.ts";
import { encodeProof, readProof } from "../../proof.ts";
import { tellWaiting } from "../../waiting-chain.ts";
import type { ActiveDeposits } from "../active.ts";
import { proofParts, sealedDeposits } from "../deposit-record.ts";
import { loadGrants } from "../grant-record.ts";
import type { CustodyProvider } from "../provider.ts";
import { repairDeposit } from "./repair.ts";

/** For the owner, which brings the proof along: we may have lost it. */
export async function answerRepair(
  provider: CustodyProvider,
  active: ActiveDeposits,
  channel: Channel,
  header: CborValue,
  context: Context,
): Promise<void> {
  const message = parseShape(repairShape, header, "repair");
  const nowMs = provider.clock.nowMs();
  const request = checkRequest(message.request, "change", nowMs);
  const { tokenId, provider: asked, grants } = parseShape(repairContentShape, request.content, "repair request");
  const proof = readProof(message.proof);
  const fits = equalBytes(proof.terms.tokenId, tokenId) && equalBytes(grantsDigest(message.grants), grants);
  if (asked !== provider.transport.peer || !fits) {
    throw new IntercloudError("NOT_ASKED", "refused", "this request was made for another provider or deposit");
  }
  if (proof.terms.token.owner !== request.identity) {
    throw new IntercloudError("NOT_THE_OWNER", "refused", "only the owner may have its deposit repaired");
  }
  provider.replayGuard.admit(request, nowMs);
  await active.run(tokenId, "repair", context.signal, async (signal) => {
    const release = abortOn(signal, channel);
    const waiting = tellWaiting(provider.clock, channel);
    try {
      const found = await repairDeposit(provider, proof, message.grants, signal).finally(() => waiting.stop());
      await channel.sendMessage({ ...found });
      await channel.close();
    } finally {
      release();
    }
  });
}

/** For a provider that lost its disk: the proofs of the deposits that it has a share of. */
export async function restorePage(provider: CustodyProvider, body: CborValue, context: Context): Promise<CborValue> {
  const { after } = parseShape(restorePageShape, body, "restore");
  const deposits: { readonly proof: Uint8Array; readonly grants: Uint8Array | null }[] = [];
  let lengthBytes = 0;
  let scanned = 0;
  let last: Uint8Array | null = after;
  for await (const { record, terms, placement } of sealedDeposits(provider.store, after)) {
    const parts = placement.roster.includes(context.from) ? proofParts(record) : undefined;
    const proof = parts && encodeProof(parts);
    const isFull = deposits.length > 0 && lengthBytes + (proof?.length ?? 0) > MAX_RESTORE_PAGE_BYTES;
    if (isFull || scanned === RESTORE_SCAN) return { deposits, next: last };
    scanned += 1;
    last = terms.tokenId;
    if (proof === undefined) continue;
    const grants = (await loadGrants(provider.store, terms.tokenId))?.request ?? null;
    deposits.push({ proof, grants });
    lengthBytes += proof.length + (grants?.length ?? 0);
  }
  return { deposits, next: null };
}
