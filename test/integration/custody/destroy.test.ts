/** Destroying deposits: what goes, what stays, who says so, and what a crash in the middle leaves. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { reportReceipts } from "../../../client/receipts-report.ts";
import { destroy, findProof, grant, listDeposits, retrieve } from "../../../protocols/custody/client/index.ts";
import { type CustodyUser, signedRequest } from "../../../protocols/custody/client/user.ts";
import { CUSTODY_PROTOCOL } from "../../../protocols/custody/constants.ts";
import { encodeDestroyed, readDestroyed, readReceipts } from "../../../protocols/custody/destroyed.ts";
import { destroyRequestDigest, signReceipt } from "../../../protocols/custody/receipt.ts";
import { depositChange, loadDeposit } from "../../../protocols/custody/server/deposit-record.ts";
import { custodyHandlers, settleCustody, sweepDeposits } from "../../../protocols/custody/server/index.ts";
import {
  createDealKeeper,
  DEAL_LIFETIME_MS,
  DEALING_PROTOCOL,
  loadHeldDeal,
  sweepDeals,
} from "../../../protocols/dealing/index.ts";
import { createReplayGuard } from "../../../protocols/identity/index.ts";
import type { Change } from "../../../protocols/storage/index.ts";
import { encodeToken } from "../../../protocols/tokens/token.ts";
import { parseTokenText } from "../../../protocols/tokens/token-text.ts";
import type { Clock } from "../../../protocols/wire/clock.ts";
import type { CborValue } from "../../../protocols/wire/codec.ts";
import { IntercloudError } from "../../../protocols/wire/errors.ts";
import type { AskHandler } from "../../../protocols/wire/transport.ts";
import { systemClock } from "../../../runtime/clock.ts";
import { bytesOf, errorOf } from "../../support/bytes.ts";
import { createWorld, entropy, type World, type WorldProvider } from "../../support/custody-world.ts";
import { turnInto } from "../../support/turn-into.ts";

let world: World;
beforeEach(async () => {
  world = await createWorld({ providers: 5 });
});
afterEach(async () => {
  await world.close();
  expect(world.faults).toEqual([]);
});

const MESSAGE = bytesOf(300_000, 42);
const CALL = { timeoutMs: 5_000 };
const signal = () => AbortSignal.timeout(20_000);

const destroyAs = (user: CustodyUser, tokenText: string) => destroy(user, parseTokenText(tokenText), signal());
const mine = (tokenText: string) => destroyAs(world.user, tokenText);
const ask = (to: WorldProvider, method: string, body: CborValue, as: CustodyUser = world.user): Promise<CborValue> =>
  as.transport.ask(to.peer, CUSTODY_PROTOCOL, method, body, CALL);

/** What is there beside burnt deals and the deposits that were destroyed. */
function left({ store }: WorldProvider): string[] {
  const records = [...store.records.keys()].filter((key) => !/^(deal|destroyed)\//.test(key));
  return [...store.files.keys(), ...records];
}

function bytesIn({ store }: WorldProvider): Buffer {
  return Buffer.concat([...store.records.values(), ...store.files.values()]);
}

async function grantTo(tokenText: string, to: CustodyUser): Promise<void> {
  const options = { purposes: ["retrieve", "show"], expiresAtMs: null, signal: signal() } as const;
  await grant(world.user, { token: parseTokenText(tokenText), identity: to.session.identity, ...options });
}

/** As after `kill -9`: a new process on the same store. */
async function restart(number: number, nowMs = Date.now()): Promise<void> {
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
}

const answering = (number: number, answer: AskHandler) =>
  turnInto(world, number, { handlers: (honest) => ({ ...honest, asks: { ...honest.asks, destroy: answer } }) });

for (const route of ["chain", "fanout"] as const) {
  test(`a ${route} deposit is destroyed everywhere: share, ciphertext, grants and records go, the receipts hold offline`, async () => {
    const { tokenText, token } = await world.put(MESSAGE, { route });
    const bob = world.stranger();
    await grantTo(tokenText, bob);
    const seeds = await Promise.all(
      world.providers.map(async ({ store }) => (await loadHeldDeal(store, token.dealId))!.seed),
    );
    world.providers.forEach((provider, i) => {
      expect(bytesIn(provider).includes(seeds[i]!)).toBe(true);
    });
    const { destroyed, missing, needed, receipts } = await mine(tokenText);
    expect([destroyed.length, missing, needed]).toEqual([5, [], 3]);
    expect(destroyed.map(({ receipt }) => receipt.removed)).toEqual(
      [1, 2, 3, 4, 5].map((number) => ({ share: true, ciphertext: number <= 3 })),
    );
    expect(reportReceipts(receipts, world.user.directory)).toMatchObject({
      ...{ valid: true, destroyed: 5, needed: 3, unrecoverable: true, token: tokenText, missing: [] },
      receipts: [1, 2, 3, 4, 5].map((number) => ({ provider: `provider-${number}`, valid: true })),
    });
    expect(world.providers.map(left)).toEqual([[], [], [], [], []]);
    world.providers.forEach((provider, i) => {
      expect(bytesIn(provider).includes(seeds[i]!)).toBe(false);
    });
  });
}

test("the owner is told that a deposit was destroyed and when; for everybody else it has never been", async () => {
  const { tokenText } = await world.put(MESSAGE);
  const bob = world.stranger();
  await grantTo(tokenText, bob);
  const { destroyed } = await mine(tokenText);
  const atMs = Math.min(...destroyed.map(({ receipt }) => receipt.timeMs));
  const token = parseTokenText(tokenText);
  const gone = {
    ...{ code: "DESTROYED", status: "not-found", details: { destroyedAtMs: expect.any(Number) } },
    message: expect.stringMatching(/^this deposit was destroyed at \d{4}-/),
  };
  await expect(world.get(tokenText)).rejects.toMatchObject(gone);
  await expect(findProof(world.user, token, signal())).rejects.toMatchObject(gone);
  const error = await findProof(world.user, token, signal()).catch((reason) => reason);
  expect(error.details.destroyedAtMs).toBeGreaterThanOrEqual(atMs);
  expect((await listDeposits(world.user, signal())).deposits).toEqual([]);
  const unknown = { code: "NO_SUCH_DEPOSIT", status: "not-found" };
  for (const user of [bob, world.stranger()]) {
    await expect(world.get(tokenText, {}, user)).rejects.toMatchObject(unknown);
    await expect(destroyAs(user, tokenText)).rejects.toMatchObject(unknown);
    expect((await listDeposits(user, signal())).deposits).toEqual([]);
  }
  await expect(grantTo(tokenText, bob)).rejects.toMatchObject({ code: "DESTROYED" });
});

test("only the owner can destroy: not a grantee, not a stranger, and every provider decides it for itself", async () => {
  const { tokenText } = await world.put(MESSAGE);
  const { tokenId } = parseTokenText(tokenText);
  const [bob, stranger] = [world.stranger(), world.stranger()];
  await grantTo(tokenText, bob);
  for (const user of [bob, stranger]) {
    await expect(destroyAs(user, tokenText)).rejects.toMatchObject({ code: "NOT_THE_OWNER", status: "refused" });
    const request = signedRequest(user, "destroy", { tokenId });
    for (const provider of world.providers) {
      await expect(ask(provider, "destroy", { request }, user)).rejects.toMatchObject({ status: "refused" });
    }
  }
  expect(Buffer.compare(await world.get(tokenText, {}, bob), MESSAGE)).toBe(0);
  await mine(tokenText);
  const request = signedRequest(bob, "destroy", { tokenId });
  for (const provider of world.providers) {
    await expect(ask(provider, "destroy", { request }, bob)).rejects.toMatchObject({ status: "refused" });
  }
});

test("a token that nobody knows cannot be destroyed, and with nobody up nothing is", async () => {
  const { tokenText } = await world.put(MESSAGE);
  const token = { ...parseTokenText(tokenText), tokenId: entropy(32) };
  await expect(destroy(world.user, token, signal())).rejects.toMatchObject({ code: "NO_SUCH_DEPOSIT" });
  world.kill(1, 2, 3, 4, 5);
  await expect(mine(tokenText)).rejects.toMatchObject({ code: "NOT_ENOUGH_PROVIDERS", status: "unreachable" });
  world.revive(1, 2, 3, 4, 5);
  expect(Buffer.compare(await world.get(tokenText), MESSAGE)).toBe(0);
});

test("a second destroy gets the same receipts", async () => {
  const { tokenText } = await world.put(MESSAGE);
  const { receipts } = await mine(tokenText);
  expect(Buffer.compare((await mine(tokenText)).receipts, receipts)).toBe(0);
  await restart(2);
  await restart(4, Date.now() + 2 * DEAL_LIFETIME_MS);
  world.kill(4); // its clock is days ahead: it would call the request expired
  const { destroyed } = await mine(tokenText);
  const before = reportReceipts(receipts, undefined).receipts.filter(({ peer }) => peer !== world.providers[3]!.peer);
  expect(destroyed.map(({ receipt }) => [receipt.peer, new Date(receipt.timeMs).toISOString()])).toEqual(
    before.map(({ peer, time }) => [peer, time]),
  );
});

test("two destroys at the same time: one receipt for each provider", async () => {
  const { tokenText } = await world.put(MESSAGE);
  const [a, b] = await Promise.all([mine(tokenText), mine(tokenText)]);
  expect(Buffer.compare(a.receipts, b.receipts)).toBe(0);
  expect(a.destroyed).toHaveLength(5);
});

test("with some down it says how many did it; the message can be had until n-t+1 have, and never after", async () => {
  const { tokenText } = await world.put(MESSAGE);
  world.kill(1, 3, 5);
  const first = await mine(tokenText);
  expect([first.destroyed.length, first.needed, first.missing.length]).toEqual([2, 3, 3]);
  const partly = { code: "DESTROYED", message: expect.stringContaining("at 2 of 5 providers") };
  await expect(world.get(tokenText)).rejects.toMatchObject(partly);
  world.revive(1, 3, 5);
  expect(Buffer.compare(await world.get(tokenText), MESSAGE)).toBe(0);
  world.kill(1, 5);
  const second = await mine(tokenText);
  expect([second.destroyed.length, second.missing]).toEqual([3, [world.providers[0]!.peer, world.providers[4]!.peer]]);
  const report = reportReceipts(second.receipts, undefined);
  expect(report).toMatchObject({ valid: true, destroyed: 3, needed: 3, unrecoverable: true });
  world.revive(1, 5);
  // those two still show the proof, and are too few
  for (const route of ["fanout", "chain"] as const) {
    await expect(world.get(tokenText, { route })).rejects.toMatchObject({ code: "DESTROYED", status: "not-found" });
  }
  expect((await mine(tokenText)).destroyed).toHaveLength(5);
  expect(world.providers.map(left)).toEqual([[], [], [], [], []]);
});

/** Everything that a destroy does to the store, one after another. */
type Work = "commit" | "remove";

/** Lets the store die in its `at`th piece of work, before or after it is done; what comes later fails as well. */
function dieAt({ store }: WorldProvider, at: number, after: boolean): { mend(): void; done(): readonly Work[] } {
  const { commit, bodies } = store;
  const { remove } = bodies;
  const done: Work[] = [];
  let dead = false;
  const work = async (kind: Work, action: () => Promise<void>) => {
    const dies = done.length === at;
    if (dead || (dies && !after)) {
      dead = true;
      throw new Error("killed");
    }
    await action();
    done.push(kind);
    dead = dies;
    if (dead) throw new Error("killed");
  };
  store.commit = (changes: readonly Change[]) => work("commit", () => commit(changes));
  bodies.remove = (name) => work("remove", () => remove(name));
  return {
    mend() {
      store.commit = commit;
      bodies.remove = remove;
    },
    done: () => done,
  };
}

for (const after of [false, true]) {
  for (let at = 0; at < 4; at += 1) {
    test(`a crash ${after ? "after" : "before"} step ${at + 1} of 4: nothing happened, or all of it has at the next start`, async () => {
      const { tokenText, token } = await world.put(MESSAGE);
      const { tokenId } = parseTokenText(tokenText);
      const provider = world.providers[2]!;
      const dying = dieAt(provider, at, after);
      const request = signedRequest(world.user, "destroy", { tokenId });
      await expect(ask(provider, "destroy", { request })).rejects.toMatchObject({ status: "internal" });
      expect(world.faults.splice(0)).toHaveLength(1);
      expect(dying.done()).toEqual((["commit", "remove", "commit", "remove"] as const).slice(0, at + (after ? 1 : 0)));
      dying.mend();
      const begun = at > 0 || after;
      const seed = (await loadHeldDeal(provider.store, token.dealId))?.seed.length;
      expect(seed).toBe(begun ? 0 : 32);

      await restart(3);
      if (!begun) {
        world.kill(4, 5);
        expect(Buffer.compare(await world.get(tokenText), MESSAGE)).toBe(0);
        world.revive(4, 5);
      }
      if (begun) expect(left(provider)).toEqual([]);
      const signed = provider.store.records.get(`destroyed/${Buffer.from(tokenId).toString("hex")}`);
      const again = signedRequest(world.user, "destroy", { tokenId });
      const { destroyed } = (await ask(provider, "destroy", { request: again })) as { destroyed: Uint8Array };
      if (begun) expect(Buffer.compare(destroyed, signed!)).toBe(0);
      const expected = destroyRequestDigest(begun ? request : again);
      expect(readDestroyed(destroyed).receipt.requestDigest).toEqual(expected);
      expect(left(provider)).toEqual([]);
      expect((await mine(tokenText)).destroyed).toHaveLength(5);
    });
  }
}

test("a disk that fails to remove a file: the next destroy removes it, without a restart", async () => {
  const { tokenText } = await world.put(MESSAGE);
  const dying = dieAt(world.providers[0]!, 1, false);
  const first = await mine(tokenText);
  expect(first.missing).toEqual([world.providers[0]!.peer]);
  expect(world.faults.splice(0)).toHaveLength(1);
  dying.mend();
  expect(left(world.providers[0]!)).not.toEqual([]);
  expect((await mine(tokenText)).destroyed).toHaveLength(5);
  expect(left(world.providers[0]!)).toEqual([]);
});

for (const route of ["chain", "fanout"] as const) {
  test(`retrievals that are under way end when the deposit is destroyed (${route})`, async () => {
    const message = bytesOf(24_000_000, 5);
    const { tokenText } = await world.put(message);
    const bob = world.stranger();
    await grantTo(tokenText, bob);
    const options = { token: parseTokenText(tokenText), route, userShare: async () => undefined };
    const started = await Promise.all([retrieve(world.user, options), retrieve(bob, options)]);
    const destroying = Promise.withResolvers<void>();
    const reading = started.map(async ({ message: stream }, i) => {
      let lengthBytes = 0;
      for await (const chunk of stream) {
        if (lengthBytes === 0 && i === 0) mine(tokenText).then(() => destroying.resolve(), destroying.reject);
        await destroying.promise;
        lengthBytes += chunk.length;
      }
      return lengthBytes;
    });
    const [own, granted] = await Promise.allSettled(reading);
    expect(own).toMatchObject({ status: "rejected", reason: { code: "DESTROYED", status: "not-found" } });
    expect(granted).toMatchObject({ status: "rejected", reason: { code: "NOT_ENOUGH_PROVIDERS" } });
    expect(world.providers.map(left)).toEqual([[], [], [], [], []]);
  });
}

test("a retrieval that begins while the deposit is being destroyed gets nothing after the receipt was signed", async () => {
  const { tokenText, token } = await world.put(MESSAGE);
  const { store } = world.providers[0]!;
  const reached = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  const { get } = store;
  const dealKey = `deal/${Buffer.from(token.dealId).toString("hex")}`;
  let reads = 0;
  store.get = async (key) => {
    if (key === dealKey) {
      reads += 1;
      if (reads === 1) {
        reached.resolve();
        await goOn.promise;
      }
    }
    return await get(key);
  };
  world.kill(4, 5);
  const getting = errorOf(world.get(tokenText));
  await reached.promise;
  const destroying = mine(tokenText);
  await expect.poll(async () => (await loadHeldDeal({ ...store, get }, token.dealId))?.state).toBe("burnt");
  goOn.resolve();
  expect((await destroying).destroyed).toHaveLength(3);
  expect(await getting).toMatchObject({ code: "DESTROYED" });
});

test("a deal that was destroyed never comes back: not by its dealer, not by the owner's old requests", async () => {
  const { tokenText, token } = await world.put(MESSAGE);
  const { tokenId } = parseTokenText(tokenText);
  const before = await Promise.all(world.providers.map(({ store }) => loadDeposit(store, tokenId)));
  await mine(tokenText);
  for (const [i, provider] of world.providers.entries()) {
    const { request, manifest, links, keeping, closing } = before[i]!.record;
    await expect(ask(provider, "bind", { request, manifest })).rejects.toMatchObject({
      status: expect.stringMatching(/^(replayed|conflict)$/),
    });
    await expect(ask(provider, "seal", { closing, links, keeping })).rejects.toMatchObject({ status: "not-found" });
    const dealing = { timeoutMs: 5_000 };
    const prepare = provider.transport.ask(
      provider.peer,
      DEALING_PROTOCOL,
      "prepare",
      { dealId: token.dealId, lengthBytes: 100, point: 1, corrected: false, sealedSeed: new Uint8Array(80) },
      dealing,
    );
    await expect(prepare).rejects.toMatchObject({ status: expect.stringMatching(/^(refused|conflict)$/) });
    expect((await loadHeldDeal(provider.store, token.dealId))?.state).toBe("burnt");
  }
});

test("a destroy that a provider sends on does what the owner wants, or is refused; never more than that", async () => {
  await world.close();
  let skewMs = 0;
  world = await createWorld({ providers: 5, clock: { ...systemClock, nowMs: () => Date.now() + skewMs } });
  const { tokenText, token } = await world.put(MESSAGE);
  const other = await world.put(MESSAGE);
  const { tokenId } = parseTokenText(tokenText);
  const seen: Uint8Array[] = [];
  const evil = world.providers[0]!;
  await answering(1, async (body) => {
    seen.push((body as { readonly request: Uint8Array }).request);
    throw new Error("never mind");
  });
  world.kill(5);
  expect((await mine(tokenText)).destroyed).toHaveLength(3);
  world.revive(5);
  const [request = new Uint8Array()] = seen;
  const replay = (to: WorldProvider, method = "destroy") =>
    evil.custody.transport.ask(to.peer, CUSTODY_PROTOCOL, method, { request }, CALL);
  const receipts = (await mine(tokenText)).receipts;
  for (const to of world.providers.slice(1)) await replay(to);
  expect(Buffer.compare((await mine(tokenText)).receipts, receipts)).toBe(0);
  // as a request to give a deposit up it would leave no receipt; as one about another deposit it is none
  for (const to of world.providers.slice(1)) {
    await expect(replay(to, "abandon")).rejects.toMatchObject({ status: "bad-request" });
    await expect(replay(to, "grant")).rejects.toMatchObject({ status: "refused" });
    const givingUp = signedRequest(world.user, "destroy", { tokenId, dealId: token.dealId });
    await expect(ask(to, "destroy", { request: givingUp })).rejects.toMatchObject({ status: "bad-request" });
  }
  expect(Buffer.compare(await world.get(other.tokenText), MESSAGE)).toBe(0);
  skewMs = 130_000;
  for (const to of world.providers.slice(1)) await expect(replay(to)).rejects.toMatchObject({ status: "expired" });
});

test("a destroy with a clock that is two hours off is refused, and says so", async () => {
  const { tokenText } = await world.put(MESSAGE);
  const { tokenId } = parseTokenText(tokenText);
  for (const offMs of [-2 * 60 * 60_000, 2 * 60 * 60_000]) {
    const off: CustodyUser = { ...world.user, clock: { ...systemClock, nowMs: () => Date.now() + offMs } };
    await expect(destroyAs(off, tokenText)).rejects.toMatchObject({
      ...{ code: "REQUEST_EXPIRED", status: "expired", message: expect.stringContaining("120 minutes") },
    });
    for (const provider of world.providers) {
      const request = signedRequest(off, "destroy", { tokenId });
      await expect(ask(provider, "destroy", { request })).rejects.toMatchObject({ status: "expired" });
    }
  }
  expect(Buffer.compare(await world.get(tokenText), MESSAGE)).toBe(0);
});

test("receipts that are not this provider's, for this deposit, at this owner's request do not count", async () => {
  const { tokenText } = await world.put(MESSAGE);
  const other = await mine((await world.put(MESSAGE)).tokenText);
  const { tokenId } = parseTokenText(tokenText);
  const { terms, record } = await loadDeposit(world.providers[0]!.store, tokenId);
  const request = signedRequest(world.user, "destroy", { tokenId });
  const made = (number: number, change: object = {}, signer = world.providers[number - 1]!.signer) => {
    const receipt = signReceipt(
      {
        ...{ version: 1, tokenId, peer: world.providers[number - 1]!.peer, removed: { share: true, ciphertext: true } },
        ...{ requestDigest: destroyRequestDigest(request), timeMs: Date.now(), ...change },
      },
      signer,
    );
    return encodeDestroyed({
      token: encodeToken(terms.token),
      manifest: record.manifest,
      change: null,
      request,
      receipt,
    });
  };
  expect(readDestroyed(made(2)).receipt.peer).toBe(world.providers[1]!.peer);
  const lies: readonly Uint8Array[] = [
    made(3), // another provider's
    encodeDestroyed(other.destroyed[1]!.bytes), // its own, of another deposit
    made(2, {}, world.providers[3]!.signer), // signed by another key
    made(2, { requestDigest: entropy(32) }), // at no request of the owner's
    new Uint8Array(50),
  ];
  for (const lie of lies) {
    await answering(2, async () => ({ destroyed: lie }));
    const { missing, destroyed } = await mine(tokenText);
    expect([missing, destroyed.length]).toEqual([[world.providers[1]!.peer], 4]);
  }
});

test("home cannot say of a deposit that it was destroyed: the others are asked", async () => {
  const destroyed = await mine((await world.put(MESSAGE)).tokenText);
  const { tokenText } = await world.put(MESSAGE);
  for (const lie of [encodeDestroyed(destroyed.destroyed[0]!.bytes), new Uint8Array(50)]) {
    await turnInto(world, 1, {
      handlers: (honest) => ({ ...honest, asks: { ...honest.asks, show: async () => ({ destroyed: lie }) } }),
    });
    expect(Buffer.compare(await world.get(tokenText), MESSAGE)).toBe(0);
  }
});

test("a deposit that was sealed at some providers only is destroyed wherever it is", async () => {
  const { tokenText } = await world.put(MESSAGE);
  const { tokenId } = parseTokenText(tokenText);
  const { store } = world.providers[3]!;
  const { record } = await loadDeposit(store, tokenId);
  await store.commit([depositChange(tokenId, { ...record, state: "linked", closing: null, links: [] })]);
  expect((await mine(tokenText)).destroyed).toHaveLength(5);
  expect(left(world.providers[3]!).filter((key) => !key.startsWith("owner/"))).toEqual([]);
});

test("what is destroyed makes room under the owner's quota", async () => {
  await world.close();
  world = await createWorld({ providers: 5, limits: { maxOwnerBytes: 500_000 } });
  const { tokenText } = await world.put(MESSAGE);
  await expect(world.put(MESSAGE)).rejects.toMatchObject({ status: "full" });
  await mine(tokenText);
  expect(Buffer.compare(await world.get((await world.put(MESSAGE)).tokenText), MESSAGE)).toBe(0);
});

test("a deposit that failed while it was sealed leaves no receipt: there was nothing to destroy", async () => {
  let sealed = 0;
  const seal = async () => {
    await expect
      .poll(() => [...world.providers[0]!.store.records.keys()].some((key) => key.startsWith("owner/")))
      .toBe(true);
    sealed += 1;
    throw new IntercloudError("WRONG_STATE", "conflict", "no");
  };
  await turnInto(world, 4, { handlers: (honest) => ({ ...honest, asks: { ...honest.asks, seal } }) });
  await expect(world.put(MESSAGE)).rejects.toMatchObject({ code: "NOT_ENOUGH_PROVIDERS" });
  expect(sealed).toBe(1);
  // Until then each remembers to tell the others.
  for (const { custody } of world.providers) await settleCustody(custody, new AbortController().signal);
  for (const provider of world.providers) {
    expect(left(provider)).toEqual([]);
    expect([...provider.store.records.keys()].filter((key) => key.startsWith("destroyed/"))).toEqual([]);
  }
});

test("after a refresh and a move the providers that have it now destroy it, and the receipts say so", async () => {
  const { tokenText } = await world.put(MESSAGE, { providers: 3, threshold: 2 });
  await world.change(tokenText);
  const candidates = [5, 4, 3, 2].map((number) => world.providers[number - 1]!.peer);
  await world.change(tokenText, { destination: { providers: 4, threshold: 2, copies: 2, candidates } });
  const { destroyed, missing, needed, receipts } = await destroy(world.user, parseTokenText(tokenText), signal());
  expect([destroyed.length, missing, needed]).toEqual([4, [], 3]);
  expect(readReceipts(receipts).receipts.map(({ problem }) => problem)).toEqual([
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
  for (const { store } of world.providers) expect([...store.files.keys()]).toEqual([]);
  await expect(world.get(tokenText)).rejects.toMatchObject({ code: "DESTROYED" });
  await expect(world.change(tokenText)).rejects.toMatchObject({ code: "DESTROYED" });
});
