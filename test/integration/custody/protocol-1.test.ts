/** Protocol 1: the owner's key and one provider that keeps the ciphertext are enough, whatever happens to all others. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readStatement, signStatement } from "../../../protocols/custody/change/statements.ts";
import { destroy, grant, repairDeposit } from "../../../protocols/custody/client/index.ts";
import { signedRequest } from "../../../protocols/custody/client/user.ts";
import { CUSTODY_PROTOCOL } from "../../../protocols/custody/constants.ts";
import { isUnrecoverable } from "../../../protocols/custody/destroyed.ts";
import { readProof } from "../../../protocols/custody/proof.ts";
import { ciphertextName } from "../../../protocols/custody/server/deposit-record.ts";
import { custodyHandlers } from "../../../protocols/custody/server/index.ts";
import { boxedPoints, openBox, sealShare } from "../../../protocols/custody/share-boxes.ts";
import { createDealKeeper, DEALING_PROTOCOL } from "../../../protocols/dealing/index.ts";
import { checkKeptRequest } from "../../../protocols/identity/request.ts";
import { parseTokenText } from "../../../protocols/tokens/token-text.ts";
import { type CborValue, decodeCanonical } from "../../../protocols/wire/codec.ts";
import type { Handlers } from "../../../protocols/wire/transport.ts";
import { systemClock } from "../../../runtime/clock.ts";
import { bytesOf, errorOf } from "../../support/bytes.ts";
import { createWorld, entropy, type World } from "../../support/custody-world.ts";

let world: World;
beforeEach(async () => {
  world = await createWorld({ providers: 5 });
});
afterEach(async () => {
  expect(world.faults).toEqual([]);
  await world.close();
});

const SIGNAL = new AbortController().signal;
const MESSAGE = bytesOf(3_000, 7);
const LONG = bytesOf(1_500_000, 8);
const ALL = [1, 2, 3, 4, 5];
const PROTOCOL_1 = { protocol: 1, threshold: 3, copies: 2 } as const;

async function expectReadAlone(tokenText: string, message: Uint8Array, keepers: readonly number[]): Promise<void> {
  for (const alone of keepers) {
    const others = ALL.filter((number) => number !== alone);
    world.kill(...others);
    expect(Buffer.compare(await world.get(tokenText), message)).toBe(0);
    world.revive(...others);
  }
}

/** The provider answers this question with something else. */
async function change(number: number, method: string, lie: (answer: CborValue) => CborValue): Promise<void> {
  const { peer, custody } = world.providers[number - 1]!;
  world.network.kill(peer);
  const transport = world.network.transport(peer, { clock: systemClock });
  const { clock, isDealer, agreementKey, store, tools } = custody;
  const keeper = createDealKeeper({ peer, agreementKey, store, clock, keystream: tools.keystream, isDealer });
  await transport.serve(DEALING_PROTOCOL, keeper);
  const honest: Handlers = custodyHandlers({ ...custody, transport });
  const asks = {
    ...honest.asks,
    [method]: async (...asked: Parameters<NonNullable<Handlers["asks"]>[string]>) =>
      lie(await honest.asks![method]!(...asked)),
  };
  await transport.serve(CUSTODY_PROTOCOL, { ...honest, asks });
  world.network.revive(peer);
}

describe.each(["chain", "fanout"] as const)("deposited by %s", (route) => {
  it.each([MESSAGE, LONG])("is read from each keeper alone, all others dead", async (message) => {
    const { tokenText } = await world.put(message, { ...PROTOCOL_1, route });
    await expectReadAlone(tokenText, message, [1, 2]);
  });

  it("is not read without a keeper, though all others live", async () => {
    const { tokenText } = await world.put(MESSAGE, { ...PROTOCOL_1, route });
    world.kill(1, 2);
    expect(await errorOf(world.get(tokenText))).toMatchObject({ code: "NO_CIPHERTEXT", status: "unreachable" });
  });
});

it("home's record grows by 80 bytes for each of t shares, and not with the message", async () => {
  const lengths: number[] = [];
  for (const message of [MESSAGE, LONG]) {
    const { proof } = await world.put(message, PROTOCOL_1);
    const { boxes, placement } = readProof(proof);
    expect(boxedPoints(placement.manifest)).toEqual([1, 2, 6]);
    expect(boxes.map(({ length }) => length)).toEqual([80, 80, 80]);
    lengths.push(proof.length);
  }
  expect(Math.abs(lengths[1]! - lengths[0]!)).toBeLessThan(32);
});

it("the sealed shares open with the owner's key only, and each at its own point of its own deal only", async () => {
  const { proof } = await world.put(MESSAGE, PROTOCOL_1);
  const other = await world.put(MESSAGE, PROTOCOL_1);
  const { boxes, placement } = readProof(proof);
  const owner = world.user.userKey;
  expect(openBox(owner, placement, 1, boxes[0]!).seed).toHaveLength(32);
  const wrong = expect.objectContaining({ code: "WRONG_BOX" });
  expect(() => openBox(world.stranger().userKey, placement, 1, boxes[0]!)).toThrow(wrong);
  expect(() => openBox(owner, placement, 2, boxes[0]!)).toThrow(wrong);
  expect(() => openBox(owner, readProof(other.proof).placement, 1, boxes[0]!)).toThrow(wrong);
});

it("somebody else is refused, with the token and every provider alive", async () => {
  const { tokenText } = await world.put(MESSAGE, PROTOCOL_1);
  expect(await errorOf(world.get(tokenText, {}, world.stranger()))).toMatchObject({ status: "refused" });
});

describe("a provider that seals", () => {
  const anotherSeed = (answer: CborValue): CborValue => {
    const dealId = lastDeal();
    return {
      ...(answer as object),
      box: sealShare(world.user.userKey.publicKey, { dealId }, { point: 2, seed: bytesOf(32, 1) }, entropy),
    };
  };
  const lastDeal = () => {
    const keys = [...world.providers[1]!.store.records.keys()].filter((key) => key.startsWith("deal/"));
    return Buffer.from(keys.at(-1)!.slice("deal/".length), "hex");
  };
  it.each([
    ["another seed", anotherSeed],
    ["no seed at all", (answer: CborValue) => ({ ...(answer as object), box: bytesOf(80, 3) })],
    ["nothing", (answer: CborValue) => ({ ...(answer as object), box: null })],
  ] as const)("%s is named, and nothing is kept", async (_, lie) => {
    for (const [route, method] of [
      ["fanout", "place"],
      ["chain", "bind"],
    ] as const) {
      await change(2, method, lie);
      expect(await errorOf(world.put(MESSAGE, { ...PROTOCOL_1, route }))).toMatchObject({
        ...{ code: "WRONG_BOX", details: { peers: [world.providers[1]!.peer] } },
      });
      for (const { store } of world.providers) {
        expect([...store.records.keys()].filter((key) => key.startsWith("deposit"))).toEqual([]);
        expect([...store.files.keys()]).toEqual([]);
      }
    }
  });
});

it.each([
  ["of which a sealed share is missing", (boxes: Uint8Array[]) => boxes.slice(1)],
  ["with one too many", (boxes: Uint8Array[]) => [...boxes, boxes[0]!]],
])("providers do not seal a deposit %s", async (_, lie) => {
  const { transport } = world.user;
  const lying: typeof transport.ask = (to, protocol, method, body, options) => {
    if (method !== "seal") return transport.ask(to, protocol, method, body, options);
    const content = checkKeptRequest((body as { closing: Uint8Array }).closing, "deposit").content as {
      boxes: Uint8Array[];
    };
    const closing = signedRequest(world.user, "deposit", { ...content, boxes: lie(content.boxes) });
    return transport.ask(to, protocol, method, { ...(body as object), closing }, options);
  };
  const user = { ...world.user, transport: { ...transport, ask: lying } };
  expect(await errorOf(world.put(MESSAGE, PROTOCOL_1, user))).toMatchObject({ status: "bad-request" });
});

describe("refreshed and moved", () => {
  it("is read from each keeper alone where it is now", async () => {
    const { tokenText } = await world.put(MESSAGE, PROTOCOL_1);
    await world.change(tokenText);
    await expectReadAlone(tokenText, MESSAGE, [1, 2]);
    const candidates = [5, 4, 3].map((number) => world.providers[number - 1]!.peer);
    const moved = await world.change(tokenText, { destination: { providers: 3, threshold: 2, copies: 2, candidates } });
    expect(moved.placement).toMatchObject({ generation: 2, copies: 2 });
    await expectReadAlone(moved.tokenText, MESSAGE, [5, 4]);
  });

  it("a provider that seals another seed in between is named, and everything stays as it was", async () => {
    const { tokenText } = await world.put(MESSAGE, PROTOCOL_1);
    const { signer } = world.providers[0]!;
    await change(1, "change-activate", (answer) => {
      const { holding } = answer as { holding: Uint8Array };
      const { body } = decodeCanonical(holding) as { body: Uint8Array };
      const { change } = decodeCanonical(body) as { change: Uint8Array };
      return { holding: signStatement({ ...readStatement(holding, "holding", change), box: bytesOf(80, 4) }, signer) };
    });
    expect(await errorOf(world.change(tokenText))).toMatchObject({
      ...{ code: "WRONG_BOX", details: { peers: [world.providers[0]!.peer] } },
    });
    await expectReadAlone(tokenText, MESSAGE, [2]);
  });
});

it("home that lost everything gets it back, and is enough again", async () => {
  const { tokenText } = await world.put(MESSAGE, PROTOCOL_1);
  const { store } = world.providers[0]!;
  store.records.clear();
  store.files.clear();
  const { providers } = await repairDeposit(world.user, parseTokenText(tokenText), SIGNAL);
  expect(providers[0]).toMatchObject({ repaired: { record: true, share: true, ciphertext: true } });
  await expectReadAlone(tokenText, MESSAGE, [1, 2]);
});

it("a keeper that gives wrong bytes is named, and another one serves", async () => {
  const { tokenText } = await world.put(MESSAGE, PROTOCOL_1);
  const { tokenId } = parseTokenText(tokenText);
  world.providers[0]!.store.files.get(ciphertextName(tokenId))![200]! ^= 1;
  const named: unknown[] = [];
  for (let i = 0; i < 4; i += 1) {
    const onWarning = ({ kind, peers }: { kind: string; peers: readonly string[] }) =>
      void named.push([kind, ...peers]);
    expect(await world.get(tokenText, { onWarning })).toEqual(MESSAGE);
  }
  for (const each of named) expect(each).toEqual(["named", world.providers[0]!.peer]);
});

it("is unrecoverable when all that keep the ciphertext have destroyed it, and not before", async () => {
  const { tokenText } = await world.put(MESSAGE, PROTOCOL_1);
  world.kill(2);
  const partly = await destroy(world.user, parseTokenText(tokenText), SIGNAL);
  expect(partly.destroyed).toHaveLength(4);
  const peers = (of: typeof partly) => of.destroyed.map(({ receipt }) => receipt.peer);
  expect(isUnrecoverable(partly.destroyed[0]!, peers(partly))).toBe(false);
  world.revive(2);
  expect(await world.get(tokenText)).toEqual(MESSAGE);
  const all = await destroy(world.user, parseTokenText(tokenText), SIGNAL);
  expect(all).toMatchObject({ needed: 2, missing: [] });
  expect(isUnrecoverable(all.destroyed[0]!, peers(all))).toBe(true);
  expect(await errorOf(world.get(tokenText))).toMatchObject({ code: "DESTROYED" });
});

it("cannot be granted: nobody else has the owner's key", async () => {
  const { tokenText } = await world.put(MESSAGE, PROTOCOL_1);
  const terms = { identity: world.stranger().session.identity, purposes: ["retrieve"], expiresAtMs: null } as const;
  const granting = grant(world.user, { token: parseTokenText(tokenText), ...terms, signal: SIGNAL });
  expect(await errorOf(granting)).toMatchObject({ code: "NOT_GRANTABLE" });
});
