/**
 * What the owner has said for good and other providers may not have heard: a generation that is over, a deposit that was given up. Whoever
 * heard it tells them again and again until they confirm it, whatever becomes of the deposit here meanwhile.
 */
import * as v from "valibot";
import { digestOf } from "../../crypto/digest.ts";
import { hexOf } from "../../dealing/held-deal.ts";
import { MAX_PROVIDERS } from "../../rounds/constants.ts";
import type { Change, Store } from "../../storage/index.ts";
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

/** Each word has a record of its own, so a later one takes nothing from an earlier one. @param about the id of the token, or of the deal of a lot */
export function dueChange(
  method: DueMethod,
  about: Uint8Array,
  word: Uint8Array,
  peers: readonly PeerName[],
): DueChange {
  return dueAt(`${prefixOf(method, about)}${hexOf(digestOf("intercloud/due/v1", word))}`, { word, peers });
}

type DueChange = Exclude<Change, { kind: "append" | "body" }>;

const prefixOf = (method: DueMethod, about: Uint8Array) => `${PREFIXES[method]}${hexOf(about)}/`;

function dueAt(
  key: string,
  { word, peers }: { readonly word: Uint8Array; readonly peers: readonly PeerName[] },
): DueChange {
  if (peers.length === 0) return { kind: "delete", key };
  return { kind: "put", key, value: encodeCanonical({ word, peers: [...peers] }), isTrace: true };
}

/**
 * The word about a generation, in the place of the words about those before it: who has missed one of them is told of the newest, because those that
 * the deposit went to by an older one may not have it any more, and then nobody can say that they hold it.
 * @param peers who has to hear this one
 */
export async function newestDue(
  store: Store,
  tokenId: Uint8Array,
  word: Uint8Array,
  peers: readonly PeerName[],
): Promise<DueChange[]> {
  const everybody = new Set(peers);
  const older: DueChange[] = [];
  for await (const [key, value] of store.entries(prefixOf("change-retire", tokenId))) {
    for (const peer of readDue(value).peers) everybody.add(peer);
    older.push({ kind: "delete", key });
  }
  if (everybody.size === 0) return [];
  const due = dueChange("change-retire", tokenId, word, [...everybody]);
  return [...older.filter(({ key }) => key !== due.key), due];
}

const readDue = (value: Uint8Array): Due => parseShape(recordShape, decodeCanonical(value), "due");

/** Tells everybody who is due once. A peer that does not answer is not asked again this time. */
export async function tellDues(provider: CustodyProvider, signal: AbortSignal): Promise<void> {
  const { store } = provider;
  const away = new Set<PeerName>();
  for (const method of ["abandon", "change-retire"] as const) {
    const dues: (readonly [string, Due])[] = [];
    for await (const [key, value] of store.entries(PREFIXES[method])) dues.push([key, readDue(value)]);
    for (const [key, due] of dues) {
      if (signal.aborted) return;
      const confirmed = await tell(provider, method, due, away, signal);
      // A newer word may have taken its place meanwhile.
      if (confirmed.size === 0 || (await store.get(key)) === undefined) continue;
      await store.commit([dueAt(key, { ...due, peers: due.peers.filter((peer) => !confirmed.has(peer)) })]);
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
