/**
 * Every lie of testnet/liars, told by as many providers as may lie: whatever is asked of them ends, nothing wrong comes back, nobody honest is
 * accused, and what was put can be got. The time is virtual, so that silence takes none.
 */
import { randomInt } from "node:crypto";
import { afterAll, describe, expect, test } from "vitest";
import { createClient } from "../../../client/client.ts";
import { withDefaults } from "../../../client/deposit-plan.ts";
import { memoryShares } from "../../../client/shares.ts";
// loaded only when they are needed, which takes some time, and nobody waits for that in a virtual one
import "../../../client/kept-envelopes.ts";
import "../../../protocols/custody/client/find-liar.ts";
import { aesKeystream } from "../../../protocols/crypto/keystream.ts";
import { peerNameOf } from "../../../protocols/crypto/peer-name.ts";
import { newSigner } from "../../../protocols/crypto/signing.ts";
import { destroy, type RetrieveWarning, repairDeposit } from "../../../protocols/custody/client/index.ts";
import type { CustodyUser } from "../../../protocols/custody/client/user.ts";
import { verifyEvidence } from "../../../protocols/custody/evidence.ts";
import type { CustodyProvider } from "../../../protocols/custody/server/index.ts";
import { simdKernel } from "../../../protocols/field/index.ts";
import type { Route } from "../../../protocols/rounds/descriptor.ts";
import { parseTokenText } from "../../../protocols/tokens/token-text.ts";
import { IntercloudError } from "../../../protocols/wire/errors.ts";
import type { Handlers, PeerName } from "../../../protocols/wire/transport.ts";
import {
  DEALER_LIES,
  type LiarTools,
  PROVIDER_LIES,
  type ProviderLie,
  providerLie,
} from "../../../testnet/liars/index.ts";
import { bytesOf, collect, sourceOf } from "../../support/bytes.ts";
import { createWorld, entropy, type World } from "../../support/custody-world.ts";
import { turnDealerInto, turnIntoLiar } from "../../support/turn-into.ts";
import { createVirtualTime } from "../../support/virtual-time.ts";
import { seededEntropy } from "../../unit/dealing/seeded.ts";

const SHORT = bytesOf(1_000, 1);
const LONG = bytesOf(100_000, 2);
/** Of five providers, n-t = 2 may lie. Here home and one that keeps no ciphertext, and the other two that keep it. */
const PLACES = [
  [1, 4],
  [2, 3],
];
/** How long anything may take: answers that are always still to come are waited for longest. */
const LIMIT_MS = 15 * 60_000;
/** Until providers have forgotten what was given up. */
const AFTERMATH_MS = 60_000;

const SEED = randomInt(2 ** 32);
process.stdout.write(`every lie: seed ${SEED}\n`);

type Put = readonly [message: Uint8Array, route: Route];
const PUTS: readonly Put[] = [
  [SHORT, "fanout"],
  [LONG, "fanout"],
  [LONG, "chain"],
];

/** Somebody did something wrong, says the error; it may name others beside the liars, and must not name others only. */
function expectFair(error: unknown, liars: readonly PeerName[]): void {
  expect(error).toBeInstanceOf(IntercloudError);
  const { status, code, details, message } = error as IntercloudError;
  // what a liar says is no mistake of whoever asked
  expect(code, message).not.toBe("BAD_MESSAGE");
  if (status !== "integrity") return;
  expect(
    details.peers?.some((peer) => liars.includes(peer)),
    message,
  ).toBe(true);
}

/** What the provider has of deposits. */
function keptBy({ store }: World["providers"][number]): string[] {
  const records = [...store.records.keys()].filter((key) => key.startsWith("deposit/"));
  return [...records, ...store.files.keys()].sort();
}

async function createScene() {
  const time = createVirtualTime();
  const world = await createWorld({
    ...{ providers: 5, clock: time.clock, observe: time.onActivity, sessionLifetimeMs: 24 * 60 * 60_000 },
  });
  const run = <T>(action: () => Promise<T>) => time.run(action, LIMIT_MS);
  /** Another device of the same user. */
  const device = { ...world.user, transport: world.stranger().transport };
  const newPeer = () => peerNameOf(newSigner(entropy).publicKey);
  const client = createClient({
    ...{ identityKey: newSigner(entropy), shares: memoryShares(), entropy, clock: time.clock },
    ...{ spoolDirectory: "/nowhere", directory: world.user.directory, settings: withDefaults({ threshold: 3 }, 5) },
    connect: async () => world.network.transport(newPeer(), { clock: time.clock }),
  });
  return {
    ...{ time, world, run, device, client },
    async end() {
      expect(world.faults).toEqual([]);
      await run(async () => {
        await client.close();
        await world.close();
      });
    },
  };
}

interface Told {
  readonly peer: PeerName;
  readonly method: string;
}

async function createLyingScene(lie: ProviderLie, numbers: readonly number[]) {
  const scene = await createScene();
  const { time, world, run, device, client } = scene;
  const honest = world.providers.filter(({ number }) => !numbers.includes(number));
  const liars = numbers.map((number) => world.providers[number - 1]!.peer);
  const told: Told[] = [];
  const gained: string[] = [];
  const messages = new Map<string, Uint8Array>();
  const token = (text: string) => parseTokenText(text);
  const { signal } = new AbortController();

  /** Whoever is accused has lied, and anybody can check it; who is said to have failed is a liar. @returns the accused */
  function expectTrue(warnings: readonly RetrieveWarning[]): ReadonlySet<PeerName> {
    const accused = new Set<PeerName>();
    for (const { kind, peers, accusation } of warnings) {
      // in a chain nobody can know who it was
      if (kind !== "wrong-bytes") expect(liars).toEqual(expect.arrayContaining([...peers]));
      if (accusation === undefined) continue;
      const { agreementKeyOf } = world.user.directory;
      const isDealer = (peer: PeerName) => peer === world.dealer;
      const court = { agreementKeyOf, isDealer, keystream: aesKeystream, kernel: simdKernel };
      expect(verifyEvidence(accusation.evidence, court)).toMatchObject({ accused: accusation.accused });
      accused.add(accusation.accused);
    }
    return accused;
  }

  /** The right bytes; who has lied in a way that can be shown is accused. */
  async function getOn(user: CustodyUser, tokenText: string, route: Route): Promise<void> {
    const warnings: RetrieveWarning[] = [];
    const from = told.length;
    const onWarning = (warning: RetrieveWarning) => void warnings.push(warning);
    const back = await run(() => world.get(tokenText, { route, onWarning }, user));
    expect(Buffer.compare(back, messages.get(tokenText)!)).toBe(0);
    const accused = expectTrue(warnings);
    for (const { peer, method } of lie.isAttributable ? told.slice(from) : []) {
      if (method === "read" || method === "retrieve") expect(accused).toContain(peer);
    }
  }

  return {
    ...{ world, told, gained, end: scene.end, nowMs: time.clock.nowMs },
    /** With an envelope, as users put. */
    async putEnvelope(message: Uint8Array): Promise<string> {
      return await run(async () => (await client.deposit(sourceOf(message.slice(), 30_000), {})).tokenText);
    },
    async getEnvelope(tokenText: string, message: Uint8Array) {
      const warnings: RetrieveWarning[] = [];
      const back = await run(async () => {
        const retrieval = await client.retrieve(tokenText, { onWarning: (warning) => void warnings.push(warning) });
        return await collect(retrieval.message);
      });
      expect(Buffer.compare(back, message)).toBe(0);
      expectTrue(warnings);
    },
    async begin() {
      for (const number of numbers) {
        const { peer } = world.providers[number - 1]!;
        await turnIntoLiar(world, number, lie, {
          entropy: seededEntropy(`${SEED} ${lie.name} ${number}`),
          told: (method) => void told.push({ peer, method }),
          gained: (method) => void gained.push(method),
        });
      }
    },
    /** Good, or an error that leaves nothing with those that are honest. */
    async put([message, route]: Put): Promise<string | undefined> {
      const before = honest.map(keptBy);
      try {
        const { tokenText } = await run(() => world.put(message, { route }));
        messages.set(tokenText, message);
        return tokenText;
      } catch (error) {
        expectFair(error, liars);
        await time.pass(AFTERMATH_MS);
        expect(honest.map(keptBy)).toEqual(before);
        return undefined;
      }
    },
    getOn,
    async get(tokenText: string, route: Route = "fanout") {
      for (const user of [world.user, device]) await getOn(user, tokenText, route);
    },
    async repair(tokenText: string) {
      const { providers } = await run(() => repairDeposit(world.user, token(tokenText), signal));
      for (const { peer, error } of providers) {
        if (error !== undefined && !liars.includes(peer)) expectFair(error, liars);
      }
    },
    /** A refresh, or a move to four of them, the liars among these. */
    async change(tokenText: string, isMove: boolean) {
      const candidates = [5, 2, 1, 3].map((number) => world.providers[number - 1]!.peer);
      const destination = isMove ? { providers: 4, threshold: 2, copies: 3, candidates } : undefined;
      try {
        await run(() => world.change(tokenText, { destination }));
      } catch (error) {
        expectFair(error, liars);
      }
    },
    async destroy(tokenText: string) {
      const { destroyed, needed } = await run(() => destroy(world.user, token(tokenText), signal));
      expect(destroyed.length).toBeGreaterThanOrEqual(needed);
      await expect(run(() => world.get(tokenText))).rejects.toBeInstanceOf(IntercloudError);
    },
  };
}

describe.each(PROVIDER_LIES.map((lie) => [lie.name, lie] as const))("%s", (_, lie) => {
  let count = 0;
  afterAll(() => expect(count, "it was never told").toBeGreaterThan(0));

  test.each(PLACES.map((numbers) => [numbers.join(" and "), numbers] as const))(
    "at %s: whatever is asked of them ends, and nothing wrong comes back",
    async (_, numbers) => {
      const scene = await createLyingScene(lie, numbers);
      const tokens: string[] = [];
      for (const each of PUTS) tokens.push((await scene.put(each))!);
      const [short, long, other] = tokens as [string, string, string];
      const enveloped = await scene.putEnvelope(LONG);
      await scene.begin();
      for (const each of PUTS) {
        const made = await scene.put(each);
        if (made !== undefined) await scene.get(made);
      }
      for (const tokenText of [short, long]) {
        await scene.get(tokenText);
        await scene.get(tokenText, "chain");
        await scene.repair(tokenText);
        await scene.get(tokenText);
        await scene.change(tokenText, false);
        await scene.get(tokenText);
      }
      await scene.change(short, true);
      await scene.get(short);
      // what broke when they began to lie is noticed by the first
      for (let times = 0; times < 2; times += 1) await scene.getEnvelope(enveloped, LONG);
      await scene.destroy(other);
      count += scene.told.length;
      expect(scene.gained).toEqual([]);
      await scene.end();
    },
  );
});

test("a liar that is found out, and says that its account is still to come, costs a get half a minute", async () => {
  const wrong = providerLie("wrong-layer");
  const waiting = providerLie("endless-keep-alives");
  const both: ProviderLie = {
    ...wrong,
    begin(liar) {
      const { handlers } = waiting.begin(liar);
      const account = (made: Handlers, protocol: string, own: CustodyProvider) =>
        handlers?.(made, protocol, own).channels?.["account"];
      return {
        ...wrong.begin(liar),
        handlers: (made, protocol, own) => {
          const never = account(made, protocol, own);
          return never === undefined ? made : { ...made, channels: { ...made.channels, account: never } };
        },
      };
    },
  };
  const scene = await createLyingScene(both, [2, 3]);
  const tokenText = (await scene.put([LONG, "fanout"]))!;
  await scene.begin();
  for (let times = 0; times < 3; times += 1) {
    const startedAtMs = scene.nowMs();
    await scene.getOn(scene.world.user, tokenText, "fanout");
    // for each of the two
    expect(scene.nowMs() - startedAtMs).toBeLessThan(65_000);
  }
  expect(scene.told.map(({ method }) => method)).toContain("account");
  await scene.end();
});

describe.each(DEALER_LIES.map((lie) => [lie.name, lie] as const))("the dealer: %s", (_, lie) => {
  test("a deposit is whole or not there, and a refresh leaves it whole", async () => {
    const scene = await createScene();
    const { time, world, run } = scene;
    const { tokenText } = await run(() => world.put(SHORT));
    const told: string[] = [];
    const reports: Partial<LiarTools> = {
      entropy: seededEntropy(`${SEED} ${lie.name}`),
      told: (method) => void told.push(method),
    };
    await turnDealerInto(world, lie, reports);
    const expectDealer = (error: unknown, from: number) => {
      expectFair(error, [world.dealer]);
      if (!lie.isNamed || told.length === from) return;
      expect(error).toMatchObject({ status: "integrity", details: { peers: [world.dealer] } });
    };
    for (const [message, route] of [...PUTS, ...PUTS]) {
      const before = world.providers.map(keptBy);
      const from = told.length;
      try {
        const made = await run(() => world.put(message, { route }));
        expect(lie.isNamed && told.length > from, "it was closed").toBe(false);
        expect(Buffer.compare(await run(() => world.get(made.tokenText)), message)).toBe(0);
      } catch (error) {
        expectDealer(error, from);
        await time.pass(AFTERMATH_MS);
        // a deal that nobody knows of goes when its time is over
        const depositsOf = (kept: string[]) => kept.filter((each) => !each.startsWith("correction-"));
        expect(world.providers.map(keptBy).map(depositsOf)).toEqual(before.map(depositsOf));
      }
    }
    await run(() => world.change(tokenText)).catch((error) => expectFair(error, [world.dealer]));
    expect(await run(() => world.get(tokenText))).toEqual(SHORT);
    expect(told).not.toEqual([]);
    await scene.end();
  });
});
