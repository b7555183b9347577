/** Deposits with every dealer away: on deals that were fetched ahead, and on deals that the user makes itself. */
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, expect, test } from "vitest";
import { createClient } from "../../../client/client.ts";
import type { Client } from "../../../client/client-api.ts";
import { type DepositChoice, withDefaults } from "../../../client/deposit-plan.ts";
import { reportProof } from "../../../client/proof-report.ts";
import { memoryShares } from "../../../client/shares.ts";
import { fileStock } from "../../../client/stock.ts";
import { peerNameOf } from "../../../protocols/crypto/peer-name.ts";
import { newSigner } from "../../../protocols/crypto/signing.ts";
import { freshDeal } from "../../../protocols/custody/client/fresh-deal.ts";
import { makeOffer } from "../../../protocols/custody/client/offer.ts";
import { type CustodyUser, signedRequest } from "../../../protocols/custody/client/user.ts";
import { readTerms } from "../../../protocols/custody/deposit-terms.ts";
import type { FreshDeal } from "../../../protocols/dealing/client.ts";
import { burnDeal, loadHeldDeal, openDeals } from "../../../protocols/dealing/held-deal.ts";
import { DEAL_LIFETIME_MS, DEALING_PROTOCOL, sweepDeals } from "../../../protocols/dealing/index.ts";
import { type DealStock, STOCK_MARGIN_MS } from "../../../protocols/dealing/stock.ts";
import { dealerNameOf } from "../../../protocols/identity/identity.ts";
import { checkKeptRequest } from "../../../protocols/identity/request.ts";
import { encodeDescriptor } from "../../../protocols/rounds/descriptor.ts";
import { layeredBytes } from "../../../protocols/tokens/message.ts";
import { encodeToken, tokenIdOf } from "../../../protocols/tokens/token.ts";
import { systemClock } from "../../../runtime/clock.ts";
import { bytesOf, collect, errorOf, sourceOf } from "../../support/bytes.ts";
import { createWorld, entropy, type World, type WorldOptions } from "../../support/custody-world.ts";

const KEY = bytesOf(32, 1);
const KEY_LAYERED_BYTES = layeredBytes(KEY.length);
const MESSAGE = bytesOf(300_000, 2);
const SIGNAL = new AbortController().signal;

let world: World;
let folder: string;
let clients: Client[] = [];
afterEach(async () => {
  await Promise.all(clients.map((client) => client.close()));
  await world.close();
  await rm(folder, { recursive: true, force: true });
  clients = [];
  expect(world.faults).toEqual([]);
});

async function newWorld(options: Partial<WorldOptions> = {}): Promise<void> {
  world = await createWorld({ providers: 5, ...options });
  folder = await mkdtemp(path.join(tmpdir(), "intercloud-"));
}

const newStock = (size = 2): DealStock =>
  fileStock({
    ...{ directory: path.join(folder, "stock"), identitySeed: bytesOf(32, 9), size, clock: systemClock, entropy },
    onDamaged: () => {},
  });

function newClient(settings: DepositChoice = {}, stock: DealStock | undefined = newStock()): Client {
  const client = createClient({
    ...{ identityKey: newSigner(entropy), entropy, clock: systemClock, spoolDirectory: "/nowhere" },
    ...{ directory: world.user.directory, shares: memoryShares(), stock },
    connect: async () => world.network.transport(peerNameOf(newSigner(entropy).publicKey), { clock: systemClock }),
    settings: withDefaults({ threshold: 3, ...settings }, 5),
  });
  clients.push(client);
  return client;
}

const killDealer = () => world.network.kill(world.dealer);
async function inStock(): Promise<number> {
  const names = await readdir(path.join(folder, "stock")).catch(() => []);
  return names.filter((name) => name.endsWith(".deal")).length;
}
const peersOf = (...numbers: number[]) => numbers.map((number) => world.providers[number - 1]!.peer);

async function encryptedAndBack(client: Client): Promise<void> {
  const { file } = await client.encrypt(sourceOf(MESSAGE, 100_000));
  const { message } = await client.decrypt(sourceOf(await collect(file), 100_000));
  expect(Buffer.compare(await collect(message), MESSAGE)).toBe(0);
}

test.each([3, 1] as const)(
  "with every dealer away encrypt goes on for as many files as there are deals in stock, and then says what is missing (Protocol %i)",
  async (protocol) => {
    await newWorld();
    const client = newClient({ protocol });
    expect(await client.stock.fill()).toBe(2);
    expect(await client.stock.fill()).toBe(0);
    const lines = await client.stock.list();
    expect(lines).toHaveLength(2);
    expect(lines[0]).toMatchObject({ dealer: "dealer-1", threshold: 3, fits: true });
    killDealer();
    await encryptedAndBack(client);
    await encryptedAndBack(client);
    expect(await inStock()).toBe(0);
    const error = await errorOf(client.encrypt(sourceOf(MESSAGE, 100_000)));
    expect(error).toMatchObject({ code: "NO_DEAL", message: expect.stringContaining("stock of deals is empty") });
    expect(await errorOf(client.stock.fill())).toMatchObject({ code: "NO_DEAL" });
  },
);

test("encrypt fills the stock behind itself, and put of a whole message leaves it alone", async () => {
  await newWorld();
  const client = newClient();
  await client.deposit(MESSAGE, { form: "whole" });
  await client.close();
  expect(await inStock()).toBe(0);
  const another = newClient();
  await another.encrypt(sourceOf(MESSAGE, 100_000));
  await expect.poll(inStock, { timeout: 10_000, interval: 5 }).toBe(2);
  const used = (await another.stock.list()).map(({ dealId }) => dealId);
  const { token } = await another.encrypt(sourceOf(MESSAGE, 100_000));
  expect(used).toContain(Buffer.from(token.dealId).toString("hex"));
  await expect.poll(inStock, { timeout: 10_000, interval: 5 }).toBe(2);
  expect(await another.stock.drop()).toBe(2);
  expect(await inStock()).toBe(0);
  for (const { store } of world.providers) {
    for (const dealId of used) {
      const held = await loadHeldDeal(store, new Uint8Array(Buffer.from(dealId, "hex")));
      expect(["sealed", "burnt"]).toContain(held?.state);
    }
  }
});

test("a dealer that hangs delays nobody's exit for long", async () => {
  await newWorld();
  const client = newClient({}, newStock(1));
  await client.stock.fill();
  killDealer();
  const transport = world.network.transport(world.dealer, { clock: systemClock });
  const hang = (signal: AbortSignal) =>
    new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
  await transport.serve(DEALING_PROTOCOL, { channels: { deal: (_channel, _header, { signal }) => hang(signal) } });
  world.network.revive(world.dealer);
  await client.encrypt(sourceOf(MESSAGE, 100_000));
  const startedAtMs = Date.now();
  await client.close();
  expect(Date.now() - startedAtMs).toBeLessThan(2_000);
  expect(await inStock()).toBe(0);
  await transport.close();
});

test("without a stock there is none, and fill says where to change that", async () => {
  await newWorld();
  for (const client of [newClient({}, newStock(0)), newClient({ dealer: "self" })]) {
    expect(await errorOf(client.stock.fill())).toMatchObject({ code: "NO_STOCK", status: "bad-request" });
  }
  expect(await inStock()).toBe(0);
});

test("deals that expire too soon are not kept, and given up", async () => {
  await newWorld({ dealLifetimeMs: STOCK_MARGIN_MS });
  const client = newClient();
  expect(await errorOf(client.stock.fill())).toMatchObject({ code: "DEALS_TOO_SHORT" });
  expect(await inStock()).toBe(0);
  for (const { store } of world.providers) expect(await openDeals(store)).toEqual([]);
});

test("a home that was chosen and is away is said, and no deal is fetched for another", async () => {
  await newWorld();
  world.kill(2);
  const client = newClient({ home: "provider-2", providers: 3, threshold: 2 });
  expect(await errorOf(client.stock.fill())).toMatchObject({ code: "HOME_AWAY" });
  expect(await inStock()).toBe(0);
});

/** A deal of these providers, in stock. */
async function stocked(stock: DealStock, numbers: readonly number[]): Promise<FreshDeal> {
  const providers = peersOf(...numbers);
  const asked = { providers, threshold: 2, lengthBytes: KEY_LAYERED_BYTES, signal: SIGNAL };
  const deal = await freshDeal(world.user, asked);
  await stock.keep(deal);
  return deal;
}

const THREE = { providers: 3, threshold: 2, copies: 1 };

test("a deal whose provider died in the meantime is left alone, and another one is used", async () => {
  await newWorld();
  const stock = newStock();
  const user: CustodyUser = { ...world.user, stock };
  await stocked(stock, [1, 2, 3]);
  const good = await stocked(stock, [3, 4, 5]);
  killDealer();
  world.kill(1);
  const { tokenText, token } = await world.put(KEY, THREE, user);
  expect(token.dealId).toEqual(good.manifest.dealId);
  expect(await world.get(tokenText)).toEqual(KEY);
  expect(await inStock()).toBe(1);
  expect(await errorOf(world.put(KEY, THREE, user))).toMatchObject({
    ...{ code: "NO_DEAL", message: expect.stringContaining("1 deals in stock") },
  });
});

test.each([
  ["burnt the first of", "the next one is used", "chain"],
  ["burnt the first of", "the next one is used", "fanout"],
  ["lost all of", "a fresh one is made", "chain"],
] as const)("when a provider has %s the deals in stock, they are given up and %s (%s)", async (what, _, route) => {
  await newWorld();
  const stock = newStock();
  const first = await stocked(stock, [1, 2, 3]);
  const second = await stocked(stock, [1, 2, 3]);
  const { store } = world.providers[1]!;
  const isFirst = what.startsWith("burnt");
  if (isFirst) await burnDeal(store, first.manifest.dealId);
  else store.records.clear();
  const { tokenText, token } = await world.put(KEY, { ...THREE, route }, { ...world.user, stock });
  expect(Buffer.compare(token.dealId, second.manifest.dealId) === 0).toBe(isFirst);
  expect(await world.get(tokenText)).toEqual(KEY);
  expect(await inStock()).toBe(0);
  for (const { manifest } of isFirst ? [first] : [first, second]) {
    expect((await loadHeldDeal(world.providers[0]!.store, manifest.dealId))?.state).toBe("burnt");
  }
});

test("a stock that is put back from a copy uses no deal twice, and harms no deposit that was made on it", async () => {
  await newWorld();
  const stock = newStock();
  const user = { ...world.user, stock };
  const deal = await stocked(stock, [1, 2, 3]);
  const first = await world.put(KEY, THREE, user);
  expect(first.token.dealId).toEqual(deal.manifest.dealId);
  await stock.keep({ ...deal, userSeed: bytesOf(32, 3) });
  const second = await world.put(bytesOf(32, 4), THREE, user);
  expect(second.token.dealId).not.toEqual(deal.manifest.dealId);
  expect(await world.get(first.tokenText)).toEqual(KEY);
  expect(await world.get(second.tokenText)).toEqual(bytesOf(32, 4));
});

test("a deal of other numbers, another home or another dealer is not taken", async () => {
  await newWorld();
  const stock = newStock();
  const user: CustodyUser = { ...world.user, stock };
  await stocked(stock, [1, 2, 3]);
  const wrong = [{ threshold: 3 }, { providers: 4 }, { home: peersOf(2)[0] }, { dealer: "self" as const }];
  for (const change of wrong) await world.put(KEY, { ...THREE, ...change }, user);
  await world.put(bytesOf(33, 1), THREE, user);
  expect(await inStock()).toBe(1);
  await world.put(KEY, { ...THREE, dealer: world.dealer }, user);
  expect(await inStock()).toBe(0);
});

test("what is damaged in the stock costs a deal and no deposit", async () => {
  await newWorld();
  const stock = newStock();
  await stocked(stock, [1, 2, 3]);
  const [name] = await readdir(path.join(folder, "stock"));
  await writeFile(path.join(folder, "stock", name as string), "x");
  const { tokenText } = await world.put(KEY, THREE, { ...world.user, stock });
  expect(await world.get(tokenText)).toEqual(KEY);
});

test.each([
  ["short", bytesOf(100, 3)],
  ["longer than what travels in one message", MESSAGE],
])("what a user dealt for itself lives like any other deposit, with no dealer at all: %s", async (_, bytes) => {
  await newWorld();
  killDealer();
  const client = newClient();
  const { tokenText, token, proof } = await client.deposit(bytes, { dealer: "self" });
  expect(token.dealer).toBe("self");
  const { dealtBy, valid, federation } = reportProof(proof, client.members);
  expect({ dealtBy, valid, strangers: federation?.strangers }).toEqual({ dealtBy: "self", valid: true, strangers: [] });
  const back = async () => Buffer.compare(await collect((await client.retrieve(tokenText)).message), bytes);
  expect(await back()).toBe(0);
  await client.refresh(tokenText, { dealer: "self" });
  expect((await client.show(tokenText)).report).toMatchObject({
    dealtBy: "self",
    place: { dealtBy: "self", generation: 1 },
  });
  expect(await back()).toBe(0);
  await client.move(tokenText, { without: ["provider-1"], threshold: 2 }, { dealer: "self" });
  expect(await back()).toBe(0);
  const lost = world.providers[2]!;
  lost.store.records.clear();
  lost.store.files.clear();
  await client.repair(tokenText);
  world.kill(2, 4);
  expect(await back()).toBe(0);
  world.revive(2, 4);
  expect((await client.destroy(tokenText)).report.valid).toBe(true);
});

test("a whole life by settings alone, and what a dealer deals later is said to be its own", async () => {
  await newWorld();
  const client = newClient({ dealer: "self" });
  const { tokenText } = await client.deposit(MESSAGE);
  await client.refresh(tokenText, { dealer: "dealer-1" });
  expect((await client.verify(tokenText)).place.dealtBy).toBe("federation");
  const grantee = newClient();
  await client.grant(tokenText, grantee.identity);
  const { message } = await grantee.retrieve(tokenText);
  expect(Buffer.compare(await collect(message), MESSAGE)).toBe(0);
  expect(await errorOf(client.deposit(MESSAGE, { dealer: "nobody" }))).toMatchObject({ code: "UNKNOWN_DEALER_NAME" });
});

test("what somebody else dealt for itself is nobody else's deal: it is refused, also as a refresh", async () => {
  await newWorld();
  const other = world.stranger();
  const asked = { providers: peersOf(1, 2, 3), threshold: 2, lengthBytes: KEY_LAYERED_BYTES, signal: SIGNAL };
  const deal = await freshDeal(other, { ...asked, dealer: "self" });
  const stock = newStock();
  await stock.keep(deal);
  // To get it past its own check the user has to take the other for a dealer.
  const dealers = [dealerNameOf(other.session.identity)];
  const user = { ...world.user, stock, directory: { ...world.user.directory, dealers } };
  expect(await errorOf(world.put(KEY, THREE, user))).toMatchObject({ status: "refused" });
  for (const number of [1, 2, 3]) {
    const held = await loadHeldDeal(world.providers[number - 1]!.store, deal.manifest.dealId);
    expect(held?.state).not.toMatch(/bound|sealed/);
  }
});

test.each(["self", undefined] as const)(
  "a token that says the wrong thing about who dealt is refused (dealt by %s)",
  async (dealer) => {
    await newWorld();
    const { user } = world;
    const asked = { providers: peersOf(1, 2, 3), threshold: 2, lengthBytes: KEY_LAYERED_BYTES, signal: SIGNAL, dealer };
    const deal = await freshDeal(user, asked);
    const source = { lengthBytes: KEY.length, open: () => sourceOf(KEY, 32) };
    const options = { ...THREE, source, protocol: 3, route: "chain", candidates: [] } as const;
    const { terms, request } = makeOffer(user, options, deal, bytesOf(32, 5));
    const read = (of: Uint8Array) => readTerms(checkKeptRequest(of, "deposit"), deal.manifestBytes);
    expect(read(request).token.dealer).toBe(dealer);
    const { dealer: _, ...token } = terms.token;
    const lying = encodeToken(dealer === "self" ? token : { ...token, dealer: "self" });
    const descriptor = encodeDescriptor({ ...terms.descriptor, tokenId: tokenIdOf(lying) });
    const content = { token: lying, descriptor };
    expect(() => read(signedRequest(user, "deposit", content))).toThrow("disagree about the dealer");
  },
);

test("a user may leave only so many deals that it does not use; used, burnt or expired ones make room", async () => {
  await newWorld({ unboundLimits: { maxSelfDealtDeals: 1 } });
  const put = () => world.put(KEY, { dealer: "self", threshold: 3 });
  await put();
  await put();
  const asked = { providers: peersOf(1, 2, 3, 4, 5), threshold: 3, lengthBytes: KEY_LAYERED_BYTES, signal: SIGNAL };
  const unused = await freshDeal(world.user, { ...asked, dealer: "self" });
  expect(await errorOf(put())).toMatchObject({ code: "NO_ROOM", status: "full" });
  await world.put(KEY, { dealer: "self", threshold: 3 }, world.stranger());
  await world.put(KEY);
  for (const { store } of world.providers) await sweepDeals(store, Date.now() + DEAL_LIFETIME_MS + 1_000);
  expect((await loadHeldDeal(world.providers[0]!.store, unused.manifest.dealId))?.state).toBe("burnt");
  await put();
});

test("a refresh that cannot even begin gives its deal up", async () => {
  await newWorld();
  const { tokenText } = await world.put(KEY, { threshold: 3 });
  for (const { store } of world.providers.slice(0, 3)) store.records.clear();
  expect(await errorOf(world.change(tokenText, { dealer: "self" }))).toMatchObject({ code: "NOT_ENOUGH_PROVIDERS" });
  for (const { store } of world.providers) expect(await openDeals(store)).toEqual([]);
});
