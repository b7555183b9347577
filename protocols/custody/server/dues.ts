/**
 * What the owner has said for good and other providers may not have heard: a generation that is over, a deposit that was given up. Whoever
 * heard it tells them again and again until they confirm it, whatever becomes of the deposit here meanwhile.
 */
import * as v from "valibot";
import { digestOf } from "../../crypto/digest.ts";
import { hexOf } from "../../dealing/held-deal.ts";
import { MAX_PROVIDERS } from "../../rounds/constants.ts";
import type { Change } from "../../storage/index.ts";
import { decodeCanonical, encodeCanonical } from "../../wire/codec.ts";
import { IntercloudError } from "../../wire/errors.ts";
import { boundedBytes, parseShape, text } from "../../wire/shape.ts";
import type { PeerName } from "../../wire/transport.ts";
import { ASK_TIMEOUT_MS, CUSTODY_PROTOCOL, MAX_CHANGE_PROOF_BYTES } from "../constants.ts";
import type { CustodyProvider } from "./provider.ts";

/** `change-retire` with the proof of a change; `abandon` with the owner's request. */
export type DueMethod = "change-retire" | "abandon";

const recordShape = v.strictObject({
  /** What the owner signed. */
  word: boundedBytes(MAX_CHANGE_PROOF_BYTES),
  /** Who has not confirmed it yet. */
  peers: v.pipe(v.array(text(64)), v.maxLength(2 * MAX_PROVIDERS)),
});
type Due = v.InferOutput<typeof recordShape>;

const PREFIXES: Readonly<Record<DueMethod, string>> = { "change-retire": "change-due/", abandon: "abandon-due/" };

/** Each word has a record of its own, so a later one takes nothing from an earlier one. */
export function dueChange(method: DueMethod, word: Uint8Array, peers: readonly PeerName[]): Change {
  const key = PREFIXES[method] + hexOf(digestOf("intercloud/due/v1", word));
  if (peers.length === 0) return { kind: "delete", key };
  return { kind: "put", key, value: encodeCanonical({ word, peers: [...peers] }), isTrace: true };
}

/** Tells everybody who is due once. A peer that does not answer is not asked again this time. */
export async function tellDues(provider: CustodyProvider, signal: AbortSignal): Promise<void> {
  const { store } = provider;
  const away = new Set<PeerName>();
  for (const method of ["abandon", "change-retire"] as const) {
    const dues: Due[] = [];
    for await (const [, value] of store.entries(PREFIXES[method])) {
      dues.push(parseShape(recordShape, decodeCanonical(value), "due"));
    }
    for (const due of dues) {
      if (signal.aborted) return;
      const confirmed = await tell(provider, method, due, away, signal);
      const left = due.peers.filter((peer) => !confirmed.has(peer));
      if (confirmed.size > 0) await store.commit([dueChange(method, due.word, left)]);
    }
  }
}

/** @returns those that have confirmed it. */
async function tell(
  provider: CustodyProvider,
  method: DueMethod,
  { word, peers }: Due,
  away: Set<PeerName>,
  signal: AbortSignal,
): Promise<ReadonlySet<PeerName>> {
  const body = method === "abandon" ? { request: word } : { proof: word };
  const options = { timeoutMs: ASK_TIMEOUT_MS, signal };
  const confirmed = new Set<PeerName>();
  await Promise.all(
    peers.map(async (peer) => {
      if (away.has(peer)) return;
      try {
        await provider.transport.ask(peer, CUSTODY_PROTOCOL, method, body, options);
        confirmed.add(peer);
      } catch (error) {
        if (error instanceof IntercloudError && UNHEARD.has(error.status)) away.add(peer);
        // Who refuses to give it up has no such deposit; who finds nothing has no old share.
        else if (method === "abandon" || isNotFound(error)) confirmed.add(peer);
      }
    }),
  );
  return confirmed;
}

const UNHEARD: ReadonlySet<string> = new Set(["unreachable", "timeout", "busy", "internal", "cancelled"]);

function isNotFound(error: unknown): boolean {
  return error instanceof IntercloudError && error.status === "not-found";
}
