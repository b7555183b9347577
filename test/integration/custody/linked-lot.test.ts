/** What becomes of a lot that the providers have signed and whose owner is gone, also when they are started again meanwhile. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { abandon } from "../../../protocols/custody/client/abandon.ts";
import { depositLot, listDeposits } from "../../../protocols/custody/client/index.ts";
import { LOT_LIFETIME_MS } from "../../../protocols/custody/constants.ts";
import type { SealLot } from "../../../protocols/custody/lot/lot-messages.ts";
import { ciphertextName } from "../../../protocols/custody/server/deposit-record.ts";
import { settleCustody, sweepDeposits } from "../../../protocols/custody/server/index.ts";
import { idOfHex } from "../../../protocols/dealing/held-deal.ts";
import { DEAL_LIFETIME_MS, sweepDeals } from "../../../protocols/dealing/index.ts";
import { parseTokenText } from "../../../protocols/tokens/token-text.ts";
import type { PeerName, Transport } from "../../../protocols/wire/transport.ts";
import { systemClock } from "../../../runtime/clock.ts";
import { bytesOf, errorOf } from "../../support/bytes.ts";
import { createWorld, type World, type WorldProvider } from "../../support/custody-world.ts";
import { type Lie, turnInto } from "../../support/turn-into.ts";

let world: World;
let skewMs: number;
beforeEach(async () => {
  skewMs = 0;
  world = await createWorld({ providers: 5, clock: { ...systemClock, nowMs: () => Date.now() + skewMs } });
});
afterEach(async () => {
  await world.close();
  expect(world.faults).toEqual([]);
});

const SIGNAL = new AbortController().signal;
const ALL = [1, 2, 3, 4, 5];
const COPIES = 3;
/** One of them is a file of its own, and all of them together are. */
const MESSAGES = [bytesOf(1, 1), bytesOf(40, 2), bytesOf(5_000, 3)];
const provider = (number: number) => world.providers[number - 1]!;

function putAll(transport: Transport = world.user.transport) {
  const options = { messages: MESSAGES, providers: 5, threshold: 3, copies: COPIES };
  return depositLot({ ...world.user, transport }, { ...options, candidates: world.user.directory.providers });
}

/** The owner dies when it has sealed the lot at these; the others get nothing of its last message, or the head of it. */
async function dieWhileSealing(sealedAt: readonly number[], isCutOff = false): Promise<void> {
  const { transport } = world.user;
  const gone = new Error("dead");
  const hear = (to: PeerName) => sealedAt.some((number) => provider(number).peer === to);
  const dying: Transport = {
    ...transport,
    open: async (to, protocol, method, header, options) => {
      if (method !== "seal-lot" || hear(to)) return await transport.open(to, protocol, method, header, options);
      if (!isCutOff) throw gone;
      const channel = await transport.open(to, protocol, method, header, options);
      const sendBody = async () => {
        channel.abort(gone);
        throw gone;
      };
      return { ...channel, sendBody };
    },
    ask: async (to, protocol, method, body, options) => {
      if (method === "abandon") throw gone;
      return await transport.ask(to, protocol, method, body, options);
    },
  };
  await errorOf(putAll(dying));
  for (const number of ALL) expect(await lotsAt(number)).toBe(sealedAt.includes(number) ? "sealed" : "linked");
}

/** As a process that is started again on its disk. */
async function restart(number: number, lie: Lie = {}): Promise<void> {
  const { custody, store } = provider(number);
  await sweepDeposits(custody, true);
  await sweepDeals(store, custody.clock.nowMs());
  await turnInto(world, number, lie);
}

async function restartAll(): Promise<void> {
  for (const number of ALL) await restart(number);
}

/** Later, when all that was in memory is given up. */
async function settle(numbers: readonly number[] = ALL, laterMs = LOT_LIFETIME_MS + 1_000): Promise<void> {
  skewMs += laterMs;
  for (const number of numbers) {
    const { custody, store } = provider(number);
    await sweepDeposits(custody, false);
    await sweepDeals(store, custody.clock.nowMs());
    await settleCustody(custody, SIGNAL);
  }
}

function keysOf({ store }: WorldProvider, pattern: RegExp): string[] {
  return [...store.records.keys()].filter((key) => pattern.test(key));
}

/** What was cut off may still be under way for a moment. */
async function lotsAt(number: number): Promise<string> {
  await new Promise((resume) => setTimeout(resume, 20));
  if (keysOf(provider(number), /^lot\//).length > 0) return "sealed";
  return keysOf(provider(number), /^lot-linked\//).length > 0 ? "linked" : "nothing";
}

async function expectAllSealed(): Promise<void> {
  for (const number of ALL) expect(await lotsAt(number)).toBe("sealed");
  skewMs = 0; // what the user has open ends within the hour
  const { deposits } = await listDeposits(world.user, SIGNAL);
  expect(deposits).toHaveLength(MESSAGES.length);
  for (const [i, each] of world.providers.entries()) {
    expect(keysOf(each, /^(lot-linked|deal-open|deal-staging|abandon-due)\//)).toEqual([]);
    const names = [...each.store.files.keys()];
    const ciphertexts = deposits.map(({ tokenText }) => ciphertextName(parseTokenText(tokenText).tokenId));
    expect(names.filter((name) => name.startsWith("ciphertext-")).sort()).toEqual(i < COPIES ? ciphertexts.sort() : []);
    expect(names.filter((name) => !/^(ciphertext|correction)-/.test(name))).toEqual([]);
  }
  // without home and another keeper
  world.kill(1, 3);
  const got = await Promise.all(deposits.map(({ tokenText }) => world.get(tokenText)));
  expect(got.map(hexOf).sort()).toEqual(MESSAGES.map(hexOf).sort());
}

const hexOf = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

function expectNothingAt(numbers: readonly number[]): void {
  for (const number of numbers) {
    expect(keysOf(provider(number), /^(deposit|lot|deal-lot|deal-open|deal-staging|owner|abandon-due)/)).toEqual([]);
    expect([...provider(number).store.files.keys()]).toEqual([]);
  }
}

test.each([
  ["home", [1], false],
  ["another keeper", [2], false],
  ["one that keeps no ciphertext", [5], false],
  ["two, and cut off at the others", [3, 4], true],
])(
  "an owner that dies when it has sealed at %s, and all are started again: all seal it",
  async (_, sealedAt, cutOff) => {
    await dieWhileSealing(sealedAt, cutOff);
    await restartAll();
    await settle();
    await expectAllSealed();
  },
);

test("as long as the owner has time nobody is asked; then it takes only one that has its word", async () => {
  await dieWhileSealing([4]);
  await restartAll();
  await settle(ALL, 0);
  expect(await lotsAt(1)).toBe("linked");
  world.kill(4);
  await settle();
  await settle(ALL, DEAL_LIFETIME_MS);
  expect(await lotsAt(1)).toBe("linked");
  world.revive(4);
  await settle();
  await expectAllSealed();
});

test("an owner that dies before it has sealed anywhere: nothing is left when the time of the deal is over", async () => {
  await dieWhileSealing([]);
  await restartAll();
  await settle();
  for (const number of ALL) expect(await lotsAt(number)).toBe("linked");
  world.kill(5);
  await settle([1, 2, 3, 4], DEAL_LIFETIME_MS);
  // The one that does not answer may have sealed it.
  expect(await lotsAt(1)).toBe("linked");
  world.revive(5);
  await settle();
  expectNothingAt(ALL);
});

test("an owner that gives it up after the restart: nothing is left, at last not with one that was away either", async () => {
  await dieWhileSealing([2]);
  await restartAll();
  const [key] = keysOf(provider(1), /^lot-linked\//);
  const lotId = idOfHex(key!.slice("lot-linked/".length));
  world.kill(5);
  const peers = world.providers.map(({ peer }) => peer);
  await expect(
    abandon({ ...world.user, session: world.stranger().session }, peers, lotId, null),
  ).resolves.toBeUndefined();
  expect(await lotsAt(1)).toBe("linked");
  await abandon(world.user, peers, lotId, null);
  for (const number of [1, 2, 3, 4]) expect(await lotsAt(number)).toBe("nothing");
  expect(await lotsAt(5)).toBe("linked");
  world.revive(5);
  await settle([1, 2, 3, 4, 5]);
  expectNothingAt(ALL);
});

test("all are started again between two messages of the owner: it ends as if they had not been", async () => {
  const { transport } = world.user;
  let restarting: Promise<void> | undefined;
  const slow: Transport = {
    ...transport,
    open: async (to, protocol, method, header, options) => {
      if (method === "seal-lot") {
        restarting ??= restartAll();
        await restarting;
      }
      return await transport.open(to, protocol, method, header, options);
    },
  };
  await putAll(slow);
  expect(restarting).toBeDefined();
  await expectAllSealed();
});

test.each<[string, (seal: SealLot) => SealLot]>([
  ["another signature", (seal) => ({ ...seal, signature: bytesOf(64, 9) })],
  ["fewer links", (seal) => ({ ...seal, links: seal.links.slice(0, 1) })],
  ["a tag that is none", (seal) => ({ ...seal, tag: bytesOf(9, 9) })],
])("who shows %s in place of the owner's word keeps nobody from hearing it from another one", async (_, spoil) => {
  await dieWhileSealing([1, 4]);
  await restartAll();
  await restart(1, {
    handlers: (honest) => ({
      ...honest,
      channels: {
        ...honest.channels,
        "lot-status": (channel, header, context) => {
          const sendMessage: typeof channel.sendMessage = async (message) => {
            const { seal } = message as { seal: SealLot };
            await channel.sendMessage({ seal: spoil(seal) });
          };
          return honest.channels!["lot-status"]!({ ...channel, sendMessage }, header, context);
        },
      },
    }),
  });
  world.kill(4);
  await settle([2, 3, 5]);
  await settle([2, 3, 5], DEAL_LIFETIME_MS);
  expect(await lotsAt(2)).toBe("linked");
  world.revive(4);
  await settle([2, 3, 5]);
  await expectAllSealed();
});

test("what a keeper has added up goes at the start when the lot is gone", async () => {
  await dieWhileSealing([]);
  const { store } = provider(2);
  expect([...store.files.keys()].filter((name) => name.startsWith("lot-sum-"))).toHaveLength(1);
  store.files.set("lot-sum-00112233445566778899aabbccddeeff", bytesOf(5_000, 1));
  await restart(2);
  const [key] = keysOf(provider(2), /^lot-linked\//);
  expect([...store.files.keys()].filter((name) => name.startsWith("lot-sum-"))).toEqual([
    `lot-sum-${key!.slice("lot-linked/".length)}`,
  ]);
});
