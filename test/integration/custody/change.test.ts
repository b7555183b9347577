/** Refresh and move, over the network in memory. */
import { afterEach, describe, expect, it } from "vitest";
import { readChangeProof } from "../../../protocols/custody/change/change-proof.ts";
import type { ChangeOptions } from "../../../protocols/custody/client/index.ts";
import { CUSTODY_PROTOCOL } from "../../../protocols/custody/constants.ts";
import { ciphertextName, findDeposit } from "../../../protocols/custody/server/deposit-record.ts";
import { loadHeldDeal } from "../../../protocols/dealing/index.ts";
import { parseTokenText } from "../../../protocols/tokens/token-text.ts";
import type { CborValue } from "../../../protocols/wire/codec.ts";
import type { IntercloudError } from "../../../protocols/wire/errors.ts";
import type { Transport } from "../../../protocols/wire/transport.ts";
import { bytesOf, errorOf } from "../../support/bytes.ts";
import { createWorld, type World } from "../../support/custody-world.ts";
import { turnInto, wrongLayer } from "../../support/turn-into.ts";

let world: World;
afterEach(async () => {
  expect(world.faults).toEqual([]);
  await world.close();
});

const MESSAGE = bytesOf(5_000, 7);
const LONG = bytesOf(200_000, 8);

/** What a provider has of a deposit. */
async function heldBy(number: number, tokenText: string) {
  const { store } = world.providers[number - 1]!;
  const { tokenId } = parseTokenText(tokenText);
  const deposit = await findDeposit(store, tokenId);
  const ciphertexts = [...store.files.keys()].filter((name) => name.startsWith(ciphertextName(tokenId)));
  return { generation: deposit?.placement.generation, ciphertexts: ciphertexts.length, store };
}

const candidates = (...numbers: number[]) => numbers.map((number) => world.providers[number - 1]!.peer);

describe("refresh", () => {
  it.each([MESSAGE, LONG])("gives everybody a new share, and the old ones are gone", async (message) => {
    world = await createWorld({ providers: 5 });
    const { tokenText, token } = await world.put(message);
    for (const generation of [1, 2, 3]) {
      const before = await findDeposit(world.providers[0]!.store, parseTokenText(tokenText).tokenId);
      const changed = await world.change(tokenText);
      expect(changed).toMatchObject({ tokenText, missing: [], placement: { generation } });
      expect(changed.retired).toHaveLength(5);
      expect(readChangeProof(changed.proof).placement.generation).toBe(generation);
      for (const number of [1, 2, 3, 4, 5]) {
        const { store, ...held } = await heldBy(number, tokenText);
        expect(held).toEqual({ generation, ciphertexts: number <= 3 ? 1 : 0 });
        expect((await loadHeldDeal(store, before!.placement.manifest.dealId))?.state).toBe("burnt");
      }
      expect(await world.get(tokenText)).toEqual(message);
      expect(await world.get(tokenText, { route: "chain" })).toEqual(message);
    }
    expect((await loadHeldDeal(world.providers[0]!.store, token.dealId))?.state).toBe("burnt");
    for (const { store } of world.providers) {
      expect([...store.files.keys()].filter((name) => name.startsWith("correction-")).length).toBeLessThan(2);
    }
  });

  it.each([1, 4])(
    "that does not read back right is given up, and the deposit stays as it was: provider %i lies",
    async (number) => {
      world = await createWorld({ providers: 5 });
      const { tokenText } = await world.put(MESSAGE, { threshold: 2 });
      await turnInto(world, number, wrongLayer(number));
      const error = await errorOf(world.change(tokenText));
      expect(error).toMatchObject({ code: "BAD_GENERATION", status: "integrity" });
      expect((error as IntercloudError).details.peers).toContain(world.providers[number - 1]!.peer);
      await turnInto(world, number, {});
      for (const each of [1, 2, 3, 4, 5]) expect((await heldBy(each, tokenText)).generation).toBe(0);
      expect(await world.get(tokenText)).toEqual(MESSAGE);
      await world.change(tokenText);
      expect(await world.get(tokenText)).toEqual(MESSAGE);
    },
  );

  it("is done when one of them answers nonsense to the owner's last word, or with another's statement", async () => {
    world = await createWorld({ providers: 4 });
    const { tokenText } = await world.put(MESSAGE);
    const [first, , third] = world.providers;
    let generation = 0;
    const answers: ((body: CborValue, transport: Transport) => Promise<CborValue>)[] = [
      async () => ({ nonsense: 1 }),
      async () => new Uint8Array(30),
      async () => ({ retired: new Uint8Array(100) }),
      (body, transport) => transport.ask(first!.peer, CUSTODY_PROTOCOL, "change-retire", body, { timeoutMs: 5_000 }),
    ];
    for (const answer of answers) {
      await turnInto(world, 3, {
        handlers: (honest, transport) => ({
          ...honest,
          asks: {
            ...honest.asks,
            async "change-retire"(body, context) {
              await honest.asks!["change-retire"]!(body, context);
              return await answer(body, transport);
            },
          },
        }),
      });
      generation += 1;
      const changed = await world.change(tokenText);
      expect(changed).toMatchObject({ missing: [third!.peer], placement: { generation } });
      expect(changed.retired).toHaveLength(3);
      expect(await world.get(tokenText)).toEqual(MESSAGE);
    }
  });

  it("keeps the user's new share of Protocol 2 before the old one is given up", async () => {
    world = await createWorld({ providers: 4 });
    const shares = new Map<string, Uint8Array>();
    const key = (dealId: Uint8Array) => Buffer.from(dealId).toString("hex");
    const { tokenText, token, userShare } = await world.put(MESSAGE, { protocol: 2 });
    shares.set(key(token.dealId), userShare!);
    const keepUserShare: ChangeOptions["keepUserShare"] = async (_, { before, after }, share) => {
      expect(before).toEqual(token.dealId);
      shares.set(key(after), share.slice());
    };
    await world.change(tokenText, { keepUserShare });
    expect(shares.size).toBe(2);
    const keptShare = async (_: Uint8Array, dealId: Uint8Array) => shares.get(key(dealId))?.slice();
    expect(await world.get(tokenText, { userShare: keptShare })).toEqual(MESSAGE);
  });

  it("is refused for anybody but the owner", async () => {
    world = await createWorld({ providers: 4 });
    const { tokenText } = await world.put(MESSAGE);
    await expect(world.change(tokenText, {}, world.stranger())).rejects.toMatchObject({ code: "NOT_THE_OWNER" });
  });

  it("leaves everything as it was when a provider is away", async () => {
    world = await createWorld({ providers: 4 });
    const { tokenText } = await world.put(MESSAGE);
    world.kill(4);
    await expect(world.change(tokenText)).rejects.toMatchObject({ code: "NOT_ENOUGH_PROVIDERS" });
    world.revive(4);
    for (const number of [1, 2, 3, 4]) {
      expect(await heldBy(number, tokenText)).toMatchObject({ generation: 0, ciphertexts: number <= 3 ? 1 : 0 });
    }
    expect(await world.get(tokenText)).toEqual(MESSAGE);
    await world.change(tokenText);
    expect(await world.get(tokenText)).toEqual(MESSAGE);
  });
});

describe("move", () => {
  it.each([MESSAGE, LONG])("takes a deposit to other providers, another n and another t", async (message) => {
    world = await createWorld({ providers: 7 });
    const { tokenText } = await world.put(message, { providers: 4, threshold: 2 });
    const destination = { providers: 5, threshold: 3, copies: 2, candidates: candidates(7, 6, 5, 4, 3) };
    const moved = await world.change(tokenText, { destination });
    expect(parseTokenText(moved.tokenText).home).toBe(world.providers[6]!.peer);
    for (const number of [1, 2]) {
      expect(await heldBy(number, tokenText)).toMatchObject({ generation: undefined, ciphertexts: 0 });
      expect([...world.providers[number - 1]!.store.files.keys()]).toEqual([]);
    }
    for (const number of [3, 4, 5, 6, 7]) {
      expect(await heldBy(number, tokenText)).toMatchObject({ generation: 1, ciphertexts: number >= 6 ? 1 : 0 });
    }
    world.kill(1, 2, 3, 7);
    expect(await world.get(tokenText)).toEqual(message);
    expect(await world.get(moved.tokenText)).toEqual(message);
    world.kill(4);
    await expect(world.get(tokenText)).rejects.toMatchObject({ code: "NOT_ENOUGH_PROVIDERS" });
  });

  it("that does not read back right names who gave a part and goes away, too", async () => {
    world = await createWorld({ providers: 5 });
    const { tokenText } = await world.put(MESSAGE, { providers: 2, threshold: 2, copies: 2 });
    await turnInto(world, 1, wrongLayer(1));
    const destination = { providers: 3, threshold: 2, copies: 2, candidates: candidates(3, 4, 5) };
    const error = (await errorOf(world.change(tokenText, { destination }))) as IntercloudError;
    expect(error).toMatchObject({ code: "BAD_GENERATION", status: "integrity" });
    expect(error.details.peers).toContain(world.providers[0]!.peer);
    expect(error.details.peers).toContain(world.dealer);
  });

  it("back and forth, with providers that were there before", async () => {
    world = await createWorld({ providers: 5 });
    const { tokenText } = await world.put(MESSAGE, { providers: 3, threshold: 2 });
    const to = (...numbers: number[]) => ({
      destination: { providers: numbers.length, threshold: 2, copies: 1, candidates: candidates(...numbers) },
    });
    await world.change(tokenText, to(5, 4));
    expect(await world.get(tokenText)).toEqual(MESSAGE);
    await world.change(tokenText, to(1, 2, 3, 4, 5));
    expect(await world.get(tokenText)).toEqual(MESSAGE);
    await world.change(tokenText, to(3, 1));
    await world.change(tokenText);
    expect(await world.get(tokenText)).toEqual(MESSAGE);
    expect((await heldBy(3, tokenText)).generation).toBe(4);
  });
});
