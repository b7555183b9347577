/** Deposits and retrievals that are interrupted: crashes, races and peers that are slow. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { retrieve } from "../../../protocols/custody/client/index.ts";
import { makeOffer } from "../../../protocols/custody/client/offer.ts";
import { CUSTODY_PROTOCOL } from "../../../protocols/custody/constants.ts";
import { burnDeposit, ciphertextName, loadDeposit } from "../../../protocols/custody/server/deposit-record.ts";
import {
  type CustodyProvider,
  custodyHandlers,
  settleCustody,
  sweepDeposits,
} from "../../../protocols/custody/server/index.ts";
import { requestDeal } from "../../../protocols/dealing/client.ts";
import { createDealKeeper, DEAL_LIFETIME_MS, DEALING_PROTOCOL, sweepDeals } from "../../../protocols/dealing/index.ts";
import { checkManifest } from "../../../protocols/dealing/manifest.ts";
import { createReplayGuard } from "../../../protocols/identity/index.ts";
import { layeredBytes } from "../../../protocols/tokens/message.ts";
import { parseTokenText } from "../../../protocols/tokens/token-text.ts";
import type { Clock } from "../../../protocols/wire/clock.ts";
import { systemClock } from "../../../runtime/clock.ts";
import { bytesOf } from "../../support/bytes.ts";
import { createWorld, entropy, type World, type WorldProvider } from "../../support/custody-world.ts";

let world: World;
beforeEach(async () => {
  world = await createWorld({ providers: 5 });
});
afterEach(async () => {
  await world.close();
  expect(world.faults).toEqual([]);
});

const MESSAGE = bytesOf(300_000, 42);

/** Everything but the ids of burnt deals. */
function left({ store }: WorldProvider): string[] {
  return [...store.files.keys(), ...[...store.records.keys()].filter((key) => !key.startsWith("deal/"))];
}

/** As after `kill -9`: a new process on the same store. */
async function restart(number: number, nowMs = Date.now()): Promise<CustodyProvider> {
  const { peer, custody, store, agreementKey } = world.providers[number - 1]!;
  world.network.kill(peer);
  const clock: Clock = { ...systemClock, nowMs: () => Math.max(nowMs, Date.now()) };
  const transport = world.network.transport(peer, { clock: systemClock, limits: { idleTimeoutMs: 5_000 } });
  const started = { ...custody, clock, transport, replayGuard: createReplayGuard(clock.nowMs()) };
  await sweepDeposits(started, true);
  await sweepDeals(store, clock.nowMs());
  const { isDealer, tools } = custody;
  const { keystream } = tools;
  await transport.serve(DEALING_PROTOCOL, createDealKeeper({ peer, agreementKey, store, clock, keystream, isDealer }));
  await transport.serve(CUSTODY_PROTOCOL, custodyHandlers(started));
  world.network.revive(peer);
  return started;
}

/** Time passes faster: at ten times the idle timeout of 5 s is over in half a second. */
async function fastWorld(providers: number, times = 5): Promise<World> {
  const startMs = Date.now();
  const clock: Clock = {
    nowMs: () => startMs + times * (Date.now() - startMs),
    after: (delayMs, action) => systemClock.after(delayMs / times, action),
  };
  return await createWorld({ providers, clock });
}

/** As a process that is stopped in the middle of its work: it reads its share and never goes on. */
function stall({ store }: WorldProvider): () => void {
  const { read } = store.bodies;
  store.bodies.read = async function* () {
    await new Promise(() => {});
  };
  return () => {
    store.bodies.read = read;
  };
}

const later = () => Date.now() + DEAL_LIFETIME_MS + 60_000;

test("a provider that restarts between its link and the seal still seals", async () => {
  let restarted: Promise<CustodyProvider> | undefined;
  const { tokenText } = await world
    .put(MESSAGE, {
      protocol: 2,
      async keepUserShare() {
        restarted ??= restart(3);
        await restarted;
      },
    })
    .then(async (done) => {
      await restarted;
      return done;
    });
  const share = (await loadDeposit(world.providers[2]!.store, parseTokenText(tokenText).tokenId)).record.state;
  expect(share).toBe("sealed");
});

for (const route of ["chain", "fanout"] as const) {
  test(`a client that dies before it seals: nothing is left when the deal has expired (${route})`, async () => {
    const userPeer = world.user.transport.peer;
    const putting = world.put(MESSAGE, {
      ...{ protocol: 2, route },
      keepUserShare: async () => world.network.kill(userPeer),
    });
    await expect(putting).rejects.toMatchObject({ status: "unreachable" });
    const started: CustodyProvider[] = [];
    for (const { number } of world.providers) started.push(await restart(number, later()));
    // Each has signed its link, so each asks the others first whether the client had told them more.
    for (const provider of started) await settleCustody(provider, new AbortController().signal);
    expect(world.providers.map(left)).toEqual([[], [], [], [], []]);
  });

  test(`a client that dies while it pours: nothing is left at once (${route})`, async () => {
    const userPeer = world.user.transport.peer;
    const putting = world.put(bytesOf(4_000_000, 3), {
      route,
      onProgress({ phase, doneBytes }) {
        if (phase === "pouring" && doneBytes > 2_000_000) world.network.kill(userPeer);
      },
    });
    await expect(putting).rejects.toMatchObject({ status: "unreachable" });
    await expect.poll(() => world.providers.map(left), { timeout: 10_000 }).toEqual([[], [], [], [], []]);
  });

  test(`home dies while it copies: the others keep nothing, and home nothing after a restart (${route})`, async () => {
    const keeper = world.providers[1]!;
    let chunks = 0;
    keeper.store.onChunk = async () => {
      // 300 kB are a handful of chunks for the correction, if there is one; provider 2 of 5 at t=3 has none
      chunks += 1;
      if (chunks === 2) world.kill(1);
    };
    await expect(world.put(MESSAGE, { route })).rejects.toMatchObject({
      status: "unreachable",
      details: { answered: expect.any(Number), needed: 5 },
    });
    await expect.poll(() => world.providers.slice(1).map(left), { timeout: 10_000 }).toEqual([[], [], [], []]);
    await restart(1, later());
    expect(left(world.providers[0]!)).toEqual([]);
  });

  test(`a keeper with a slow disk: what is on its way takes longer than a peer waits for a silent one (${route})`, async () => {
    await world.close();
    world = await fastWorld(5, 4);
    world.providers[1]!.store.onChunk = () => new Promise((resolve) => setTimeout(resolve, 20));
    const message = bytesOf(12_000_000, 4);
    const { tokenText } = await world.put(message, { route });
    expect(Buffer.compare(await world.get(tokenText), message)).toBe(0);
  });
}

for (const route of ["chain", "fanout"] as const) {
  test(`a provider that stands still in the middle of a deposit: an error in time, and nothing is left (${route})`, async () => {
    await world.close();
    world = await fastWorld(5);
    stall(world.providers[3]!);
    await expect(world.put(bytesOf(2_000_000, 9), { route })).rejects.toMatchObject({
      code: "NOT_ENOUGH_PROVIDERS",
      details: { answered: 4, needed: 5 },
    });
    await expect.poll(() => world.providers.map(left), { timeout: 10_000 }).toEqual([[], [], [], [], []]);
  });

  test(`a provider that stands still in the middle of a retrieval is replaced (${route})`, async () => {
    await world.close();
    world = await fastWorld(5);
    const message = bytesOf(2_000_000, 9);
    const { tokenText } = await world.put(message);
    const goOn = stall(world.providers[2]!);
    world.kill(5);
    const replaced: string[] = [];
    const back = await world.get(tokenText, { route, onWarning: ({ peers }) => void replaced.push(...peers) });
    expect(Buffer.compare(back, message)).toBe(0);
    expect(new Set(replaced).size).toBeLessThanOrEqual(1);
    goOn();
  });
}

test("a bind that the abandon overtakes: nothing is left, also at the provider that was slow to bind", async () => {
  const { custody } = world.providers[3]!;
  const controller = new AbortController();
  const bound = Promise.withResolvers<void>();
  let asked = 0;
  Object.assign(custody, {
    async freeBytes() {
      asked += 1;
      // The first time is the hello, the second the bind.
      if (asked === 2) {
        controller.abort();
        setTimeout(bound.resolve, 200);
        await bound.promise;
      }
      return 2 ** 40;
    },
  });
  await expect(world.put(MESSAGE, { signal: controller.signal })).rejects.toMatchObject({ code: "CANCELLED" });
  await bound.promise;
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(asked).toBe(2);
  expect(world.providers.map(left)).toEqual([[], [], [], [], []]);
});

test("a message that cannot be read any more when its deal is made: the deal is given up, too", async () => {
  let dealt = false;
  const source = {
    lengthBytes: 300_000,
    async *open() {
      yield MESSAGE.slice(0, 1000);
      await expect
        .poll(() => world.providers.every(({ store }) => store.records.size > 0), { timeout: 5_000 })
        .toBe(true);
      // The last answer is still on its way to the user.
      await new Promise((resolve) => setTimeout(resolve, 100));
      dealt = true;
      throw new Error("the disk was pulled out");
    },
  };
  await expect(world.put(MESSAGE, { source })).rejects.toThrow("the disk was pulled out");
  expect(dealt).toBe(true);
  expect(world.providers.map(left)).toEqual([[], [], [], [], []]);
});

test("two users bind the same deal: one has it, the other is told, and nothing of either is mixed up", async () => {
  const { manifestBytes } = await requestDeal({
    ...{
      transport: world.user.transport,
      dealer: world.dealer,
      session: world.user.session,
      clock: systemClock,
      entropy,
    },
    ...{ threshold: 3, providers: world.user.directory.providers, lengthBytes: layeredBytes(1000) },
  });
  const deal = { manifestBytes, manifest: checkManifest(manifestBytes), userSeed: new Uint8Array(32) };
  const options = {
    ...{ source: { lengthBytes: 1000, open: () => [] as never }, protocol: 3 as const, route: "chain" as const },
    ...{ providers: 5, threshold: 3, copies: 3, candidates: [] },
  };
  const results = await Promise.all(
    [world.user, world.stranger()].map(async (user) => {
      const { request, manifest } = makeOffer(user, options, deal, entropy(32));
      const call = { timeoutMs: 5_000 };
      const { peer } = world.providers[0]!;
      const asking = user.transport.ask(peer, CUSTODY_PROTOCOL, "bind", { request, manifest }, call);
      return await asking.then(
        () => "bound",
        (error) => error.status,
      );
    }),
  );
  expect(results.sort()).toEqual(["bound", "conflict"]);
});

test("what a crash in the middle of a burn leaves is removed at the next start", async () => {
  const { tokenText } = await world.put(MESSAGE);
  const { tokenId } = parseTokenText(tokenText);
  const { store } = world.providers[2]!;
  const deposit = await loadDeposit(store, tokenId);
  const burnt = { kind: "burnt", dealId: deposit.terms.manifest.dealId, tokenId, why: "failed" } as const;
  const remove = store.bodies.remove;
  store.bodies.remove = async () => {
    throw new Error("killed");
  };
  await expect(burnDeposit(store, deposit, burnt)).rejects.toThrow("killed");
  store.bodies.remove = remove;
  expect([...store.files.keys()]).toContain(ciphertextName(tokenId));
  await restart(3);
  expect(left(world.providers[2]!)).toEqual([]);
});

test("a reader that was away for longer than the providers wait: nobody is left out for it", async () => {
  await world.close();
  let skewMs = 0;
  const clock: Clock = { ...systemClock, nowMs: () => Date.now() + skewMs };
  world = await createWorld({ providers: 3, clock });
  const message = bytesOf(6_000_000, 5);
  const { tokenText } = await world.put(message);
  const warnings: string[] = [];
  const { message: stream } = await retrieve(world.user, {
    ...{ token: parseTokenText(tokenText), route: "fanout", userShare: async () => undefined },
    onWarning: ({ kind }) => void warnings.push(kind),
  });
  const parts: Uint8Array[] = [];
  let away = false;
  for await (const part of stream) {
    parts.push(part.slice());
    if (away) continue;
    away = true;
    // what providers do to a reader that takes nothing: all of them end the round
    skewMs += 40_000;
    world.kill(1, 2, 3);
    await new Promise((resolve) => setTimeout(resolve, 50));
    world.revive(1, 2, 3);
  }
  expect(Buffer.compare(Buffer.concat(parts), message)).toBe(0);
  expect(warnings).toEqual([]);
});

test("one copy, and home dead: says that nobody has the ciphertext", async () => {
  const { tokenText } = await world.put(MESSAGE, { copies: 1 });
  world.kill(1);
  await expect(world.get(tokenText)).rejects.toMatchObject({ code: "NO_CIPHERTEXT", status: "unreachable" });
});

test("home and all other providers of a deposit dead, others alive: not enough, and not 'no such deposit'", async () => {
  const { tokenText } = await world.put(MESSAGE, { providers: 3, threshold: 2, copies: 3 });
  world.kill(1, 2, 3);
  await expect(world.get(tokenText)).rejects.toMatchObject({ code: "NOT_ENOUGH_PROVIDERS", status: "unreachable" });
});
