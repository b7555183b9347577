/** Small questions: are you there, what do you hold of this deposit, show me its proof, which deposits are mine. */
import { checkKeptRequest, checkRequest, uncheckedContent } from "../../identity/request.ts";
import type { CborValue } from "../../wire/codec.ts";
import { IntercloudError } from "../../wire/errors.ts";
import { parseShape } from "../../wire/shape.ts";
import type { Context, PeerName } from "../../wire/transport.ts";
import { LIST_PAGE, RESERVED_DISK_BYTES } from "../constants.ts";
import {
  depositContentShape,
  listContentShape,
  locateShape,
  readyShape,
  requestShape,
  showContentShape,
} from "../messages.ts";
import { encodeProof } from "../proof.ts";
import { requireReader } from "./access.ts";
import { envelopeOf, loadDeposit, noSuchDeposit, ownedTokens, proofParts } from "./deposit-record.ts";
import type { CustodyProvider } from "./provider.ts";
import { servingsOf } from "./serving.ts";
import { destroyedAnswer } from "./tombstone.ts";

/** Whether we would take part in a deposit now. */
export async function hello(provider: CustodyProvider): Promise<CborValue> {
  const acceptsDeposits = (await provider.freeBytes()) > RESERVED_DISK_BYTES;
  return { acceptsDeposits, timeMs: provider.clock.nowMs() };
}

/** What we hold of a deposit's generation. Open to whoever knows its id, which nobody can guess; says nothing about its contents. */
export async function ready(provider: CustodyProvider, body: CborValue): Promise<CborValue> {
  const { tokenId } = parseShape(readyShape, body, "ready");
  const servings = await servingsOf(provider.store, tokenId);
  if (servings.length === 0) throw noSuchDeposit();
  const held = servings.map(({ placement, holdsCiphertext, envelope }) => ({
    dealId: placement.manifest.dealId,
    holdsCiphertext,
    holdsEnvelope: envelope !== null,
  }));
  return { held };
}

/** The deposits that two questions are about, before anything in them is checked. */
export function tokenOfReady(body: CborValue): Uint8Array {
  return parseShape(readyShape, body, "ready").tokenId;
}

export function tokenOfShow(body: CborValue): Uint8Array {
  const { request } = parseShape(requestShape, body, "show");
  return parseShape(showContentShape, uncheckedContent(request), "show request").tokenId;
}

export async function show(provider: CustodyProvider, body: CborValue): Promise<CborValue> {
  const message = parseShape(requestShape, body, "show");
  const request = checkRequest(message.request, "read", provider.clock.nowMs());
  const { tokenId, provider: asked } = parseShape(showContentShape, request.content, "show request");
  requireAsked(provider, asked);
  const gone = await destroyedAnswer(provider.store, tokenId, request.identity);
  if (gone !== undefined) return gone;
  const { record, terms } = await loadDeposit(provider.store, tokenId);
  const parts = proofParts(record);
  if (parts === undefined) {
    throw new IntercloudError("NO_SUCH_DEPOSIT", "not-found", "this deposit was never completed");
  }
  const grant = await requireReader(provider, terms, request.identity, "show");
  return { proof: encodeProof(parts), grant: grant && { purposes: grant.purposes, expiresAtMs: grant.expiresAtMs } };
}

/** The asker's own deposits, a page at a time, in the order of their ids. */
export async function list(provider: CustodyProvider, body: CborValue): Promise<CborValue> {
  const message = parseShape(requestShape, body, "list");
  const request = checkRequest(message.request, "read", provider.clock.nowMs());
  const { after, provider: asked } = parseShape(listContentShape, request.content, "list request");
  requireAsked(provider, asked);
  const deposits: { readonly token: Uint8Array; readonly envelopeBytes: number | null }[] = [];
  for await (const [tokenId] of ownedTokens(provider.store, request.identity)) {
    if (after !== null && Buffer.compare(tokenId, after) <= 0) continue;
    if (deposits.length === LIST_PAGE) return { deposits, more: true };
    const deposit = await loadDeposit(provider.store, tokenId);
    const kept = checkKeptRequest(deposit.record.request, "deposit");
    const { token } = parseShape(depositContentShape, kept.content, "deposit request");
    deposits.push({ token, envelopeBytes: envelopeOf(deposit)?.lengthBytes ?? null });
  }
  return { deposits, more: false };
}

/** A question that was put to another provider is not passed on to us in the owner's name. */
export function requireAsked(provider: CustodyProvider, asked: PeerName): void {
  if (asked === provider.transport.peer) return;
  throw new IntercloudError("NOT_ASKED", "refused", "this question was put to another provider");
}

/** Who may keep a ciphertext, by the DHT. */
export async function locate(provider: CustodyProvider, body: CborValue, context: Context): Promise<CborValue> {
  const { tokenId } = parseShape(locateShape, body, "locate");
  return { providers: await provider.locate(tokenId, context.signal) };
}
