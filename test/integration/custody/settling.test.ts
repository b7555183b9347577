/** What providers settle among themselves when somebody was away at the wrong moment, and what they do not let others settle. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { type CustodyUser, destroy, repairDeposit } from "../../../protocols/custody/client/index.ts";
import { signedRequest } from "../../../protocols/custody/client/user.ts";
import { CUSTODY_PROTOCOL } from "../../../protocols/custody/constants.ts";
import { findDeposit, loadDeposit } from "../../../protocols/custody/server/deposit-record.ts";
import { custodyHandlers, settleCustody, sweepDeposits } from "../../../protocols/custody/server/index.ts";
import { DEAL_LIFETIME_MS, loadHeldDeal, sweepDeals } from "../../../protocols/dealing/index.ts";
import { parseTokenText } from "../../../protocols/tokens/token-text.ts";
import type { CborValue } from "../../../protocols/wire/codec.ts";
import { IntercloudError } from "../../../protocols/wire/errors.ts";
import type { PeerName, Transport } from "../../../protocols/wire/transport.ts";
import { systemClock } from "../../../runtime/clock.ts";
import { bytesOf } from "../../support/bytes.ts";
import { createWorld, type World, type WorldProvider } from "../../support/custody-world.ts";

let world: World;
let skewMs = 0;
beforeEach(async () => {
  skewMs = 0;
  world = await createWorld({ providers: 5, clock: { ...systemClock, nowMs: () => Date.now() + skewMs } });
});
afterEach(async () => {
  await world.close();
  expect(world.faults).toEqual([]);
});

const MESSAGE = bytesOf(3_000, 42);
const CALL = { timeoutMs: 5_000 };
const signal = () => new AbortController().signal;
const provider = (number: number) => world.providers[number - 1]!;

/** The user, unable to say some things to some providers. */
function mute(isLost: (to: PeerName, method: string) => boolean): CustodyUser {
  const { transport } = world.user;
  const ask: Transport["ask"] = async (to, protocol, method, body, options) => {
    if (isLost(to, method)) throw new IntercloudError("GONE", "unreachable", "the line is dead");
    return await transport.ask(to, protocol, method, body, options);
  };
  return { ...world.user, transport: { ...transport, ask } };
}

async function generationAt({ store }: WorldProvider, tokenText: string): Promise<number | undefined> {
  return (await findDeposit(store, parseTokenText(tokenText).tokenId))?.placement.generation;
}

/** A provider gives its part of a refresh up that the others have completed. */
async function droppedAt(number: number): Promise<string> {
  const { tokenText } = await world.put(MESSAGE);
  const { peer } = provider(number);
  await world.change(
    tokenText,
    {},
    mute((to, method) => to === peer && method === "change-retire"),
  );
  const request = signedRequest(world.user, "change", { tokenId: parseTokenText(tokenText).tokenId, change: null });
  await world.user.transport.ask(peer, CUSTODY_PROTOCOL, "change-drop", { request }, CALL);
  expect(await generationAt(provider(number), tokenText)).toBe(0);
  return tokenText;
}

/** All read with two others that are good. */
async function readWith(number: number, tokenText: string): Promise<void> {
  const others = [1, 2, 3, 4, 5].filter((each) => each !== number).slice(0, 2);
  const away = [1, 2, 3, 4, 5].filter((each) => each !== number && !others.includes(each));
  world.kill(...away);
  expect(Buffer.compare(await world.get(tokenText), MESSAGE)).toBe(0);
  world.revive(...away);
}

test("a share that was given up with a change, which was completed all the same, comes back by a repair, and the old one goes", async () => {
  const tokenText = await droppedAt(4);
  const old = (await loadDeposit(provider(4).store, parseTokenText(tokenText).tokenId)).placement.manifest.dealId;
  const { providers } = await repairDeposit(world.user, parseTokenText(tokenText), signal());
  expect(providers.map(({ error }) => error)).toEqual([undefined, undefined, undefined, undefined, undefined]);
  expect(providers[3]?.repaired).toMatchObject({ record: true, share: true });
  expect(await generationAt(provider(4), tokenText)).toBe(1);
  expect((await loadHeldDeal(provider(4).store, old))?.state).toBe("burnt");
  await readWith(4, tokenText);
});

test("a provider that missed a change has a part in the next one all the same", async () => {
  const tokenText = await droppedAt(4);
  await world.change(tokenText);
  expect(await Promise.all(world.providers.map((each) => generationAt(each, tokenText)))).toEqual([2, 2, 2, 2, 2]);
  await readWith(4, tokenText);
});

test.each([
  ["refreshed", [] as readonly number[]],
  ["moved on", [1, 3]],
])(
  "a provider that was away while a deposit went away from it, and was then %s, loses its old share",
  async (_, next) => {
    const to = (numbers: readonly number[]) => ({
      destination: {
        ...{ providers: 2, threshold: 2, copies: 2 },
        candidates: numbers.map((number) => provider(number).peer),
      },
    });
    const { tokenText } = await world.put(MESSAGE);
    world.kill(4);
    await world.change(tokenText, to([5, 2]));
    await world.change(tokenText, next.length > 0 ? to(next) : {});
    world.revive(4);
    expect(await generationAt(provider(4), tokenText)).toBe(0);
    for (const { custody } of world.providers) await settleCustody(custody, signal());
    expect(await generationAt(provider(4), tokenText)).toBeUndefined();
    for (const { store } of world.providers) {
      expect([...store.records.keys()].filter((key) => key.startsWith("change-due/"))).toEqual([]);
    }
    expect(Buffer.compare(await world.get(tokenText), MESSAGE)).toBe(0);
  },
);

test("a provider that was away while a deposit went away from it, and was then destroyed, hears of that, however late", async () => {
  const destination = {
    providers: 2,
    threshold: 2,
    copies: 2,
    candidates: [5, 2].map((number) => provider(number).peer),
  };
  const { tokenText } = await world.put(MESSAGE);
  world.kill(4);
  await world.change(tokenText, { destination });
  await destroy(world.user, parseTokenText(tokenText), signal());
  world.revive(4);
  skewMs = 24 * 60 * 60_000;
  expect(await generationAt(provider(4), tokenText)).toBe(0);
  for (const { custody } of world.providers) await settleCustody(custody, signal());
  expect(await generationAt(provider(4), tokenText)).toBeUndefined();
  for (const { store } of world.providers) {
    expect([...store.records.keys()].filter((key) => /^change-due\//.test(key))).toEqual([]);
  }
});

test("a change that is given up while the deposit is destroyed is given up once", async () => {
  const { tokenText } = await world.put(MESSAGE);
  const dying = mute((_, method) => method === "change-retire" || method === "change-drop");
  await expect(world.change(tokenText, {}, dying)).rejects.toMatchObject({ code: "CHANGE_UNKNOWN" });
  const { tokenId } = parseTokenText(tokenText);
  const { store } = provider(2);
  const { get } = store;
  // The destroy has seen the change, and the other one gives it up before it goes on.
  const given = Promise.withResolvers<void>();
  let isFirst = true;
  store.get = async (key) => {
    const value = await get(key);
    if (!isFirst || !key.startsWith("change/")) return value;
    isFirst = false;
    await given.promise;
    return value;
  };
  const ask = (method: string, request: Uint8Array) =>
    world.user.transport.ask(provider(2).peer, CUSTODY_PROTOCOL, method, { request }, CALL);
  const destroying = ask("destroy", signedRequest(world.user, "destroy", { tokenId }));
  await expect.poll(() => isFirst).toBe(false);
  await ask("change-drop", signedRequest(world.user, "change", { tokenId, change: null }));
  given.resolve();
  await destroying;
  expect(store.events.filter(({ kind }) => kind === "change-dropped")).toHaveLength(1);
});

test("what a provider promised to hold it holds beyond the time of its deal, as long as somebody may have completed it", async () => {
  const { tokenText } = await world.put(MESSAGE);
  const dying = mute((_, method) => method === "change-retire" || method === "change-drop");
  await expect(world.change(tokenText, {}, dying)).rejects.toMatchObject({ code: "CHANGE_UNKNOWN" });
  const deals = () =>
    Promise.all(
      world.providers.slice(0, 4).map(async ({ store }) => {
        const ids = [...store.records.keys()].filter((key) => key.startsWith("deal/"));
        const held = await Promise.all(ids.map((key) => loadHeldDeal(store, Buffer.from(key.slice(5), "hex"))));
        return held.map((each) => each!.state).sort();
      }),
    );
  world.kill(5);
  skewMs = DEAL_LIFETIME_MS + 60 * 60_000;
  const passTime = async () => {
    for (const { custody } of world.providers.slice(0, 4)) {
      await sweepDeposits(custody, false);
      await sweepDeals(custody.store, custody.clock.nowMs());
      await settleCustody(custody, signal());
    }
  };
  await passTime();
  expect(await deals()).toEqual(Array.from({ length: 4 }, () => ["bound", "sealed"]));
  world.revive(5);
  await passTime();
  expect(await deals()).toEqual(Array.from({ length: 4 }, () => ["burnt", "sealed"]));
});

test("a provider that answers nonsense about a change keeps nobody from settling the others", async () => {
  const { tokenText } = await world.put(MESSAGE);
  const other = (await world.put(MESSAGE)).tokenText;
  const dying = mute((_, method) => method === "change-retire" || method === "change-drop");
  for (const each of [tokenText, other]) {
    await expect(world.change(each, {}, dying)).rejects.toMatchObject({ code: "CHANGE_UNKNOWN" });
  }
  const liar = provider(2);
  world.network.kill(liar.peer);
  const transport = world.network.transport(liar.peer, { clock: systemClock });
  const honest = custodyHandlers({ ...liar.custody, transport });
  const about = Buffer.from(parseTokenText(tokenText).tokenId).toString("hex");
  const answer = honest.asks!["change-status"]!;
  const lie: typeof answer = async (body, context) => {
    const { tokenId } = body as { readonly tokenId: Uint8Array };
    const isLie = Buffer.from(tokenId).toString("hex") === about;
    return isLie ? { state: "completed", proof: Buffer.from("nonsense") } : await answer(body, context);
  };
  const asks = { ...honest.asks, "change-status": lie };
  await transport.serve(CUSTODY_PROTOCOL, { ...honest, asks });
  world.network.revive(liar.peer);
  skewMs = 30 * 60_000;
  await settleCustody(provider(1).custody, signal());
  const underWay = [...provider(1).store.records.keys()].filter((key) => key.startsWith("change/"));
  expect(underWay).toEqual([`change/${about}`]);
  expect(Buffer.compare(await world.get(tokenText), MESSAGE)).toBe(0);
});

/** The client dies when it has told this provider, and nobody else, that the change is closed; that one keeps it back. */
async function keptBackAt(liar: WorldProvider, tokenText: string, change: Parameters<World["change"]>[1]) {
  const dying = mute((to, method) => to !== liar.peer && (method === "change-retire" || method === "change-drop"));
  await world.change(tokenText, change, dying);
  world.network.kill(liar.peer);
  const transport = world.network.transport(liar.peer, { clock: systemClock });
  const honest = custodyHandlers({ ...liar.custody, transport });
  const asks = { ...honest.asks, "change-status": async () => ({ state: "unknown", proof: null }) };
  await transport.serve(CUSTODY_PROTOCOL, { ...honest, asks });
  world.network.revive(liar.peer);
  skewMs = 30 * 60_000;
  for (const { peer, custody } of world.providers) if (peer !== liar.peer) await settleCustody(custody, signal());
  const { change: proof } = (await loadDeposit(liar.store, parseTokenText(tokenText).tokenId)).record;
  return (to: WorldProvider) => transport.ask(to.peer, CUSTODY_PROTOCOL, "change-retire", { proof }, CALL);
}

test("a liar that keeps back the word that closes a move, and shows it when the others gave the move up, makes nobody forget a share", async () => {
  const { tokenText } = await world.put(MESSAGE, { providers: 3, threshold: 2 });
  const candidates = [4, 5].map((number) => provider(number).peer);
  const destination = { providers: 2, threshold: 2, copies: 1, candidates };
  const show = await keptBackAt(provider(4), tokenText, { destination });
  expect(Buffer.compare(await world.get(tokenText), MESSAGE)).toBe(0);
  for (const number of [1, 2, 3]) {
    await expect(show(provider(number))).rejects.toMatchObject({ status: "unreachable" });
    expect(await generationAt(provider(number), tokenText)).toBe(0);
  }
  expect(Buffer.compare(await world.get(tokenText), MESSAGE)).toBe(0);
});

test.each([1, 2])(
  "after a refresh such a liar (provider %i) keeps nobody from reading it, nor its owner from moving it away",
  async (liar) => {
    const { tokenText } = await world.put(MESSAGE);
    const show = await keptBackAt(provider(liar), tokenText, {});
    const others = [1, 2, 3, 4, 5].filter((number) => number !== liar);
    for (const number of others) {
      await expect(show(provider(number))).rejects.toMatchObject({ status: "not-found" });
      expect(await generationAt(provider(number), tokenText)).toBe(0);
    }
    for (let tries = 0; tries < 3; tries += 1) expect(Buffer.compare(await world.get(tokenText), MESSAGE)).toBe(0);
    await expect(world.change(tokenText)).rejects.toMatchObject({ details: { peers: [provider(liar).peer] } });
    const candidates = others.map((number) => provider(number).peer);
    await world.change(tokenText, { destination: { providers: 4, threshold: 3, copies: 2, candidates } });
    expect(Buffer.compare(await world.get(tokenText), MESSAGE)).toBe(0);
  },
);

test("a provider that missed that the deposit went away loses what it had when the deposit is destroyed", async () => {
  const { tokenText } = await world.put(MESSAGE);
  const candidates = world.providers.slice(2).map(({ peer }) => peer);
  const { peer, store } = provider(1);
  const destination = { providers: 3, threshold: 2, copies: 2, candidates };
  await world.change(
    tokenText,
    { destination },
    mute((to, method) => to === peer && method === "change-retire"),
  );
  expect(await generationAt(provider(1), tokenText)).toBe(0);
  await destroy(world.user, parseTokenText(tokenText), signal());
  expect(await generationAt(provider(1), tokenText)).toBeUndefined();
  expect([...store.files.keys()]).toEqual([]);
});

test("an old request to give a deposit up is taken from its providers only, and not when its owner has used it since", async () => {
  const { tokenText, token } = await world.put(MESSAGE);
  const { tokenId } = parseTokenText(tokenText);
  const givingUp = (id: Uint8Array, dealId: Uint8Array) => ({
    request: signedRequest(world.user, "destroy", { tokenId: id, dealId }),
  });
  const body = givingUp(tokenId, token.dealId);
  const abandoned = await world.put(MESSAGE);
  const given = givingUp(parseTokenText(abandoned.tokenText).tokenId, abandoned.token.dealId);
  await world.change(tokenText);
  skewMs = 2 * 60 * 60_000;
  const tell = (as: Transport, what: CborValue) => as.ask(provider(1).peer, CUSTODY_PROTOCOL, "abandon", what, CALL);
  await expect(tell(world.stranger().transport, given)).rejects.toMatchObject({ status: "expired" });
  expect(await generationAt(provider(1), abandoned.tokenText)).toBe(0);
  await tell(provider(2).transport, given);
  expect(await generationAt(provider(1), abandoned.tokenText)).toBeUndefined();
  await tell(provider(2).transport, body);
  expect(await generationAt(provider(1), tokenText)).toBe(1);
});
