/** Repair of single deposits and of whole providers, over the network in memory. */
import { afterEach, describe, expect, it } from "vitest";
import { destroy, repairDeposit } from "../../../protocols/custody/client/index.ts";
import { ciphertextName, findDeposit } from "../../../protocols/custody/server/deposit-record.ts";
import { restoreAll } from "../../../protocols/custody/server/index.ts";
import { correctionName, heldDealChange, loadHeldDeal, shareOf } from "../../../protocols/dealing/held-deal.ts";
import { checkManifest } from "../../../protocols/dealing/manifest.ts";
import { shareBytes } from "../../../protocols/rounds/share.ts";
import { whole } from "../../../protocols/rounds/whole.ts";
import { parseTokenText } from "../../../protocols/tokens/token-text.ts";
import { bytesOf } from "../../support/bytes.ts";
import { createWorld, type World } from "../../support/custody-world.ts";
import { turnInto, wrongLayer } from "../../support/turn-into.ts";

let world: World;
afterEach(async () => {
  expect(world.faults).toEqual([]);
  await world.close();
});

const SIGNAL = new AbortController().signal;
const MESSAGE = bytesOf(3_000, 3);
const LONG = bytesOf(1_300_000, 4);
const NOTHING = { record: false, share: false, ciphertext: false, envelope: false };

async function repair(tokenText: string, user = world.user) {
  const { providers } = await repairDeposit(user, parseTokenText(tokenText), SIGNAL);
  return providers.map(({ repaired, error }) => repaired ?? error?.status);
}

/** The provider's disk is empty. */
function wipe(number: number) {
  const { store } = world.providers[number - 1]!;
  store.records.clear();
  store.files.clear();
}

async function shareAt(number: number, dealId: Uint8Array): Promise<Uint8Array> {
  const { store, custody } = world.providers[number - 1]!;
  const deal = (await loadHeldDeal(store, dealId))!;
  const lengthBytes = checkManifest(deal.manifest).lengthBytes;
  return await whole(shareBytes(shareOf(deal, store), lengthBytes, custody.tools.keystream));
}

async function restore(number: number) {
  const { custody, peer } = world.providers[number - 1]!;
  const others = world.user.directory.providers.filter((each) => each !== peer);
  return await restoreAll(custody, others, SIGNAL, () => {});
}

describe("repair", () => {
  it("does nothing where all is well", async () => {
    world = await createWorld({ providers: 4 });
    const { tokenText } = await world.put(MESSAGE);
    expect(await repair(tokenText)).toEqual([NOTHING, NOTHING, NOTHING, NOTHING]);
  });

  it.each([
    ["a free share", 1, MESSAGE],
    ["a corrected share", 4, MESSAGE],
    ["a long free share", 1, LONG],
    ["a long corrected share", 4, LONG],
  ])("rebuilds %s of a provider that lost everything, and the ciphertext", async (_, number, message) => {
    world = await createWorld({ providers: 4 });
    const { tokenText, token } = await world.put(message, { copies: 4, threshold: 2 });
    wipe(number);
    const all = { record: true, share: true, ciphertext: true, envelope: false };
    const reports = await repair(tokenText);
    expect(reports).toEqual([1, 2, 3, 4].map((each) => (each === number ? all : NOTHING)));
    const { store } = world.providers[number - 1]!;
    expect((await loadHeldDeal(store, token.dealId))?.state).toBe("sealed");
    const others = [1, 2, 3, 4].filter((each) => each !== number);
    world.kill(others[0]!);
    expect(await world.get(tokenText)).toEqual(message);
    // The rebuilt share is worth as much as any other: it can rebuild another one.
    world.revive(others[0]!);
    wipe(others[0]!);
    world.kill(others[1]!);
    await repair(tokenText);
    world.revive(others[1]!);
    world.kill(others[2]!);
    expect(await world.get(tokenText)).toEqual(message);
  });

  it.each(["correction", "ciphertext", "seed"] as const)("finds a %s with a flipped bit", async (what) => {
    world = await createWorld({ providers: 5 });
    const { tokenText, token } = await world.put(MESSAGE);
    const { store } = world.providers[2]!;
    const { tokenId } = parseTokenText(tokenText);
    if (what === "seed") {
      const deal = (await loadHeldDeal(store, token.dealId))!;
      await store.commit([heldDealChange({ ...deal, seed: deal.seed.map((byte) => byte ^ 1) })]);
    } else {
      const name = what === "correction" ? correctionName(token.dealId) : ciphertextName(tokenId);
      const bytes = store.files.get(name)!;
      bytes[100]! ^= 1;
    }
    const expected = { ...NOTHING, [what === "ciphertext" ? "ciphertext" : "share"]: true };
    expect((await repair(tokenText))[2]).toEqual(expected);
    expect(await repair(tokenText)).toEqual([NOTHING, NOTHING, NOTHING, NOTHING, NOTHING]);
  });

  it("says who cannot be repaired when there are too few others, and who is away", async () => {
    world = await createWorld({ providers: 4 });
    const { tokenText } = await world.put(MESSAGE, { threshold: 3 });
    wipe(1);
    wipe(2);
    world.kill(3);
    expect(await repair(tokenText)).toEqual(["unreachable", "unreachable", "unreachable", NOTHING]);
    world.revive(3);
  });

  it("gets the right share when one of those that help lies, and none when too many do", async () => {
    world = await createWorld({ providers: 5 });
    const { tokenText, token } = await world.put(MESSAGE, { copies: 1, threshold: 2 });
    const before = await shareAt(5, token.dealId);
    await turnInto(world, 2, wrongLayer(2));
    wipe(5);
    expect((await repair(tokenText)).at(-1)).toMatchObject({ record: true, share: true });
    expect(await shareAt(5, token.dealId)).toEqual(before);
    for (const number of [1, 3]) await turnInto(world, number, wrongLayer(number));
    wipe(5);
    expect((await repair(tokenText)).at(-1)).toBe("integrity");
    expect(await loadHeldDeal(world.providers[4]!.store, token.dealId)).toBeUndefined();
    expect([...world.providers[4]!.store.files.keys()]).toEqual([]);
  });

  it("works on the newest generation, after a refresh", async () => {
    world = await createWorld({ providers: 4 });
    const { tokenText } = await world.put(MESSAGE);
    await world.change(tokenText);
    wipe(2);
    expect((await repair(tokenText))[1]).toEqual({
      ...{ record: true, share: true, ciphertext: true, envelope: false },
    });
    expect(
      (await findDeposit(world.providers[1]!.store, parseTokenText(tokenText).tokenId))?.placement.generation,
    ).toBe(1);
    world.kill(1);
    expect(await world.get(tokenText)).toEqual(MESSAGE);
  });

  it("is refused for anybody but the owner", async () => {
    world = await createWorld({ providers: 4 });
    const { tokenText } = await world.put(MESSAGE);
    await expect(repair(tokenText, world.stranger())).rejects.toMatchObject({ code: "NOT_THE_OWNER" });
  });
});

describe("restore", () => {
  it("gives a provider that lost its disk all its shares back", async () => {
    world = await createWorld({ providers: 5 });
    const messages = Array.from({ length: 12 }, (_, i) => bytesOf(100 + i, i));
    const tokens: string[] = [];
    for (const [i, message] of messages.entries()) {
      const { tokenText } = await world.put(message, { threshold: 3, providers: i % 3 === 0 ? 4 : 5 });
      if (i % 4 === 0) await world.change(tokenText);
      tokens.push(tokenText);
    }
    wipe(5);
    expect(await restore(5)).toEqual({ good: 0, restored: 8, failed: [], missing: [] });
    expect(await restore(5)).toEqual({ good: 8, restored: 0, failed: [], missing: [] });
    world.kill(1, 4);
    for (const [i, tokenText] of tokens.entries()) {
      if (i % 3 !== 0) expect(await world.get(tokenText)).toEqual(messages[i]);
    }
  });

  it("brings back a share that was destroyed here, as long as t others still have theirs", async () => {
    world = await createWorld({ providers: 4 });
    const { tokenText } = await world.put(MESSAGE, { threshold: 2 });
    const { tokenId } = parseTokenText(tokenText);
    world.kill(2, 3, 4);
    const partly = await destroy(world.user, parseTokenText(tokenText), SIGNAL);
    expect({ needed: partly.needed, missing: partly.missing.length }).toEqual({ needed: 3, missing: 3 });
    world.revive(2, 3, 4);
    // While it knows that it destroyed it, it takes nothing back.
    expect(await restore(1)).toMatchObject({ restored: 0, failed: [{ error: { code: "DEAL_BURNT" } }] });
    wipe(1);
    expect(await restore(1)).toMatchObject({ restored: 1, failed: [] });
    expect((await findDeposit(world.providers[0]!.store, tokenId))?.record.state).toBe("sealed");
  });

  it("names the providers that did not answer", async () => {
    world = await createWorld({ providers: 4 });
    const { tokenText } = await world.put(MESSAGE, { threshold: 2 });
    wipe(1);
    world.kill(3);
    const report = await restore(1);
    expect(report).toMatchObject({ restored: 1, missing: [world.providers[2]!.peer] });
    world.kill(2);
    expect(await world.get(tokenText)).toEqual(MESSAGE);
  });
});
