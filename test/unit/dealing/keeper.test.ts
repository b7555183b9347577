import { createHash } from "node:crypto";
import { beforeEach, describe, expect, it } from "vitest";
import { createBlockDigester, digestOfBlocks } from "../../../protocols/crypto/block-digest.ts";
import { aesKeystream } from "../../../protocols/crypto/keystream.ts";
import { STAGING_LIFETIME_MS, STAGING_RENEWAL_MS } from "../../../protocols/dealing/constants.ts";
import {
  burnDeal,
  correctionName,
  heldDealChange,
  loadHeldDeal,
  openDeals,
  shareOf,
  withDeal,
} from "../../../protocols/dealing/held-deal.ts";
import { createDealKeeper } from "../../../protocols/dealing/keeper.ts";
import { loadStaging, sweepDeals } from "../../../protocols/dealing/staging.ts";
import type { CborValue } from "../../../protocols/wire/codec.ts";
import type { Channel, Context, Handlers } from "../../../protocols/wire/transport.ts";
import { createManualClock, type ManualClock } from "../../support/manual-clock.ts";
import { createMemoryStore, type MemoryStore } from "../../support/memory-store.ts";
import { type Dealt, dealByHand, LIFETIME_MS, newParty, START_MS } from "./dealt.ts";

const dealer = newParty();
const otherDealer = newParty();
const stranger = newParty();
const providers = [newParty(), newParty(), newParty()] as const;
/** Point 1 is free, points 2 and 3 are corrected. */
const [free, us] = providers;
const POINT = 2;

let store: MemoryStore;
let clock: ManualClock;
let keeper: Handlers;
let deal: Dealt;

beforeEach(() => {
  store = createMemoryStore();
  clock = createManualClock(START_MS + 1000);
  keeper = keeperOf(us);
  deal = dealByHand(dealer, providers, 1000);
});

function keeperOf(party: typeof us): Handlers {
  const dealers = [dealer.peer, otherDealer.peer];
  const { peer, agreementKey } = party;
  return createDealKeeper({
    peer,
    agreementKey,
    store,
    clock,
    keystream: aesKeystream,
    isDealer: (name) => dealers.includes(name),
  });
}

const contextOf = (from: string): Context => ({ from, requestId: "r", signal: new AbortController().signal });

async function ask(method: string, body: CborValue, from = dealer.peer, handlers = keeper): Promise<CborValue> {
  const handler = handlers.asks?.[method];
  if (handler === undefined) throw new Error(`no ${method}`);
  return await handler(body, contextOf(from));
}

const delivery = (of: Dealt, change: object = {}) => ({
  manifest: of.signed,
  sealedSeed: of.sealedSeedFor(us, POINT),
  correction: of.correctionOf(POINT),
  ...change,
});

/** A channel on which the peer sends `source` and reads one answer. */
function channelOf(source: AsyncIterable<Uint8Array>): { channel: Channel; answers: CborValue[] } {
  const answers: CborValue[] = [];
  const unused = () => {
    throw new Error("not expected");
  };
  const hash = createHash("sha256");
  let lengthBytes = 0;
  const channel: Channel = {
    peer: dealer.peer,
    sendMessage: async (message) => void answers.push(message),
    receiveMessage: unused,
    sendBody: unused,
    receiveBody: () => ({
      async *[Symbol.asyncIterator]() {
        for await (const chunk of source) {
          hash.update(chunk);
          lengthBytes += chunk.length;
          yield chunk;
        }
      },
      summary: () => ({ lengthBytes, digest: new Uint8Array(hash.digest()) }),
    }),
    close: async () => {},
    abort: () => {},
  };
  return { channel, answers };
}

async function* chunksOf(bytes: Uint8Array, failAfter = Number.POSITIVE_INFINITY): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 100) {
    if (at >= failAfter) throw new Error("the dealer died");
    yield bytes.slice(at, at + 100);
  }
}

async function upload(of: Dealt, source: AsyncIterable<Uint8Array>, from = dealer.peer): Promise<CborValue[]> {
  const { channel, answers } = channelOf(source);
  const header = {
    ...{ dealId: of.dealId, lengthBytes: of.manifest.lengthBytes },
    ...{ point: POINT, sealedSeed: of.sealedSeedFor(us, POINT) },
  };
  await keeper.channels?.["correction"]?.(channel, header, contextOf(from));
  return answers;
}

const preparation = (of: Dealt, to: typeof us, point: number) => ({
  ...{ dealId: of.dealId, lengthBytes: of.manifest.lengthBytes, point },
  ...{ corrected: point > 1, sealedSeed: of.sealedSeedFor(to, point) },
});

function contentDigest(share: Uint8Array): Uint8Array {
  const digester = createBlockDigester();
  digester.add(share);
  return digestOfBlocks(digester.blockDigests());
}

const correction = (of: Dealt): Uint8Array => of.correctionOf(POINT) as Uint8Array;
const stateOf = async (of: Dealt) => (await loadHeldDeal(store, of.dealId))?.state;

describe("a delivery", () => {
  it("is kept with seed and correction, and its share can be read", async () => {
    expect(await ask("deliver", delivery(deal))).toEqual({});
    const record = await loadHeldDeal(store, deal.dealId);
    expect(record).toMatchObject({ state: "dealt", point: POINT, boundTo: null, expiresAtMs: START_MS + LIFETIME_MS });
    const share = shareOf(record as NonNullable<typeof record>, store);
    expect(Buffer.from(share.seed)).toEqual(Buffer.from(deal.seeds[POINT - 1] as Uint8Array));
    const read: Uint8Array[] = [];
    for await (const chunk of share.correction?.(10) ?? []) read.push(chunk);
    expect(Buffer.concat(read)).toEqual(Buffer.from(correction(deal)).subarray(10));
    expect(await loadStaging(store, deal.dealId)).toBeUndefined();
  });

  it("of a free point has no correction", async () => {
    const handlers = keeperOf(free);
    const body = { manifest: deal.signed, sealedSeed: deal.sealedSeedFor(free, 1), correction: null };
    await ask("deliver", body, dealer.peer, handlers);
    const record = await loadHeldDeal(store, deal.dealId);
    expect(record?.correction).toBeNull();
    expect(shareOf(record as NonNullable<typeof record>, store).correction).toBeUndefined();
    expect(store.files.size).toBe(0);
  });

  it("of a free point is the one that was prepared, or is hashed anew", async () => {
    const body = { manifest: deal.signed, sealedSeed: deal.sealedSeedFor(free, 1), correction: null };
    const other = dealByHand(dealer, providers, 1000, { dealId: deal.dealId });
    for (const prepared of [[deal], [other], [other, deal], []]) {
      store = createMemoryStore();
      const handlers = keeperOf(free);
      for (const of of prepared) await ask("prepare", preparation(of, free, 1), dealer.peer, handlers);
      await ask("deliver", body, dealer.peer, handlers);
      expect(await stateOf(deal)).toBe("dealt");
    }
    const seedOfOther = { ...body, sealedSeed: other.sealedSeedFor(free, 1) };
    store = createMemoryStore();
    const handlers = keeperOf(free);
    await ask("prepare", preparation(deal, free, 1), dealer.peer, handlers);
    const delivering = ask("deliver", seedOfOther, dealer.peer, handlers);
    await expect(delivering).rejects.toMatchObject({ code: "WRONG_SHARE" });
  });

  it("may come twice", async () => {
    await ask("deliver", delivery(deal));
    expect(await ask("deliver", delivery(deal))).toEqual({});
  });

  it("of another manifest for the same deal is a conflict", async () => {
    await ask("deliver", delivery(deal));
    const other = dealByHand(dealer, providers, 1000, { dealId: deal.dealId });
    await expect(ask("deliver", delivery(other))).rejects.toMatchObject({ code: "DEAL_EXISTS", status: "conflict" });
    expect(Buffer.from((await loadHeldDeal(store, deal.dealId))?.seed ?? [])).toEqual(Buffer.from(deal.seeds[1] ?? []));
  });

  it("of a burnt deal is a conflict: a deal id never comes back", async () => {
    await ask("deliver", delivery(deal));
    await withDeal(store, deal.dealId, () => burnDeal(store, deal.dealId));
    await expect(ask("deliver", delivery(deal))).rejects.toMatchObject({ code: "DEAL_EXISTS" });
  });

  const wrongs: [why: string, code: string, body: () => CborValue, from?: () => string][] = [
    ["from a peer that is no dealer", "UNKNOWN_DEALER", () => delivery(deal), () => stranger.peer],
    ["from another dealer than signed it", "NOT_ITS_DEAL", () => delivery(deal), () => otherDealer.peer],
    [
      "signed by a dealer that is not ours",
      "NOT_ITS_DEAL",
      () => delivery(dealByHand(stranger, providers, 1000)),
      () => dealer.peer,
    ],
    ["without a share for us", "NOT_A_MEMBER", () => delivery(dealByHand(dealer, [free, stranger, newParty()], 1000))],
    ["with the seed of another point", "SEAL_BROKEN", () => delivery(deal, { sealedSeed: deal.sealedSeedFor(us, 1) })],
    [
      "with a seed sealed to somebody else",
      "SEAL_BROKEN",
      () => delivery(deal, { sealedSeed: deal.sealedSeedFor(free, POINT) }),
    ],
    ["with a changed correction", "WRONG_SHARE", () => delivery(deal, { correction: new Uint8Array(1000) })],
    ["with a short correction", "WRONG_CORRECTION", () => delivery(deal, { correction: new Uint8Array(999) })],
    ["without its correction", "WRONG_CORRECTION", () => delivery(deal, { correction: null })],
    [
      "at another point than the manifest says",
      "SEAL_BROKEN",
      () => delivery(dealByHand(dealer, [us, free, providers[2]], 1000)),
    ],
    [
      "of a digest that is not the share's",
      "WRONG_SHARE",
      () => {
        const shares = deal.manifest.shares.map((entry) => ({ ...entry, digest: new Uint8Array(32) }));
        return delivery(dealByHand(dealer, providers, 1000, { shares }));
      },
    ],
    [
      "that expired",
      "DEAL_EXPIRED",
      () => delivery(dealByHand(dealer, providers, 1000, { createdAtMs: START_MS - 1, expiresAtMs: START_MS })),
    ],
    [
      "from the future",
      "DEAL_EXPIRED",
      () => {
        const createdAtMs = START_MS + 10 * 60_000;
        return delivery(dealByHand(dealer, providers, 1000, { createdAtMs, expiresAtMs: createdAtMs + 1 }));
      },
    ],
    ["with an unknown field", "BAD_MESSAGE", () => delivery(deal, { more: 1 })],
  ];
  // beforeEach makes a new deal for every row.
  it.each(wrongs)("%s is refused and leaves nothing", async (_, code, body, from) => {
    const wrong = body();
    await expect(ask("deliver", wrong, from?.() ?? dealer.peer)).rejects.toMatchObject({ code });
    expect(await stateOf(deal)).toBeUndefined();
    expect(await openDeals(store)).toEqual([]);
    expect(store.files.size).toBe(0);
  });
});

describe("a long correction", () => {
  it("is staged, then delivered", async () => {
    const answers = await upload(deal, chunksOf(correction(deal)));
    const share = aesKeystream(deal.seeds[POINT - 1] as Uint8Array, 0).xor(correction(deal));
    expect(answers).toEqual([{ digest: contentDigest(share) }]);
    await ask("deliver", delivery(deal, { correction: null }));
    expect(await stateOf(deal)).toBe("dealt");
    expect(await loadStaging(store, deal.dealId)).toBeUndefined();
    expect(Buffer.from(store.files.get(correctionName(deal.dealId)) ?? [])).toEqual(Buffer.from(correction(deal)));
  });

  it("that is not the one signed is refused at delivery", async () => {
    await upload(deal, chunksOf(new Uint8Array(1000)));
    await expect(ask("deliver", delivery(deal, { correction: null }))).rejects.toMatchObject({ code: "WRONG_SHARE" });
    expect(await stateOf(deal)).toBeUndefined();
  });

  it("for a free point is refused at delivery", async () => {
    await upload(deal, chunksOf(correction(deal)));
    const body = { manifest: deal.signed, sealedSeed: deal.sealedSeedFor(free, 1), correction: null };
    const delivering = ask("deliver", body, dealer.peer, keeperOf(free));
    await expect(delivering).rejects.toMatchObject({ code: "WRONG_CORRECTION" });
  });

  it("of a dealer that died half way leaves nothing usable, and nothing at all after the sweep", async () => {
    await expect(upload(deal, chunksOf(correction(deal), 500))).rejects.toThrow("the dealer died");
    expect(store.files.size).toBe(0);
    await expect(ask("deliver", delivery(deal, { correction: null }))).rejects.toMatchObject({
      code: "WRONG_CORRECTION",
    });
    await sweepDeals(store, clock.nowMs() + STAGING_LIFETIME_MS + 1);
    expect(store.records.size).toBe(0);
  });

  it("that was never delivered is swept after an hour, not before", async () => {
    await upload(deal, chunksOf(correction(deal)));
    await sweepDeals(store, clock.nowMs() + STAGING_LIFETIME_MS);
    expect(store.files.size).toBe(1);
    await sweepDeals(store, clock.nowMs() + STAGING_LIFETIME_MS + 1);
    expect(store.files.size).toBe(0);
    expect(store.records.size).toBe(0);
  });

  it("that takes many hours is not swept while it comes", async () => {
    store.onChunk = async () => {
      await clock.advance(STAGING_RENEWAL_MS + 1);
      await sweepDeals(store, clock.nowMs());
      expect(await loadStaging(store, deal.dealId)).toBeDefined();
    };
    await upload(deal, chunksOf(correction(deal)));
    expect((await loadStaging(store, deal.dealId))?.digest).not.toBeNull();
  });

  it("cannot be replaced by another dealer", async () => {
    await upload(deal, chunksOf(correction(deal)));
    await expect(upload(deal, chunksOf(new Uint8Array(1000)), otherDealer.peer)).rejects.toMatchObject({
      code: "DEAL_EXISTS",
    });
    await ask("deliver", delivery(deal, { correction: null }));
  });

  it("is refused from a peer that is no dealer, and for a deal that is held", async () => {
    await expect(upload(deal, chunksOf(correction(deal)), stranger.peer)).rejects.toMatchObject({
      code: "UNKNOWN_DEALER",
    });
    await ask("deliver", delivery(deal));
    await expect(upload(deal, chunksOf(correction(deal)))).rejects.toMatchObject({ code: "DEAL_EXISTS" });
    await expect(ask("prepare", preparation(deal, us, POINT))).rejects.toMatchObject({ code: "DEAL_EXISTS" });
    expect(store.files.size).toBe(1);
  });

  it("cannot come in twice at a time, nor be overtaken by its delivery", async () => {
    let attempts = 0;
    store.onChunk = async () => {
      if (attempts++ > 0) return;
      await expect(upload(deal, chunksOf(correction(deal)))).rejects.toMatchObject({ code: "DEAL_EXISTS" });
      await expect(ask("deliver", delivery(deal))).rejects.toMatchObject({ code: "DEAL_EXISTS" });
    };
    await upload(deal, chunksOf(correction(deal)));
    expect(attempts).toBeGreaterThan(0);
  });
});

describe("forget", () => {
  it("burns a deal that is dealt, for good", async () => {
    await ask("deliver", delivery(deal));
    await ask("forget", { dealId: deal.dealId });
    const record = await loadHeldDeal(store, deal.dealId);
    expect(record).toMatchObject({ state: "burnt", correction: null, boundTo: null });
    expect(record?.seed.length).toBe(0);
    expect(store.files.size).toBe(0);
    expect(await openDeals(store)).toEqual([]);
    expect(() => shareOf(record as NonNullable<typeof record>, store)).toThrow();
    await ask("forget", { dealId: deal.dealId });
  });

  it("also stops a delivery that comes later", async () => {
    await ask("forget", { dealId: deal.dealId });
    await expect(ask("deliver", delivery(deal))).rejects.toMatchObject({ code: "DEAL_EXISTS" });
  });

  it("removes a staged correction, and one that is still coming", async () => {
    await upload(deal, chunksOf(correction(deal)));
    await ask("forget", { dealId: deal.dealId });
    expect(store.files.size).toBe(0);
    const other = dealByHand(dealer, providers, 1000);
    store.onChunk = async () => void (await ask("forget", { dealId: other.dealId }));
    await expect(upload(other, chunksOf(correction(other)))).rejects.toMatchObject({ code: "DEAL_EXISTS" });
    expect(store.files.size).toBe(0);
  });

  it("is refused from anybody but the deal's dealer", async () => {
    await ask("deliver", delivery(deal));
    for (const from of [otherDealer.peer, stranger.peer]) {
      await expect(ask("forget", { dealId: deal.dealId }, from)).rejects.toMatchObject({ status: "refused" });
    }
    expect(await stateOf(deal)).toBe("dealt");
  });

  it.each(["bound", "sealed"] as const)("is refused for a deal that is %s", async (state) => {
    await ask("deliver", delivery(deal));
    const record = await loadHeldDeal(store, deal.dealId);
    await store.commit([heldDealChange({ ...(record as NonNullable<typeof record>), state })]);
    await expect(ask("forget", { dealId: deal.dealId })).rejects.toMatchObject({ code: "DEAL_IN_USE" });
    expect(await stateOf(deal)).toBe(state);
  });
});

describe("the sweep", () => {
  const setState = async (state: "dealt" | "bound" | "sealed") => {
    const record = await loadHeldDeal(store, deal.dealId);
    await store.commit([heldDealChange({ ...(record as NonNullable<typeof record>), state })]);
  };

  it.each([
    ["dealt", "burnt"],
    ["bound", "burnt"],
    ["sealed", "sealed"],
  ] as const)("of a %s deal that expired leaves it %s", async (before, after) => {
    await ask("deliver", delivery(deal));
    await setState(before);
    await sweepDeals(store, START_MS + LIFETIME_MS);
    expect(await stateOf(deal)).toBe(before);
    await sweepDeals(store, START_MS + LIFETIME_MS + 1);
    expect(await stateOf(deal)).toBe(after);
    expect(store.files.size).toBe(after === "burnt" ? 0 : 1);
    expect(await openDeals(store)).toEqual([]);
  });

  it("finishes a burning that a crash cut short after its first commit", async () => {
    await ask("deliver", delivery(deal));
    const remove = store.bodies.remove;
    store.bodies.remove = async () => {
      throw new Error("crash");
    };
    await expect(burnDeal(store, deal.dealId)).rejects.toThrow("crash");
    expect(await stateOf(deal)).toBe("burnt");
    store.bodies.remove = remove;
    await sweepDeals(store, clock.nowMs());
    expect(store.files.size).toBe(0);
    expect(await openDeals(store)).toEqual([]);
  });

  it("waits for whoever is changing the deal", async () => {
    await ask("deliver", delivery(deal));
    const sealing = withDeal(store, deal.dealId, async () => {
      const record = await loadHeldDeal(store, deal.dealId);
      await new Promise((resolve) => setImmediate(resolve));
      await store.commit([heldDealChange({ ...(record as NonNullable<typeof record>), state: "sealed" })]);
    });
    await sweepDeals(store, START_MS + LIFETIME_MS + 1);
    await sealing;
    expect(await stateOf(deal)).toBe("sealed");
    expect(store.files.size).toBe(1);
  });
});
