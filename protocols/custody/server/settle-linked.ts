/**
 * What becomes of a deposit that has passed here and was not sealed: its user may have died when it had told some of us. Whoever sealed it
 * shows the others the owner's word, and they seal it, too. When its time is over, and all others say that they have not, it is burnt.
 */
import { equalBytes } from "../../crypto/digest.ts";
import { checkKeptRequest } from "../../identity/request.ts";
import type { CborValue } from "../../wire/codec.ts";
import { IntercloudError } from "../../wire/errors.ts";
import { parseShape } from "../../wire/shape.ts";
import type { Context, PeerName } from "../../wire/transport.ts";
import { ASK_TIMEOUT_MS, CUSTODY_PROTOCOL } from "../constants.ts";
import type { DepositTerms } from "../deposit-terms.ts";
import { sealStatusAnswerShape, sealStatusShape } from "../messages.ts";
import { type CheckedProof, encodeProof, readProof } from "../proof.ts";
import { burnUnsealed } from "./burn.ts";
import { catchUp } from "./change/retire.ts";
import { findDeposit, proofParts } from "./deposit-record.ts";
import type { CustodyProvider } from "./provider.ts";
import { acceptSeal } from "./seal.ts";
import { unsealedDeposits } from "./unsealed.ts";

/** For another provider of the deposit. */
export async function sealStatus(provider: CustodyProvider, body: CborValue, context: Context): Promise<CborValue> {
  const { tokenId } = parseShape(sealStatusShape, body, "question about a deposit");
  const deposit = await findDeposit(provider.store, tokenId);
  const parts = deposit?.terms.roster.includes(context.from) ? proofParts(deposit.record) : undefined;
  return { proof: parts === undefined ? null : encodeProof(parts) };
}

export async function settleLinked(provider: CustodyProvider, signal: AbortSignal): Promise<void> {
  const away = new Set<PeerName>();
  const linked: DepositTerms[] = [];
  for await (const { record, terms } of unsealedDeposits(provider.store)) {
    if (record.state === "linked") linked.push(terms);
  }
  for (const terms of linked) {
    if (signal.aborted) return;
    await settle(provider, terms, away, signal);
  }
}

async function settle(
  provider: CustodyProvider,
  terms: DepositTerms,
  away: Set<PeerName>,
  signal: AbortSignal,
): Promise<void> {
  const { transport, clock, agreementKeyOf } = provider;
  // Who is not of our federation will never answer.
  const others = terms.roster.filter((peer) => peer !== transport.peer && agreementKeyOf(peer) !== undefined);
  const answers = await Promise.all(others.map((peer) => ask(provider, peer, terms, away, signal)));
  const proof = answers.find((answer) => answer !== "away" && answer !== "not-sealed");
  if (proof !== undefined && typeof proof === "object") return await sealAsOthers(provider, proof);
  const isOver = clock.nowMs() > terms.manifest.expiresAtMs;
  if (isOver && answers.every((answer) => answer === "not-sealed"))
    await burnUnsealed(provider, terms.tokenId, "expired");
}

async function ask(
  { transport }: CustodyProvider,
  peer: PeerName,
  { tokenId }: DepositTerms,
  away: Set<PeerName>,
  signal: AbortSignal,
): Promise<CheckedProof | "not-sealed" | "away"> {
  if (away.has(peer)) return "away";
  try {
    const options = { timeoutMs: ASK_TIMEOUT_MS, signal };
    const answer = await transport.ask(peer, CUSTODY_PROTOCOL, "seal-status", { tokenId }, options);
    const { proof: bytes } = parseShape(sealStatusAnswerShape, answer, "answer about a deposit");
    if (bytes === null) return "not-sealed";
    const proof = readProof(bytes);
    // Whoever shows us another deposit says nothing about this one.
    return proof.chain.valid && equalBytes(proof.terms.tokenId, tokenId) ? proof : "not-sealed";
  } catch (error) {
    if (!(error instanceof IntercloudError)) throw error;
    if (error.status === "unreachable" || error.status === "timeout") away.add(peer);
    return "away";
  }
}

async function sealAsOthers(provider: CustodyProvider, proof: CheckedProof): Promise<void> {
  const { closing, links, keeping } = proof.parts;
  try {
    await acceptSeal(provider, checkKeptRequest(closing, "deposit"), { closing, links, keeping });
    await catchUp(provider, proof);
  } catch (error) {
    // It was given up here meanwhile, or ours is another chain: more than the owner's word is missing.
    if (!(error instanceof IntercloudError) || !HOPELESS.has(error.status)) throw error;
  }
}

const HOPELESS: ReadonlySet<string> = new Set(["not-found", "conflict", "integrity"]);
