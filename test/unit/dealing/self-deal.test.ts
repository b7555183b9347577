/** What a provider takes from a user that deals for itself: what that user signed, for this provider, peer, step, deal and these bytes, once. */
import { randomBytes } from "node:crypto";
import { beforeEach, expect, test } from "vitest";
import { agreementKeyFromSeed } from "../../../protocols/crypto/key-agreement.ts";
import { aesKeystream } from "../../../protocols/crypto/keystream.ts";
import { DEAL_LIFETIME_MS, MAX_SELF_DEALT_HASHES } from "../../../protocols/dealing/constants.ts";
import { loadHeldDeal } from "../../../protocols/dealing/held-deal.ts";
import { createDealKeeper } from "../../../protocols/dealing/keeper.ts";
import type { DealStep } from "../../../protocols/dealing/messages.ts";
import { selfRequests } from "../../../protocols/dealing/self-request.ts";
import { createUnbound, DEFAULT_UNBOUND_LIMITS, type Unbound } from "../../../protocols/dealing/unbound.ts";
import { CLOCK_SKEW_MS } from "../../../protocols/identity/constants.ts";
import { dealerNameOf } from "../../../protocols/identity/identity.ts";
import type { CborValue } from "../../../protocols/wire/codec.ts";
import type { Handlers } from "../../../protocols/wire/transport.ts";
import { createManualClock, type ManualClock } from "../../support/manual-clock.ts";
import { createMemoryStore, type MemoryStore } from "../../support/memory-store.ts";
import { newPerson, type Person } from "../identity/session.ts";
import { type Dealt, dealByHand, newParty, type Party, START_MS } from "./dealt.ts";

const entropy = (lengthBytes: number) => new Uint8Array(randomBytes(lengthBytes));
const providers = [newParty(), newParty(), newParty()] as const;
/** Point 1 is free, point 2 is corrected. */
const [first, us] = providers;
const alice = newPerson();
const bob = newPerson();
const ALICES_PEER = newParty().peer;
const BOBS_PEER = newParty().peer;

let clock: ManualClock;
let store: MemoryStore;
let unbound: Unbound;
let keeper: Handlers;

beforeEach(() => {
  clock = createManualClock(START_MS + 1_000);
  store = createMemoryStore();
  keeper = keeperOf(us);
});

function keeperOf({ peer, agreementKey }: Party): Handlers {
  const base = { peer, store, clock, isDealer: () => false };
  unbound = createUnbound({ ...base, limits: DEFAULT_UNBOUND_LIMITS });
  return createDealKeeper({ ...base, agreementKey, keystream: aesKeystream, unbound });
}

function partyOf({ identity, identityKey }: Person): Party {
  return { signer: identityKey, peer: dealerNameOf(identity), agreementKey: agreementKeyFromSeed(entropy(32)) };
}

const dealOf = (person: Person, lengthBytes = 1_000, change = {}) =>
  dealByHand(partyOf(person), providers, lengthBytes, change);

type Message = Readonly<Record<string, CborValue>>;

const delivery = (deal: Dealt): Message => ({
  ...{ manifest: deal.signed, sealedSeed: deal.sealedSeedFor(us, 2), correction: deal.correctionOf(2) },
});

const preparation = (deal: Dealt): Message => ({
  ...{ dealId: deal.dealId, lengthBytes: deal.manifest.lengthBytes, point: 1, corrected: false },
  sealedSeed: deal.sealedSeedFor(first, 1),
});

interface Signing {
  readonly person?: Person;
  readonly peer?: string;
  readonly provider?: string;
}

/** The message as its user sends it. */
function signed(deal: Dealt, step: DealStep, message: Message, how: Signing = {}): Message {
  const { person = alice, peer = ALICES_PEER, provider = us.peer } = how;
  const authorize = selfRequests({ session: () => person.session, clock, entropy, peer });
  return { ...message, request: authorize(deal.dealId, provider, step, message) };
}

async function ask(method: DealStep, body: CborValue, from = ALICES_PEER): Promise<CborValue> {
  const handler = keeper.asks?.[method];
  if (handler === undefined) throw new Error(`no ${method}`);
  return await handler(body, { from, requestId: "r", signal: new AbortController().signal });
}

const refused = (code: string) => expect.objectContaining({ code });
const heldOf = async ({ dealId }: Dealt) => (await loadHeldDeal(store, dealId))?.state;

test("a deal that the user signed for is kept, with no dealer known here", async () => {
  const deal = dealOf(alice);
  expect(await ask("deliver", signed(deal, "deliver", delivery(deal)))).toEqual({});
  expect(await heldOf(deal)).toBe("dealt");
  expect(unbound.waiting()).toEqual({ deals: 1, bytes: 1_000 });
  expect(await ask("deliver", signed(deal, "deliver", delivery(deal)))).toEqual({}); // the answer may have been lost
  expect(unbound.waiting().deals).toBe(1);
});

test("without a signed request it is refused, whoever brings it", async () => {
  const deal = dealOf(alice);
  for (const from of [ALICES_PEER, deal.manifest.dealer]) {
    await expect(ask("deliver", delivery(deal), from)).rejects.toEqual(refused("UNKNOWN_DEALER"));
  }
  expect(await heldOf(deal)).toBeUndefined();
});

test("a request that was used is refused", async () => {
  const deal = dealOf(alice);
  const message = signed(deal, "deliver", delivery(deal));
  await ask("deliver", message);
  await expect(ask("deliver", message)).rejects.toEqual(refused("REPLAYED"));
});

test.each([
  ["brought by another peer", () => ({ how: {}, from: BOBS_PEER })],
  ["signed for another provider", () => ({ how: { provider: first.peer } })],
  ["signed for another step", () => ({ how: {}, step: "forget" as const })],
  ["signed for another deal", () => ({ how: {}, other: dealOf(alice) })],
  ["signed for other bytes", () => ({ how: {}, change: { correction: new Uint8Array(1_000) } })],
] as [string, () => { how: Signing; from?: string; step?: DealStep; other?: Dealt; change?: Message }][])(
  "a request that was %s is refused",
  async (_, make) => {
    const { how, from, step = "deliver", other, change = {} } = make();
    const deal = dealOf(alice);
    const message = { ...signed(other ?? deal, step, delivery(deal), how), ...change };
    await expect(ask("deliver", message, from)).rejects.toEqual(refused("NOT_THIS_MESSAGE"));
    expect(await heldOf(deal)).toBeUndefined();
  },
);

test("somebody else can deal in nobody's name: neither with its own session nor under its own manifest", async () => {
  const deal = dealOf(alice);
  const bobs = signed(deal, "deliver", delivery(deal), { person: bob, peer: BOBS_PEER });
  await expect(ask("deliver", bobs, BOBS_PEER)).rejects.toEqual(refused("NOT_ITS_DEAL"));
  const noDealing = newPerson(["retrieve"]);
  const own = dealOf(noDealing);
  const message = signed(own, "deliver", delivery(own), { person: noDealing });
  await expect(ask("deliver", message)).rejects.toMatchObject({ status: "refused" });
  expect([await heldOf(deal), await heldOf(own)]).toEqual([undefined, undefined]);
});

test("a request that is too old is refused", async () => {
  const deal = dealOf(alice);
  const message = signed(deal, "deliver", delivery(deal));
  await clock.advance(60 * 60_000 - 2_000);
  await expect(ask("deliver", message)).rejects.toMatchObject({ status: "expired" });
});

test("a deal that would wait for longer than a day is refused", async () => {
  const nowMs = clock.nowMs();
  const long = dealOf(alice, 1_000, { expiresAtMs: nowMs + DEAL_LIFETIME_MS + CLOCK_SKEW_MS + 1 });
  await expect(ask("deliver", signed(long, "deliver", delivery(long)))).rejects.toEqual(refused("DEAL_TOO_LONG"));
  const day = dealOf(alice, 1_000, { expiresAtMs: nowMs + DEAL_LIFETIME_MS + CLOCK_SKEW_MS });
  await ask("deliver", signed(day, "deliver", delivery(day)));
});

test("a share that is not the one in the manifest is refused, and counts no more", async () => {
  const deal = dealOf(alice);
  const wrong = { ...delivery(deal), correction: new Uint8Array(1_000) };
  await expect(ask("deliver", signed(deal, "deliver", wrong))).rejects.toEqual(refused("WRONG_SHARE"));
  expect(unbound.waiting().deals).toBe(0);
});

test("its user has it forgotten, others do not; what never was leaves no record", async () => {
  const deal = dealOf(alice);
  await ask("deliver", signed(deal, "deliver", delivery(deal)));
  const message = { dealId: deal.dealId };
  const bobs = signed(deal, "forget", message, { person: bob, peer: BOBS_PEER });
  await expect(ask("forget", bobs, BOBS_PEER)).rejects.toEqual(refused("NOT_ITS_DEAL"));
  expect(await heldOf(deal)).toBe("dealt");
  await ask("forget", signed(deal, "forget", message));
  expect(await heldOf(deal)).toBe("burnt");
  expect(unbound.waiting().deals).toBe(0);
  const never = dealOf(alice);
  expect(await ask("forget", signed(never, "forget", { dealId: never.dealId }))).toEqual({});
  expect(await heldOf(never)).toBeUndefined();
});

test("a few long free shares are hashed at a time, and the next user is told to come again", async () => {
  keeper = keeperOf(first);
  const deals = Array.from({ length: MAX_SELF_DEALT_HASHES + 1 }, () => dealOf(alice, 300_000));
  const prepare = (deal: Dealt) => ask("prepare", signed(deal, "prepare", preparation(deal), { provider: first.peer }));
  const outcomes = await Promise.allSettled(deals.map(prepare));
  const failed = outcomes.filter((each) => each.status === "rejected");
  expect(failed.map(({ reason }) => reason)).toEqual([refused("BUSY")]);
});
