/**
 * Runs the real deposit and retrieval with unit vectors and records what each provider sees: the bytes of every body that it
 * sends or receives and of every round that travels inside a message, its correction, and every stream that it can expand.
 */
import { MESSAGE_SALT_BYTES } from "../../../protocols/tokens/message.ts";
import { type CborValue, decodeCanonical } from "../../../protocols/wire/codec.ts";
import type { Sent } from "../../../protocols/wire/stream-transport.ts";
import { createWorld, type World } from "../custody-world.ts";
import { createUnknowns, type Unknowns, unitVector } from "./unit-vectors.ts";

/** Columns that are enough for the longest sequence of rounds; the message is this many bytes long. */
const COLUMNS = 384;
/** Salt and the one block digest, which are not linear in the message, come before it. */
const HEADER_BYTES = MESSAGE_SALT_BYTES + 32;

export interface Audit {
  readonly world: World;
  /** The message: its one unknown is column 0. */
  readonly message: Uint8Array;
  readonly unknowns: Unknowns;
  /** Adds what a provider ("1".."n") sees in a flow that the test plays by hand. */
  saw(who: string, bytes: Uint8Array): void;
  /** Call between operations: ends the bodies that were seen so far. */
  settle(): void;
  /** What each provider ("1".."n") knows, and what passed on all links together ("links"). */
  views(): { readonly providers: Map<string, Uint8Array[]>; readonly links: Uint8Array[] };
}

export interface AuditOptions {
  readonly providers: number;
  /** "none" makes every mask zero: the deposit as KMaaS prints it, by the real code. */
  readonly masks?: "derived" | "none";
  /** Of the message, whose first bytes are the columns; as long as there are columns by default. */
  readonly messageBytes?: number;
}

/** The byte strings in a message that are as long as a round. */
function roundsIn(value: CborValue, roundBytes: number): Uint8Array[] {
  if (value instanceof Uint8Array) return value.length === roundBytes ? [value] : [];
  if (typeof value !== "object" || value === null) return [];
  return Object.values(value).flatMap((each) => roundsIn(each, roundBytes));
}

export async function startAudit({
  providers,
  masks = "derived",
  messageBytes = COLUMNS,
}: AuditOptions): Promise<Audit> {
  const roundBytes = HEADER_BYTES + messageBytes;
  const unknowns = createUnknowns(HEADER_BYTES);
  const messageColumn = unknowns.next();
  const expanded = new Map<number, Set<number>>();
  const open = new Map<string, { readonly from: string; readonly to: string; readonly parts: Uint8Array[] }>();
  const seenByHand = new Map<string, Uint8Array[]>();
  const bodies: { readonly from: string; readonly to: string; readonly row: Uint8Array }[] = [];

  const observe = ({ from, to, method, kind, bytes }: Sent) => {
    if (kind !== "data") {
      for (const found of roundsIn(decodeCanonical(bytes), roundBytes)) bodies.push({ from, to, row: rowOf(found) });
      return;
    }
    const key = `${from} ${to} ${method}`;
    const body = open.get(key) ?? { from, to, parts: [] };
    body.parts.push(bytes);
    open.set(key, body);
  };
  const world = await createWorld({
    providers,
    observe,
    toolsOf: (who) => {
      const onExpand = (column: number) => {
        if (typeof who === "number") expanded.set(who, (expanded.get(who) ?? new Set()).add(column));
      };
      // The dealer expands every seed before anybody else does, so what it has not expanded is a mask.
      const maskless = masks === "none" && who !== "dealer";
      return { keystream: maskless ? unknowns.knownKeystream(onExpand) : unknowns.keystream(onExpand) };
    },
  });

  /** Corrections and ciphertexts, also of deals that were burnt since. */
  const files = new Map<string, Map<string, Uint8Array>>();
  const settle = () => {
    for (const { number, store } of world.providers) {
      const kept = files.get(String(number)) ?? new Map<string, Uint8Array>();
      for (const [name, bytes] of store.files) kept.set(name, rowOf(bytes));
      files.set(String(number), kept);
    }
    for (const { from, to, parts } of open.values()) {
      // Several rounds may have passed since, one after another.
      const bytes = new Uint8Array(Buffer.concat(parts));
      if (from === world.dealer) continue;
      for (let at = 0; at < bytes.length; at += roundBytes) {
        bodies.push({ from, to, row: rowOf(bytes.slice(at, at + roundBytes)) });
      }
    }
    open.clear();
  };
  const rowOf = (bytes: Uint8Array): Uint8Array => {
    if (bytes.length !== roundBytes) throw new Error(`a body of ${bytes.length} bytes is not one round's`);
    return bytes.slice(HEADER_BYTES, HEADER_BYTES + COLUMNS);
  };

  return {
    world,
    message: unitVector(messageColumn, messageBytes),
    unknowns,
    settle,
    saw: (who, bytes) => void seenByHand.set(who, [...(seenByHand.get(who) ?? []), rowOf(bytes)]),
    views() {
      settle();
      if (unknowns.count() > COLUMNS) throw new Error(`${unknowns.count()} unknowns do not fit ${COLUMNS} columns`);
      const views = new Map<string, Uint8Array[]>();
      for (const { number, peer } of world.providers) {
        const rows = bodies.filter(({ from, to }) => from === peer || to === peer).map(({ row }) => row);
        for (const column of expanded.get(number) ?? []) rows.push(unitVector(column, COLUMNS));
        rows.push(...(files.get(String(number))?.values() ?? []));
        views.set(String(number), [...rows, ...(seenByHand.get(String(number)) ?? [])]);
      }
      return { providers: views, links: bodies.map(({ row }) => row) };
    },
  };
}
