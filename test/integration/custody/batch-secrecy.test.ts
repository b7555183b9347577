/**
 * The secrecy audit of a lot, over the real code (see secrecy-audit.test.ts): no coalition below t learns anything of either of two
 * deposits that were made together, and when one of them is destroyed, what is left at all providers tells nothing about it.
 */
import { afterEach, expect, test } from "vitest";
import { depositLot, destroy } from "../../../protocols/custody/client/index.ts";
import { loadHeldDeal } from "../../../protocols/dealing/index.ts";
import { layeredBytes } from "../../../protocols/tokens/message.ts";
import { parseTokenText } from "../../../protocols/tokens/token-text.ts";
import { type CborValue, decodeCanonical } from "../../../protocols/wire/codec.ts";
import { learns, smallestCoalition } from "../../support/audit/rank.ts";
import { createUnknowns, unitVector } from "../../support/audit/unit-vectors.ts";
import { createWorld, type World } from "../../support/custody-world.ts";

/** As in the audit of single deposits: nothing else in a message is as long as these and their header. */
const COLUMNS = 384;
const ROUND_BYTES = layeredBytes(COLUMNS);
const HEADER_BYTES = ROUND_BYTES - COLUMNS;
const SIGNAL = new AbortController().signal;

let world: World | undefined;
afterEach(async () => {
  expect(world?.faults).toEqual([]);
  await world?.close();
});

/** The rounds in bytes that end with them; what comes before are digests. */
function rowsOf(bytes: Uint8Array): Uint8Array[] {
  const rounds = Math.floor(bytes.length / ROUND_BYTES);
  return Array.from({ length: rounds }, (_, i) => {
    const end = bytes.length - i * ROUND_BYTES;
    return new Uint8Array(bytes.subarray(end - COLUMNS, end)); // a copy also of a Buffer
  });
}

function roundsIn(value: CborValue): Uint8Array[] {
  if (value instanceof Uint8Array) return value.length === ROUND_BYTES ? rowsOf(value) : [];
  if (typeof value !== "object" || value === null) return [];
  return Object.values(value).flatMap(roundsIn);
}

/** These carry rounds, behind digests or alone; the other bodies of a lot are digests only. */
const METHODS_WITH_ROUNDS = ["place-lot", "lot-part"];

/** @param masks "none" makes every mask zero */
async function startLot(n: number, t: number, dealer: "self" | undefined, masks: "derived" | "none" = "derived") {
  const unknowns = createUnknowns(HEADER_BYTES);
  const messages = [0, 1].map(() => unitVector(unknowns.next(), COLUMNS));
  const expanded = new Map<number, Set<number>>();
  const bodies = new Map<string, { readonly from: string; readonly to: string; readonly parts: Uint8Array[] }>();
  const seen: { readonly from: string; readonly to: string; readonly row: Uint8Array }[] = [];
  const started = await createWorld({
    providers: n,
    observe({ from, to, method, kind, bytes }) {
      if (kind !== "data") {
        for (const row of roundsIn(decodeCanonical(bytes))) seen.push({ from, to, row });
      } else if (METHODS_WITH_ROUNDS.includes(method)) {
        const body = bodies.get(`${from} ${to} ${method}`) ?? { from, to, parts: [] };
        body.parts.push(new Uint8Array(bytes));
        bodies.set(`${from} ${to} ${method}`, body);
      }
    },
    toolsOf: (who) => {
      const onExpand = (column: number) => {
        if (typeof who === "number") expanded.set(who, (expanded.get(who) ?? new Set()).add(column));
      };
      // The dealer expands every seed before anybody else does, so what it has not expanded is a mask.
      const maskless = masks === "none" && who !== "dealer";
      return { keystream: maskless ? unknowns.knownKeystream(onExpand) : unknowns.keystream(onExpand) };
    },
  });
  world = started;
  const candidates = started.user.directory.providers;
  const options = { messages, providers: n, threshold: t, copies: n, candidates, dealer };
  const tokens = (await depositLot(started.user, options)).map(({ tokenText }) => tokenText);
  const filesOf = (number: number) =>
    [...started.providers[number - 1]!.store.files.values()].flatMap((bytes) => rowsOf(bytes));
  return {
    ...{ world: started, unknowns, messages, tokens, filesOf },
    views() {
      expect(unknowns.count()).toBeLessThanOrEqual(COLUMNS);
      const all = [...bodies.values()].flatMap(({ from, to, parts }) =>
        rowsOf(Buffer.concat(parts)).map((row) => ({ from, to, row })),
      );
      const rows = [...all, ...seen];
      const providers = new Map(
        started.providers.map(({ number, peer }) => {
          const own = rows.filter(({ from, to }) => from === peer || to === peer).map(({ row }) => row);
          const keys = [...(expanded.get(number) ?? [])].map((column) => unitVector(column, COLUMNS));
          return [String(number), [...own, ...keys, ...filesOf(number)]];
        }),
      );
      return { providers, links: rows.map(({ row }) => row) };
    },
  };
}

const SIZES = [2, 3, 4, 5].flatMap((n) => Array.from({ length: n - 1 }, (_, i) => ({ n, t: i + 2 })));

test.each(SIZES)(
  "two deposits in a lot, n=$n t=$t: t providers are needed for either, after reading one",
  async (size) => {
    const lot = await startLot(size.n, size.t, size.n === 3 ? "self" : undefined);
    expect(await lot.world.get(lot.tokens[0]!)).toEqual(lot.messages[0]);
    const { providers, links } = lot.views();
    // of either, of both, and of anything that the two have in common
    expect(smallestCoalition(providers, [0, 1])).toHaveLength(size.t);
    expect(smallestCoalition(providers, [0])).toHaveLength(size.t);
    expect(smallestCoalition(providers, [1])).toHaveLength(size.t);
    expect(learns(links, [0, 1])).toBe(false);
  },
);

/** It must break, or this audit proves nothing. */
test.each(SIZES.filter(({ t }) => t > 2))(
  "without masks, n=$n t=$t: fewer than t providers are enough",
  async ({ n, t }) => {
    const { views } = await startLot(n, t, undefined, "none");
    expect(smallestCoalition(views().providers, [1])?.length).toBeLessThan(t);
  },
);

test.each(SIZES.filter(({ n }) => n <= 4))(
  "one of the two destroyed, n=$n t=$t: what all providers have left tells the other, and nothing of it",
  async ({ n, t }) => {
    const { world, unknowns, tokens, filesOf } = await startLot(n, t, undefined);
    await destroy(world.user, parseTokenText(tokens[0]!), SIGNAL);
    const left: Uint8Array[] = [];
    for (const { number, store } of world.providers) {
      left.push(...filesOf(number));
      const keystream = unknowns.keystream((column) => left.push(unitVector(column, COLUMNS)));
      for (const key of store.records.keys()) {
        if (!key.startsWith("deal/")) continue;
        const deal = await loadHeldDeal(store, new Uint8Array(Buffer.from(key.slice("deal/".length), "hex")));
        if (deal !== undefined && deal.seed.length > 0) keystream(deal.seed, 0);
      }
    }
    expect(learns(left, [1])).toBe(true);
    expect(learns(left, [0])).toBe(false);
  },
);
