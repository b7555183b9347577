/** Who may read a deposit besides its owner: granting, revoking, and every way around it. */
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { newAgreementKey } from "../../../protocols/crypto/key-agreement.ts";
import { newSigner } from "../../../protocols/crypto/signing.ts";
import {
  askStanding,
  findProof,
  grant,
  listDeposits,
  repairGrants,
  retrieve,
  revoke,
} from "../../../protocols/custody/client/index.ts";
import { type CustodyUser, signedRequest } from "../../../protocols/custody/client/user.ts";
import { CUSTODY_PROTOCOL, MAX_GRANTS } from "../../../protocols/custody/constants.ts";
import { compareGrants, type Grant, type GrantList, type GrantPurpose } from "../../../protocols/custody/grants.ts";
import { siteOf } from "../../../protocols/custody/placement.ts";
import { loadDeposit } from "../../../protocols/custody/server/deposit-record.ts";
import { loadGrants } from "../../../protocols/custody/server/grant-record.ts";
import { restoreAll } from "../../../protocols/custody/server/index.ts";
import { identityOfKey, openSession, PURPOSES } from "../../../protocols/identity/index.ts";
import { encodeDescriptor } from "../../../protocols/rounds/index.ts";
import { encodeToken } from "../../../protocols/tokens/token.ts";
import { parseTokenText } from "../../../protocols/tokens/token-text.ts";
import type { Clock } from "../../../protocols/wire/clock.ts";
import type { CborValue } from "../../../protocols/wire/codec.ts";
import { systemClock } from "../../../runtime/clock.ts";
import { bytesOf } from "../../support/bytes.ts";
import {
  createWorld,
  entropy,
  type World,
  type WorldOptions,
  type WorldProvider,
} from "../../support/custody-world.ts";
import { turnInto } from "../../support/turn-into.ts";

let world: World;
let bob: CustodyUser;
beforeEach(async () => {
  await useWorld({ providers: 5 });
});
afterEach(async () => {
  await world.close();
  expect(world.faults).toEqual([]);
});

const MESSAGE = bytesOf(300_000, 42);
const CALL = { timeoutMs: 5_000 };
const BOTH: readonly GrantPurpose[] = ["retrieve", "show"];

async function useWorld(options: WorldOptions): Promise<void> {
  await world?.close();
  world = await createWorld(options);
  bob = world.stranger();
}

const signal = () => AbortSignal.timeout(20_000);
const idOf = (user: CustodyUser) => user.session.identity;

async function grantTo(tokenText: string, to: CustodyUser, terms: Partial<Grant> = {}, as: CustodyUser = world.user) {
  const token = parseTokenText(tokenText);
  const options = { token, identity: idOf(to), purposes: BOTH, expiresAtMs: null, ...terms, signal: signal() };
  return await grant(as, options);
}

async function revokeFrom(tokenText: string, from: CustodyUser, as: CustodyUser = world.user) {
  return await revoke(as, { token: parseTokenText(tokenText), identity: idOf(from), signal: signal() });
}

const askAs = (user: CustodyUser, to: WorldProvider, method: string, request: Uint8Array): Promise<CborValue> =>
  user.transport.ask(to.peer, CUSTODY_PROTOCOL, method, { request }, CALL);

function listRequest(tokenText: string, list: Omit<GrantList, "tokenId">, by: CustodyUser = world.user): Uint8Array {
  const { tokenId } = parseTokenText(tokenText);
  return signedRequest(by, "grant", { tokenId, ...list, grants: list.grants.map((each) => ({ ...each })) });
}

/** "ok" or the status of the refusal, at each provider, for the proof alone. */
async function shownTo(user: CustodyUser, tokenText: string): Promise<string[]> {
  const { tokenId } = parseTokenText(tokenText);
  return await Promise.all(
    world.providers.map(async (provider) => {
      const request = signedRequest(user, "read", { tokenId, provider: provider.peer });
      return await askAs(user, provider, "show", request).then(
        () => "ok",
        (error) => error.status,
      );
    }),
  );
}

/** The same for a provider's part of a round: every provider is asked by itself, whatever the others say. */
async function servedTo(user: CustodyUser, tokenText: string): Promise<string[]> {
  const { terms } = await loadDeposit(world.providers[0]!.store, parseTokenText(tokenText).tokenId);
  const { threshold } = terms.token;
  return await Promise.all(
    world.providers.map(async ({ peer, number }) => {
      const others = world.providers.filter((each) => each.number !== number).slice(0, threshold - 1);
      const members = [...others.map((each) => ({ point: each.number, peer: each.peer })), { point: number, peer }];
      const descriptor = encodeDescriptor({
        ...{
          version: 1,
          kind: "retrieve",
          route: "fanout",
          dealId: terms.token.dealId,
          tokenId: terms.tokenId,
          members,
        },
        ...{ userPoint: null, requester: user.transport.peer, userKey: newAgreementKey(entropy).publicKey },
        ...{ nonce: entropy(16), offsetBytes: 0, lengthBytes: terms.manifest.lengthBytes },
        expiresAtMs: user.clock.nowMs() + 60_000,
      });
      const request = signedRequest(user, "retrieve", { descriptor });
      try {
        const channel = await user.transport.open(peer, CUSTODY_PROTOCOL, "retrieve", { request }, CALL);
        for await (const _ of channel.receiveBody({ lengthBytes: terms.manifest.lengthBytes }));
        return "ok";
      } catch (error) {
        return (error as { status: string }).status;
      }
    }),
  );
}

const everywhere = (status: string) => world.providers.map(() => status);
const listsAt = (tokenText: string) =>
  Promise.all(world.providers.map(({ store }) => loadGrants(store, parseTokenText(tokenText).tokenId)));

test("whom the owner grants a deposit gets it, by either route, sees its proof and finds it in its list", async () => {
  const { tokenText, token } = await world.put(MESSAGE);
  const expiresAtMs = Date.now() + 60_000;
  expect(await servedTo(bob, tokenText)).toEqual(everywhere("refused"));
  const { reached, missing, needed, list } = await grantTo(tokenText, bob, { expiresAtMs });
  expect({ reached: reached.length, missing, needed, version: list.version }).toEqual({
    ...{ reached: 5, missing: [], needed: 3, version: 1 },
  });
  for (const route of ["fanout", "chain"] as const) {
    expect(Buffer.compare(await world.get(tokenText, { route }, bob), MESSAGE)).toBe(0);
  }
  const { proof, grant: own } = await findProof(bob, parseTokenText(tokenText), signal());
  expect([proof.chain.valid, own]).toEqual([true, { purposes: [...BOTH], expiresAtMs }]);
  expect(await shownTo(bob, tokenText)).toEqual(everywhere("ok"));
  expect((await listDeposits(bob, signal())).deposits).toEqual([
    { tokenText, token, envelopeBytes: null, grant: { purposes: [...BOTH], expiresAtMs } },
  ]);
  expect((await listDeposits(world.user, signal())).deposits).toEqual([
    { tokenText, token, envelopeBytes: null, grant: null },
  ]);
});

test("after a revoke every provider refuses, and the list is empty again", async () => {
  const { tokenText } = await world.put(MESSAGE);
  const carol = world.stranger();
  await grantTo(tokenText, bob);
  await grantTo(tokenText, carol);
  const { reached, needed, list } = await revokeFrom(tokenText, bob);
  expect([reached.length, needed, list.version, list.grants.map(({ identity }) => identity)]).toEqual([
    ...[5, 3, 3],
    [idOf(carol)],
  ]);
  await expect(world.get(tokenText, {}, bob)).rejects.toMatchObject({ code: "NOT_THE_OWNER", status: "refused" });
  expect(await shownTo(bob, tokenText)).toEqual(everywhere("refused"));
  expect(await servedTo(bob, tokenText)).toEqual(everywhere("refused"));
  expect((await listDeposits(bob, signal())).deposits).toEqual([]);
  expect(Buffer.compare(await world.get(tokenText, {}, carol), MESSAGE)).toBe(0);
  await expect(revokeFrom(tokenText, bob)).rejects.toMatchObject({ code: "NO_SUCH_GRANT", status: "not-found" });
});

test("a grant for show is for the proof alone", async () => {
  const { tokenText } = await world.put(MESSAGE);
  await grantTo(tokenText, bob, { purposes: ["show"] });
  expect(await shownTo(bob, tokenText)).toEqual(everywhere("ok"));
  expect(await servedTo(bob, tokenText)).toEqual(everywhere("refused"));
  for (const route of ["fanout", "chain"] as const) {
    const getting = world.get(tokenText, { route }, bob);
    await expect(getting).rejects.toMatchObject({ code: "GRANT_PURPOSE", status: "refused" });
  }
  await grantTo(tokenText, bob, { purposes: ["retrieve"] });
  expect(Buffer.compare(await world.get(tokenText, {}, bob), MESSAGE)).toBe(0);
});

test("a grant ends by the clock of each provider, and the grantee is told that it ended", async () => {
  let nowMs = Date.now();
  const clock: Clock = { ...systemClock, nowMs: () => nowMs };
  await useWorld({ providers: 5, clock });
  const { tokenText } = await world.put(MESSAGE);
  await grantTo(tokenText, bob, { expiresAtMs: nowMs + 600_000 });
  nowMs += 600_000;
  expect(await servedTo(bob, tokenText)).toEqual(everywhere("ok"));
  nowMs += 1;
  expect(await servedTo(bob, tokenText)).toEqual(everywhere("expired"));
  expect(await shownTo(bob, tokenText)).toEqual(everywhere("expired"));
  await expect(world.get(tokenText, {}, bob)).rejects.toMatchObject({ code: "GRANT_EXPIRED", status: "expired" });
  expect((await listDeposits(bob, signal())).deposits).toEqual([]);
  // what has ended is not carried on into the next list
  const carol = world.stranger();
  expect((await grantTo(tokenText, carol)).list.grants.map(({ identity }) => identity)).toEqual([idOf(carol)]);
});

test("a grant that ends between the proof and the round: the grantee is told so", async () => {
  let nowMs = Date.now();
  const clock: Clock = { ...systemClock, nowMs: () => nowMs };
  await useWorld({ providers: 5, clock });
  const { tokenText } = await world.put(MESSAGE);
  await grantTo(tokenText, bob, { expiresAtMs: nowMs + 1_000 });
  const options = { token: parseTokenText(tokenText), route: "fanout", userShare: async () => undefined } as const;
  const { message } = await retrieve(bob, options);
  nowMs += 1_001;
  const reading = (async () => {
    for await (const _ of message);
  })();
  await expect(reading).rejects.toMatchObject({ code: "GRANT_EXPIRED" });
});

for (const offMs of [-2 * 60 * 60_000, 2 * 60 * 60_000]) {
  const way = offMs > 0 ? "ahead of" : "behind";
  test(`a clock that is two hours ${way} the providers': every command says so`, async () => {
    const { tokenText } = await world.put(MESSAGE);
    await grantTo(tokenText, bob);
    const clock: Clock = { ...systemClock, nowMs: () => Date.now() + offMs };
    const identityKey = newSigner(entropy);
    const session = openSession({
      ...{ identity: identityOfKey(identityKey.publicKey), identityKey, purposes: PURPOSES, entropy },
      ...{ nowMs: clock.nowMs(), lifetimeMs: 60 * 60_000 },
    });
    const off: CustodyUser = { ...bob, clock, session };
    const wrongClock = {
      ...{ code: "REQUEST_EXPIRED", status: "expired" },
      message: expect.stringContaining(`its clock is 120 minutes ${way} theirs`),
    };
    await expect(world.get(tokenText, {}, off)).rejects.toMatchObject(wrongClock);
    await expect(listDeposits(off, signal())).rejects.toMatchObject(wrongClock);
    await expect(grantTo(tokenText, bob, {}, off)).rejects.toMatchObject(wrongClock);
    await expect(revokeFrom(tokenText, bob, off)).rejects.toMatchObject(wrongClock);
    expect((await listsAt(tokenText)).map((each) => each?.list.version)).toEqual([1, 1, 1, 1, 1]);
  });
}

test("a grantee can neither grant, nor revoke, nor see the others' grants; nor can a stranger with the token", async () => {
  const { tokenText } = await world.put(MESSAGE);
  const { tokenId } = parseTokenText(tokenText);
  const [carol, stranger] = [world.stranger(), world.stranger()];
  await grantTo(tokenText, bob);
  await grantTo(tokenText, carol);
  for (const user of [bob, stranger]) {
    await expect(grantTo(tokenText, stranger, {}, user)).rejects.toMatchObject({ status: "refused" });
    await expect(revokeFrom(tokenText, carol, user)).rejects.toMatchObject({ code: "NOT_THE_OWNER" });
    for (const provider of world.providers) {
      const mine = { version: 9, madeAtMs: Date.now(), grants: [] };
      const looking = signedRequest(user, "read", { tokenId, provider: provider.peer });
      await expect(askAs(user, provider, "grant", listRequest(tokenText, mine, user))).rejects.toMatchObject({
        status: "refused",
      });
      await expect(askAs(user, provider, "grants", looking)).rejects.toMatchObject({ status: "refused" });
    }
  }
  expect(await servedTo(stranger, tokenText)).toEqual(everywhere("refused"));
  expect((await listDeposits(stranger, signal())).deposits).toEqual([]);
  expect(Buffer.compare(await world.get(tokenText, {}, carol), MESSAGE)).toBe(0);
});

test("wrong grants are refused by the client, and by every provider", async () => {
  const { tokenText } = await world.put(MESSAGE);
  await expect(grantTo(tokenText, world.user)).rejects.toMatchObject({ code: "GRANT_TO_SELF", status: "refused" });
  await expect(grantTo(tokenText, bob, { identity: "bob" })).rejects.toMatchObject({ code: "BAD_IDENTITY" });
  await expect(grantTo(tokenText, bob, { expiresAtMs: Date.now() - 1 })).rejects.toMatchObject({
    ...{ code: "EXPIRY_PAST", status: "refused" },
  });
  const entry = { identity: idOf(bob), purposes: [...BOTH], expiresAtMs: null };
  const wrong: readonly [string, CborValue][] = [
    ["refused", [{ ...entry, identity: idOf(world.user) }]],
    ["refused", [{ ...entry, identity: "bob" }]],
    ["bad-request", [entry, entry]],
    ["bad-request", [{ ...entry, purposes: ["retrieve", "destroy"] }]],
    ["bad-request", [{ ...entry, purposes: [] }]],
    ["bad-request", Array.from({ length: MAX_GRANTS + 1 }, () => entry)],
    ["bad-request", "everybody"],
  ];
  const { tokenId } = parseTokenText(tokenText);
  for (const [status, grants] of wrong) {
    const request = signedRequest(world.user, "grant", { tokenId, version: 1, madeAtMs: Date.now(), grants });
    for (const provider of world.providers) {
      await expect(askAs(world.user, provider, "grant", request), status).rejects.toMatchObject({ status });
    }
  }
  const elsewhere = signedRequest(world.user, "grant", { tokenId: entropy(32), version: 1, madeAtMs: 1, grants: [] });
  await expect(askAs(world.user, world.providers[0]!, "grant", elsewhere)).rejects.toMatchObject({
    status: "not-found",
  });
  expect(await listsAt(tokenText)).toEqual([undefined, undefined, undefined, undefined, undefined]);
});

test("a deposit of Protocol 2 cannot be granted: its reader needs the owner's share", async () => {
  const { tokenText } = await world.put(MESSAGE, { protocol: 2, keepUserShare: async () => {} });
  await expect(grantTo(tokenText, bob)).rejects.toMatchObject({
    ...{ code: "NOT_GRANTABLE", status: "refused", message: expect.stringContaining("Protocol 3") },
  });
  const grants = [{ identity: idOf(bob), purposes: [...BOTH], expiresAtMs: null }];
  for (const provider of world.providers) {
    const request = listRequest(tokenText, { version: 1, madeAtMs: Date.now(), grants });
    await expect(askAs(world.user, provider, "grant", request)).rejects.toMatchObject({ status: "refused" });
  }
});

test("a deposit is granted to 256 identities at once, and to no more", async () => {
  const { tokenText } = await world.put(MESSAGE);
  const identities = Array.from({ length: MAX_GRANTS }, () => identityOfKey(entropy(32))).sort();
  const grants = identities.map((identity) => ({ identity, purposes: [...BOTH], expiresAtMs: 2 ** 50 }));
  const request = listRequest(tokenText, { version: 7, madeAtMs: Date.now(), grants });
  for (const provider of world.providers) await askAs(world.user, provider, "grant", request);
  await expect(grantTo(tokenText, bob)).rejects.toMatchObject({ code: "TOO_MANY_GRANTS", status: "bad-request" });
  await revoke(world.user, { token: parseTokenText(tokenText), identity: identities[5]!, signal: signal() });
  expect((await grantTo(tokenText, bob)).list.grants).toHaveLength(MAX_GRANTS);
  expect(Buffer.compare(await world.get(tokenText, {}, bob), MESSAGE)).toBe(0);
});

test("a grant is good when t of n have it: the grantee finds those, whoever else is asked first", async () => {
  const { tokenText } = await world.put(MESSAGE);
  world.kill(1, 2);
  const { reached, missing } = await grantTo(tokenText, bob);
  expect([reached.length, missing]).toEqual([3, world.providers.slice(0, 2).map(({ peer }) => peer)]);
  world.revive(1, 2);
  expect(await servedTo(bob, tokenText)).toEqual(["refused", "refused", "ok", "ok", "ok"]);
  const warnings: string[] = [];
  for (const route of ["fanout", "chain"] as const) {
    const back = await world.get(tokenText, { route, onWarning: ({ kind }) => void warnings.push(kind) }, bob);
    expect(Buffer.compare(back, MESSAGE)).toBe(0);
  }
  expect(warnings).toEqual([]);
});

test("with fewer than are needed to know the newest list nothing is changed, and it says how many answered", async () => {
  const { tokenText } = await world.put(MESSAGE);
  await grantTo(tokenText, bob);
  world.kill(1, 3, 5);
  const tooFew = { code: "NOT_ENOUGH_PROVIDERS", status: "unreachable", details: { answered: 2, needed: 3 } };
  await expect(grantTo(tokenText, world.stranger())).rejects.toMatchObject(tooFew);
  await expect(revokeFrom(tokenText, bob)).rejects.toMatchObject(tooFew);
  expect((await listsAt(tokenText)).map((each) => each?.list.version)).toEqual([1, 1, 1, 1, 1]);
});

test("providers that answer and then do not take it: an error that says how many did, and the next try mends it", async () => {
  const { tokenText } = await world.put(MESSAGE);
  await grantTo(tokenText, bob);
  const mend = world.providers.slice(0, 3).map(({ store }) => {
    const { commit } = store;
    store.commit = async (changes) => {
      if (changes.some((change) => "key" in change && change.key.startsWith("grant/")))
        throw new Error("the disk failed");
      await commit(changes);
    };
    return () => Object.assign(store, { commit });
  });
  await expect(revokeFrom(tokenText, bob)).rejects.toMatchObject({
    ...{ code: "NOT_ENOUGH_PROVIDERS", status: "unreachable", details: { answered: 2, needed: 3 } },
    message: expect.stringContaining("revoked at 2 of 5 providers, and 3 are needed"),
  });
  expect(world.faults.splice(0)).toHaveLength(3);
  for (const each of mend) each();
  expect((await revokeFrom(tokenText, bob)).reached).toHaveLength(5);
  expect(await servedTo(bob, tokenText)).toEqual(everywhere("refused"));
});

test("providers that were down during a revoke cannot serve the grantee, and the owner's next look tells them", async () => {
  const { tokenText } = await world.put(MESSAGE);
  const { tokenId } = parseTokenText(tokenText);
  await grantTo(tokenText, bob);
  world.kill(1, 4);
  const { reached, missing } = await revokeFrom(tokenText, bob);
  expect([reached.length, missing]).toEqual([3, [world.providers[0]!.peer, world.providers[3]!.peer]]);
  world.revive(1, 4);
  expect(await servedTo(bob, tokenText)).toEqual(["ok", "refused", "refused", "ok", "refused"]);
  for (const route of ["fanout", "chain"] as const) {
    const getting = world.get(tokenText, { route }, bob);
    await expect(getting).rejects.toMatchObject({ code: "NOT_THE_OWNER", status: "refused" });
  }
  const { terms, placement } = await loadDeposit(world.providers[0]!.store, tokenId);
  const standing = await askStanding(world.user, terms, placement.roster, CALL);
  await repairGrants(world.user, siteOf(terms, placement), standing, signal());
  expect(await servedTo(bob, tokenText)).toEqual(everywhere("refused"));
  expect(await shownTo(bob, tokenText)).toEqual(everywhere("refused"));
});

test("a revoke that did not reach all is finished by the same command", async () => {
  const { tokenText } = await world.put(MESSAGE);
  await grantTo(tokenText, bob);
  world.kill(2);
  await revokeFrom(tokenText, bob);
  expect((await revokeFrom(tokenText, bob)).reached).toHaveLength(4);
  world.revive(2);
  expect((await revokeFrom(tokenText, bob)).reached).toHaveLength(5);
  expect((await listsAt(tokenText)).map((each) => each?.list.version)).toEqual([2, 2, 2, 2, 2]);
});

test("for any n, t and any providers that are down: a revoke that is done stays done, when they are back and after later grants", async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 2, max: 5 }), fc.integer({ min: 2, max: 5 }), fc.infiniteStream(fc.nat()), run),
    { numRuns: 12 },
  );

  async function run(n: number, t: number, chosen: Iterator<number>): Promise<void> {
    const threshold = Math.min(n, t);
    await useWorld({ providers: n });
    const carol = world.stranger();
    const { tokenText } = await world.put(bytesOf(100, 1), { threshold });
    await grantTo(tokenText, bob);
    const mayBeDown = n - Math.max(threshold, n - threshold + 1);
    const someDown = () => {
      const numbers = world.providers.map(({ number }) => number);
      const down = Array.from({ length: mayBeDown }, () => numbers.splice(next() % numbers.length, 1)[0] ?? 1);
      world.kill(...down);
      return () => world.revive(...down);
    };
    const next = () => chosen.next().value as number;
    const back = someDown();
    await revokeFrom(tokenText, bob);
    back();
    await expect(world.get(tokenText, {}, bob)).rejects.toMatchObject({ status: "refused" });
    const backAgain = someDown();
    await grantTo(tokenText, carol);
    backAgain();
    await expect(world.get(tokenText, {}, bob)).rejects.toMatchObject({ status: "refused" });
    expect(await world.get(tokenText, {}, carol)).toEqual(bytesOf(100, 1));
  }
});

test("lists that reach the providers in any order, again and again: all end with the newest, and serve whom it names", async () => {
  const { tokenText } = await world.put(bytesOf(100, 1));
  const people = [bob, world.stranger(), world.stranger()].sort((a, b) => (idOf(a) < idOf(b) ? -1 : 1));
  const anyGrant = fc.record({
    purposes: fc.constantFrom<GrantPurpose[]>(["show"], ["retrieve"], ["retrieve", "show"]),
    expiresAtMs: fc.constantFrom(null, 1, 2 ** 50),
  });
  const anyList = fc.record({
    version: fc.integer({ min: 1, max: 4 }),
    madeAtMs: fc.integer({ min: 1, max: 3 }),
    grants: fc.tuple(...people.map(() => fc.option(anyGrant))),
  });
  let rounds = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(anyList, { minLength: 1, maxLength: 5 }),
      fc.array(fc.array(fc.nat(), { maxLength: 8 }), { minLength: 5, maxLength: 5 }),
      async (drawn, orders) => {
        rounds += 10; // each run's lists are newer than those of the runs before it
        const lists = drawn.map(({ version, madeAtMs, grants }) => ({
          ...{ version: rounds + version, madeAtMs },
          grants: grants.flatMap((each, i) => (each === null ? [] : [{ identity: idOf(people[i]!), ...each }])),
        }));
        const requests = lists.map((list) => listRequest(tokenText, list));
        const newest = lists
          .map((list) => ({ tokenId: parseTokenText(tokenText).tokenId, ...list }))
          .reduce((a, b) => (compareGrants(a, b) > 0 ? a : b));
        for (const [i, provider] of world.providers.entries()) {
          // in an order of its own, some of them again and some for the first time
          const order = [...(orders[i] ?? []).map((draw) => draw % lists.length), ...lists.keys()];
          for (const at of order) await askAs(world.user, provider, "grant", requests[at]!);
        }
        for (const kept of await listsAt(tokenText)) expect(kept?.list).toEqual(newest);
        for (const person of people) {
          const own = newest.grants.find(({ identity }) => identity === idOf(person));
          const expected = (purpose: GrantPurpose) => {
            if (own === undefined) return "refused";
            if (purpose === "retrieve" && !own.purposes.includes("retrieve")) return "refused";
            return own.expiresAtMs === 1 ? "expired" : "ok";
          };
          expect(await shownTo(person, tokenText)).toEqual(everywhere(expected("show")));
          expect(await servedTo(person, tokenText)).toEqual(everywhere(expected("retrieve")));
          const isListed = (await listDeposits(person, signal())).deposits.length > 0;
          expect(isListed).toBe(own !== undefined && own.expiresAtMs !== 1);
        }
      },
    ),
    { numRuns: 15 },
  );
});

test("a provider that sends the others an old grant again brings nothing back", async () => {
  let skewMs = 0;
  const clock: Clock = { ...systemClock, nowMs: () => Date.now() + skewMs };
  await useWorld({ providers: 5, clock });
  const { tokenText } = await world.put(MESSAGE);
  const seen: Uint8Array[] = [];
  const { custody } = world.providers[0]!;
  await turnInto(world, 1, {
    handlers: (honest) => ({
      ...honest,
      asks: {
        ...honest.asks,
        async grant(body, context) {
          seen.push((body as { readonly request: Uint8Array }).request);
          return await honest.asks!["grant"]!(body, context);
        },
      },
    }),
  });
  await grantTo(tokenText, bob);
  world.kill(5);
  await revokeFrom(tokenText, bob);
  world.revive(5);
  expect(seen).toHaveLength(2);
  const [grantRequest = new Uint8Array(), revokeRequest = new Uint8Array()] = seen;
  const replay = (to: WorldProvider, request: Uint8Array) =>
    askAs({ ...bob, transport: custody.transport }, to, "grant", request);
  for (const to of world.providers.slice(1)) await replay(to, grantRequest);
  expect((await listsAt(tokenText)).map((each) => each?.list.version)).toEqual([2, 2, 2, 2, 1]);
  // the newer one, sent on within its two minutes, does what the owner wants
  await replay(world.providers[4]!, revokeRequest);
  expect(await servedTo(bob, tokenText)).toEqual(everywhere("refused"));
  skewMs = 130_000;
  for (const to of world.providers.slice(1)) {
    for (const request of seen) await expect(replay(to, request)).rejects.toMatchObject({ status: "expired" });
  }
});

test("a provider cannot make a list, nor pass one on as that of another deposit", async () => {
  const { tokenText } = await world.put(MESSAGE);
  const other = await world.put(MESSAGE);
  await grantTo(other.tokenText, bob);
  const [foreign] = await listsAt(other.tokenText);
  const forged = listRequest(tokenText, { version: 50, madeAtMs: Date.now(), grants: [] }, world.stranger());
  for (const list of [foreign!.request, forged, new Uint8Array(30)]) {
    await turnInto(world, 2, {
      handlers: (honest) => ({
        ...honest,
        asks: { ...honest.asks, grants: async () => ({ list }), grant: async () => ({ list }) },
      }),
    });
    const { terms } = await loadDeposit(world.providers[0]!.store, parseTokenText(tokenText).tokenId);
    const standing = await askStanding(world.user, terms, terms.roster, CALL);
    expect(standing.failures.map(({ peer }) => peer)).toEqual([world.providers[1]!.peer]);
    const { missing } = await grantTo(tokenText, world.stranger());
    expect(missing).toEqual([world.providers[1]!.peer]);
  }
});

test("a provider that says that it took a list and did not is one that has not", async () => {
  const { tokenText } = await world.put(MESSAGE);
  await grantTo(tokenText, bob);
  for (const number of [1, 2]) {
    const old = (await listsAt(tokenText))[number - 1]!.request;
    await turnInto(world, number, {
      handlers: (honest) => ({ ...honest, asks: { ...honest.asks, grant: async () => ({ list: old }) } }),
    });
  }
  const { reached } = await revokeFrom(tokenText, bob);
  expect(reached).toEqual(world.providers.slice(2).map(({ peer }) => peer));
  // t-1 that go on serving the grantee are not enough
  await expect(world.get(tokenText, {}, bob)).rejects.toMatchObject({ status: "refused" });
});

test("two clients of the owner change the grants at the same time: both changes are there in the end, everywhere", async () => {
  const { tokenText } = await world.put(MESSAGE);
  const people = [bob, world.stranger(), world.stranger()] as const;
  await grantTo(tokenText, people[0]);
  const changes = [revokeFrom(tokenText, people[0]), grantTo(tokenText, people[1])];
  await Promise.all(changes);
  for (let round = 0; round < 10; round += 1) {
    const [in1, in2] = round % 2 === 0 ? [people[2], people[1]] : [people[1], people[2]];
    await Promise.all([grantTo(tokenText, in1), revokeFrom(tokenText, in2)]);
    const lists = await listsAt(tokenText);
    for (const each of lists) expect(each?.list).toEqual(lists[0]?.list);
    expect(lists[0]?.list.grants.map(({ identity }) => identity)).toEqual([idOf(in1)]);
  }
});

test("a revoke ends what its grantee is getting, and nobody else's", async () => {
  const message = bytesOf(24_000_000, 5);
  const { tokenText } = await world.put(message);
  const carol = world.stranger();
  await grantTo(tokenText, bob);
  await grantTo(tokenText, carol);
  const options = { token: parseTokenText(tokenText), route: "fanout", userShare: async () => undefined } as const;
  const [bobs, carols] = await Promise.all([retrieve(bob, options), retrieve(carol, options)]);
  const read = async ({ message }: typeof bobs, revokeAfterFirst: boolean) => {
    let lengthBytes = 0;
    for await (const chunk of message) {
      if (lengthBytes === 0 && revokeAfterFirst) await revokeFrom(tokenText, bob);
      lengthBytes += chunk.length;
    }
    return lengthBytes;
  };
  const [ended, whole] = await Promise.allSettled([read(bobs, true), read(carols, false)]);
  expect(ended).toMatchObject({ status: "rejected", reason: { code: "NOT_THE_OWNER", status: "refused" } });
  expect(whole).toEqual({ status: "fulfilled", value: message.length });
});

test("a retrieval that begins while its grant is being revoked gets nothing after the revoke was taken", async () => {
  const { tokenText } = await world.put(MESSAGE);
  await grantTo(tokenText, bob);
  const { store } = world.providers[0]!;
  const reached = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  const { get } = store;
  let reads = 0;
  store.get = async (key) => {
    const value = await get(key);
    if (key.startsWith("grant/")) {
      reads += 1;
      if (reads === 1) {
        reached.resolve();
        await goOn.promise;
      }
    }
    return value;
  };
  const serving = servedTo(bob, tokenText);
  await reached.promise;
  expect((await revokeFrom(tokenText, bob)).reached).toHaveLength(5);
  goOn.resolve();
  expect((await serving)[0]).toBe("refused");
});

test("a change that is overtaken again and again is given up, and says so", async () => {
  const { tokenText } = await world.put(MESSAGE);
  let version = 0;
  await turnInto(world, 3, {
    handlers: (honest) => ({
      ...honest,
      asks: {
        ...honest.asks,
        async grant() {
          version += 10;
          return { list: listRequest(tokenText, { version, madeAtMs: 1, grants: [] }), replaced: null };
        },
      },
    }),
  });
  await expect(grantTo(tokenText, bob)).rejects.toMatchObject({ code: "GRANTS_CHANGED", status: "conflict" });
});

test("a grantee's list is each provider's word, and the newest one's counts", async () => {
  const { tokenText, token } = await world.put(MESSAGE);
  await grantTo(tokenText, bob, { purposes: ["show"] });
  world.kill(3);
  await grantTo(tokenText, bob, { purposes: ["retrieve"] });
  world.revive(3);
  const { deposits } = await listDeposits(bob, signal());
  expect(deposits.map(({ grant: own }) => own)).toEqual([{ purposes: ["retrieve"], expiresAtMs: null }]);
  let pages = 0;
  await turnInto(world, 3, {
    handlers: (honest) => ({
      ...honest,
      asks: {
        ...honest.asks,
        async granted() {
          pages += 1;
          const made = encodeToken({ ...token, dealId: entropy(16) });
          return {
            deposits: [{ token: made, grant: { purposes: ["show"], expiresAtMs: null }, version: 1 }],
            more: true,
          };
        },
      },
    }),
  });
  const listing = await listDeposits(bob, signal());
  expect(listing.missing).toEqual([world.providers[2]!.peer]);
  expect(listing.deposits.map((each) => each.tokenText)).toContain(tokenText);
  expect(pages).toBeLessThan(1_000);
});

test("questions that were put to one provider are not answered by another, and junk by none", async () => {
  const { tokenText } = await world.put(MESSAGE);
  const { tokenId } = parseTokenText(tokenText);
  const [first, second] = world.providers;
  const read = signedRequest(world.user, "read", { tokenId, provider: first!.peer });
  const list = signedRequest(world.user, "read", { after: null, provider: first!.peer });
  await expect(askAs(world.user, second!, "grants", read)).rejects.toMatchObject({ status: "refused" });
  await expect(askAs(world.user, second!, "granted", list)).rejects.toMatchObject({ status: "refused" });
  for (const method of ["grant", "grants", "granted", "destroy"]) {
    const ask = (body: CborValue) => world.user.transport.ask(first!.peer, CUSTODY_PROTOCOL, method, body, CALL);
    for (const body of [{ nonsense: 1 }, new Uint8Array(100), { request: new Uint8Array(10) }]) {
      await expect(ask(body), method).rejects.toMatchObject({ status: "bad-request" });
    }
  }
});

test("a provider that a deposit moves to, and one that lost its disk, learn who may read it", async () => {
  const { tokenText } = await world.put(MESSAGE, { providers: 3, threshold: 2 });
  const { tokenId } = parseTokenText(tokenText);
  await grantTo(tokenText, bob);
  const candidates = [5, 4, 3].map((number) => world.providers[number - 1]!.peer);
  await world.change(tokenText, { destination: { providers: 3, threshold: 2, copies: 2, candidates } });
  world.kill(3);
  expect(await world.get(tokenText, {}, bob)).toEqual(MESSAGE);
  world.revive(3);
  const [, , third, fourth] = world.providers;
  fourth!.store.records.clear();
  fourth!.store.files.clear();
  const others = world.user.directory.providers.filter((peer) => peer !== fourth!.peer);
  expect(await restoreAll(fourth!.custody, others, signal(), () => {})).toMatchObject({ restored: 1, failed: [] });
  expect((await loadGrants(fourth!.store, tokenId))?.list.version).toBe(1);
  world.kill(third!.number);
  expect(await world.get(tokenText, {}, bob)).toEqual(MESSAGE);
  world.revive(third!.number);
  await revokeFrom(tokenText, bob);
  await expect(world.get(tokenText, {}, bob)).rejects.toMatchObject({ status: "refused" });
});
