import { randomBytes } from "node:crypto";
import { afterEach, expect, test } from "vitest";
import { depositLot, type LotOptions } from "../../../protocols/custody/client/index.ts";
import { readProof } from "../../../protocols/custody/proof.ts";
import { createWorld, type World } from "../../support/custody-world.ts";

let world: World;
afterEach(async () => {
  expect(world.faults).toEqual([]);
  await world.close();
});

function putAll(messages: readonly Uint8Array[], overrides: Partial<LotOptions> = {}) {
  const candidates = world.user.directory.providers;
  const providers = candidates.length;
  return depositLot(world.user, { messages, providers, threshold: 3, copies: 3, candidates, ...overrides });
}

const messagesOf = (count: number) => Array.from({ length: count }, (_, i) => new Uint8Array(randomBytes(1 + (i % 40))));

test.each([1, 2, 3, 1000])("%i messages, each a deposit of its own", async (count) => {
  world = await createWorld({ providers: 5 });
  const messages = messagesOf(count);
  const deposits = await putAll(messages);
  expect(new Set(deposits.map(({ tokenText }) => tokenText)).size).toBe(count);
  for (const index of new Set([0, 1 % count, count - 1])) {
    const { terms, chain } = readProof(deposits[index]!.proof());
    expect(chain.valid).toBe(true);
    expect(terms.token).toEqual(deposits[index]!.token);
    expect(await world.get(deposits[index]!.tokenText)).toEqual(messages[index]);
  }
});
