/** What the providers write into their audit logs, and when. */
import { afterEach, beforeEach, expect, test } from "vitest";
import type { AuditEvent } from "../../../protocols/audit/index.ts";
import { newAgreementKey } from "../../../protocols/crypto/key-agreement.ts";
import { type CustodyUser, signedRequest } from "../../../protocols/custody/client/user.ts";
import { CUSTODY_PROTOCOL } from "../../../protocols/custody/constants.ts";
import { loadDeposit } from "../../../protocols/custody/server/deposit-record.ts";
import { sweepDeposits } from "../../../protocols/custody/server/index.ts";
import { requestDeal } from "../../../protocols/dealing/client.ts";
import { DEAL_LIFETIME_MS, sweepDeals } from "../../../protocols/dealing/index.ts";
import { descriptorHash } from "../../../protocols/rounds/descriptor.ts";
import { encodeDescriptor, type RoundDescriptor } from "../../../protocols/rounds/index.ts";
import type { Change } from "../../../protocols/storage/index.ts";
import { parseTokenText } from "../../../protocols/tokens/token-text.ts";
import { IntercloudError } from "../../../protocols/wire/errors.ts";
import { bytesOf } from "../../support/bytes.ts";
import { createWorld, entropy, type World, type WorldProvider } from "../../support/custody-world.ts";
import { settle } from "../../support/manual-clock.ts";

let world: World;
beforeEach(async () => {
  world = await createWorld({ providers: 4 });
});
afterEach(async () => {
  await world.close();
  expect(world.faults).toEqual([]);
});

const MESSAGE = bytesOf(300_000, 42);

const kindsAt = ({ store }: WorldProvider): string[] => store.events.map(({ kind }) => kind);
const eventsAt = <K extends AuditEvent["kind"]>({ store }: WorldProvider, kind: K) =>
  store.events.filter((event): event is Extract<AuditEvent, { kind: K }> => event.kind === kind);

async function descriptorFor(tokenText: string, change: Partial<RoundDescriptor> = {}): Promise<RoundDescriptor> {
  const { terms } = await loadDeposit(world.providers[0]!.store, parseTokenText(tokenText).tokenId);
  return {
    ...{ version: 1, kind: "retrieve", route: "fanout" },
    ...{ dealId: terms.token.dealId, tokenId: terms.tokenId },
    members: world.providers.slice(0, 3).map(({ number, peer }) => ({ point: number, peer })),
    ...{ userPoint: null, requester: world.user.transport.peer, userKey: newAgreementKey(entropy).publicKey },
    ...{ nonce: entropy(16), offsetBytes: 0, lengthBytes: terms.manifest.lengthBytes },
    expiresAtMs: Date.now() + 60_000,
    ...change,
  };
}

/** Asks one provider for its part; what arrives goes to `onBytes`. */
async function ask(
  to: WorldProvider,
  descriptor: RoundDescriptor,
  as: CustodyUser = world.user,
  onBytes: (lengthBytes: number) => void = () => {},
): Promise<void> {
  const request = signedRequest(as, "retrieve", { descriptor: encodeDescriptor(descriptor) });
  const channel = await as.transport.open(to.peer, CUSTODY_PROTOCOL, "retrieve", { request }, { timeoutMs: 5_000 });
  for await (const part of channel.receiveBody({ lengthBytes: descriptor.lengthBytes })) onBytes(part.length);
}

/** A commit of the provider's store that appends an event of this kind does `first` before it is made. */
function beforeLogging({ store }: WorldProvider, kind: AuditEvent["kind"], first: () => Promise<void>): void {
  const { commit } = store;
  store.commit = async (changes) => {
    const appended = Buffer.concat(
      changes.map((change) => (change.kind === "append" ? change.event : new Uint8Array())),
    );
    if (appended.includes(kind)) await first();
    await commit(changes);
  };
}

test.each(["chain", "fanout"] as const)(
  "a deposit and its retrievals leave their trace everywhere (%s)",
  async (route) => {
    const { tokenText } = await world.put(MESSAGE, { route });
    const { tokenId } = parseTokenText(tokenText);
    const keeping = ["kept", "copied", "copied", undefined];
    for (const [index, provider] of world.providers.entries()) {
      const own = ["dealt", "bound", "linked", keeping[index], "sealed"].filter((kind) => kind !== undefined);
      expect(kindsAt(provider), `provider ${index + 1}`).toEqual(own);
      const [dealt] = eventsAt(provider, "dealt");
      const [bound] = eventsAt(provider, "bound");
      expect(dealt).toMatchObject({ dealer: world.dealer, point: index + 1, dealId: bound?.dealId });
      const { identity } = world.user.session;
      expect(bound).toMatchObject({ tokenId, identity, from: world.user.transport.peer });
      expect(eventsAt(provider, "sealed")).toEqual([{ kind: "sealed", tokenId, identity }]);
    }

    expect(await world.get(tokenText, { route })).toEqual(MESSAGE);
    const members = world.providers.filter((provider) => eventsAt(provider, "served").length > 0);
    expect(members).toHaveLength(3);
    const served = members.map((provider) => eventsAt(provider, "served")[0]!);
    for (const event of served) {
      expect(event).toMatchObject({
        tokenId,
        identity: world.user.session.identity,
        purpose: "retrieve",
        offsetBytes: 0,
      });
      expect(event.lengthBytes).toBeGreaterThan(MESSAGE.length);
      expect(event.roundDigest).toEqual(served[0]?.roundDigest);
    }
    // In the chain each member was asked by the one behind it, and the last by the user.
    const askers = served.map(({ from }) => from);
    const user = world.user.transport.peer;
    if (route === "fanout") expect(askers).toEqual([user, user, user]);
    else expect(new Set(askers).size).toBe(3);
  },
);

test("no secret, and nothing of a message, is in an event", async () => {
  const { tokenText } = await world.put(MESSAGE);
  await world.get(tokenText);
  for (const { store } of world.providers) {
    const lengths = store.events.flatMap((event) =>
      Object.entries(event).flatMap(([name, value]) =>
        value instanceof Uint8Array ? [`${name} ${value.length}`] : [],
      ),
    );
    expect([...new Set(lengths)].sort()).toEqual(
      ["dealId 16", "roundDigest 32", "tokenId 32"].filter((each) => lengths.includes(each)),
    );
  }
});

test("a deposit that its user gives up is burnt in every log", async () => {
  const opened: number[] = [];
  const source = {
    lengthBytes: MESSAGE.length,
    async *open() {
      opened.push(1);
      yield MESSAGE.slice(0, 100_000);
      if (opened.length > 1) throw new IntercloudError("CANCELLED", "cancelled", "enough");
      yield MESSAGE.slice(100_000);
    },
  };
  await expect(world.put(MESSAGE, { source })).rejects.toMatchObject({ code: "CANCELLED" });
  for (const provider of world.providers) {
    const [bound] = eventsAt(provider, "bound");
    const burnt = eventsAt(provider, "burnt");
    expect(burnt).toHaveLength(1);
    expect(burnt[0]).toMatchObject({ dealId: bound?.dealId, tokenId: bound?.tokenId });
    expect(["abandoned", "failed"]).toContain(burnt[0]?.why);
  }
});

test("what nobody finishes is burnt when it expires, once", async () => {
  const [first] = world.providers;
  const { transport, session, clock, directory } = world.user;
  const { manifest } = await requestDeal({
    ...{ transport, session, clock, entropy, dealer: world.dealer },
    ...{ threshold: 3, lengthBytes: 100, providers: directory.providers },
  });
  const { dealId } = manifest;
  const later = Date.now() + DEAL_LIFETIME_MS + 60_000;
  for (let again = 0; again < 2; again += 1) {
    await sweepDeposits({ ...first!.custody, clock: { ...first!.custody.clock, nowMs: () => later } }, false);
    await sweepDeals(first!.store, later);
  }
  expect(eventsAt(first!, "burnt")).toEqual([{ kind: "burnt", dealId, tokenId: null, why: "expired" }]);
});

test("a retrieval that is refused leaves its trace: who, which deposit, why", async () => {
  const { tokenText } = await world.put(MESSAGE);
  const [first, second, , fourth] = world.providers;
  const stranger = world.stranger();
  const foreign = await descriptorFor(tokenText, { requester: stranger.transport.peer });
  await expect(ask(first!, foreign, stranger)).rejects.toMatchObject({ status: "refused" });
  const roundDigest = descriptorHash(encodeDescriptor(foreign));
  const { identity } = stranger.session;
  const asked = { tokenId: foreign.tokenId, identity, purpose: "retrieve", from: stranger.transport.peer, roundDigest };
  expect(eventsAt(first!, "refused")).toEqual([{ kind: "refused", ...asked, code: "NOT_THE_OWNER", unlogged: 0 }]);

  const own = await descriptorFor(tokenText);
  await ask(second!, own);
  await expect(ask(fourth!, own)).rejects.toMatchObject({ status: "refused" });
  await expect(ask(second!, { ...own, offsetBytes: 1 })).rejects.toMatchObject({ status: "bad-request" });
  await expect(ask(second!, { ...own, tokenId: entropy(32) })).rejects.toMatchObject({ status: "not-found" });
  expect(eventsAt(second!, "served")).toHaveLength(1);
  expect(eventsAt(second!, "refused").map(({ code }) => code)).toEqual(["BAD_ROUND", "NO_SUCH_DEPOSIT"]);
  expect(eventsAt(fourth!, "refused").map(({ code }) => code)).toEqual(["NOT_A_MEMBER"]);
});

test("a request that nobody has signed is nobody's, and is not logged", async () => {
  const { tokenText } = await world.put(MESSAGE);
  const [first] = world.providers;
  const before = first!.store.events.length;
  const forged = { ...world.user, session: { ...world.user.session, signer: world.stranger().session.signer } };
  await expect(ask(first!, await descriptorFor(tokenText), forged)).rejects.toMatchObject({ status: "refused" });
  expect(first!.store.events).toHaveLength(before);
});

test("the trace of a retrieval is written before its first byte leaves", async () => {
  const { tokenText } = await world.put(MESSAGE);
  const [first] = world.providers;
  const gate = Promise.withResolvers<void>();
  const reached = Promise.withResolvers<void>();
  beforeLogging(first!, "served", async () => {
    reached.resolve();
    await gate.promise;
  });
  let received = 0;
  const descriptor = await descriptorFor(tokenText);
  const asking = ask(first!, descriptor, world.user, (lengthBytes) => {
    received += lengthBytes;
  });
  await reached.promise;
  await settle();
  expect(received).toBe(0);
  gate.resolve();
  await asking;
  expect(received).toBe(descriptor.lengthBytes);
  expect(eventsAt(first!, "served")).toHaveLength(1);
});

test("a provider that cannot write the trace hands nothing out; others do", async () => {
  const { tokenText } = await world.put(MESSAGE);
  const [first] = world.providers;
  beforeLogging(first!, "served", async () => {
    throw new IntercloudError("DISK_FULL", "full", "there is no room");
  });
  let received = 0;
  const asking = ask(first!, await descriptorFor(tokenText), world.user, (lengthBytes) => {
    received += lengthBytes;
  });
  await expect(asking).rejects.toMatchObject({ status: "full" });
  expect(received).toBe(0);
  expect(await world.get(tokenText)).toEqual(MESSAGE);
  expect(await world.get(tokenText, { route: "chain" })).toEqual(MESSAGE);
  expect(eventsAt(first!, "served")).toEqual([]);
});

test("every commit that changes a deal or a deposit has one event in it", async () => {
  const commits: { number: number; changes: readonly Change[] }[] = [];
  for (const { number, store } of world.providers) {
    const { commit } = store;
    store.commit = async (changes) => {
      commits.push({ number, changes });
      await commit(changes);
    };
  }
  const { tokenText } = await world.put(MESSAGE);
  await world.put(MESSAGE, { route: "fanout" });
  await world.get(tokenText);
  world.kill(4);
  await expect(world.put(MESSAGE)).rejects.toThrow();
  let states = 0;
  for (const { number, changes } of commits) {
    const keys = changes.flatMap((change) => ("key" in change ? [change.key] : []));
    const changesState = keys.some((key) => /^(deal|deposit)\//.test(key));
    const events = changes.filter(({ kind }) => kind === "append");
    if (changesState) expect(events, `provider ${number}: ${keys}`).toHaveLength(1);
    // A retrieval changes nothing and has a commit of its own.
    else expect(events.length, `provider ${number}: ${keys}`).toBe(keys.length === 0 ? 1 : 0);
    states += changesState ? 1 : 0;
  }
  expect(states).toBeGreaterThan(30);
});
