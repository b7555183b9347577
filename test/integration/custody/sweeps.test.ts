/** What a provider does every minute costs by what is open, not by what it keeps. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { findDeposit } from "../../../protocols/custody/server/deposit-record.ts";
import { settleCustody, sweepDeposits } from "../../../protocols/custody/server/index.ts";
import type { CustodyProvider } from "../../../protocols/custody/server/provider.ts";
import { DEAL_LIFETIME_MS, sweepDeals } from "../../../protocols/dealing/index.ts";
import type { Store } from "../../../protocols/storage/index.ts";
import { parseTokenText } from "../../../protocols/tokens/token-text.ts";
import { IntercloudError } from "../../../protocols/wire/errors.ts";
import type { Transport } from "../../../protocols/wire/transport.ts";
import { systemClock } from "../../../runtime/clock.ts";
import { bytesOf } from "../../support/bytes.ts";
import { createWorld, type World } from "../../support/custody-world.ts";

let world: World;
let skewMs = 0;
beforeEach(async () => {
  skewMs = 0;
  world = await createWorld({ providers: 3, clock: { ...systemClock, nowMs: () => Date.now() + skewMs } });
});
afterEach(async () => {
  await world.close();
  expect(world.faults).toEqual([]);
});

const MESSAGE = bytesOf(100, 7);

async function sweep(custody: CustodyProvider): Promise<void> {
  await sweepDeposits(custody, false);
  await sweepDeals(custody.store, custody.clock.nowMs());
  await settleCustody(custody, new AbortController().signal);
}

/** The store's records that are read while `action` runs. */
async function readsOf(store: Store, action: () => Promise<void>): Promise<number> {
  const writable = store as { -readonly [K in keyof Store]: Store[K] };
  const { get, entries } = store;
  let reads = 0;
  writable.get = async (key) => {
    reads += 1;
    return await get(key);
  };
  writable.entries = async function* (prefix) {
    for await (const entry of entries(prefix)) {
      reads += 1;
      yield entry;
    }
  };
  try {
    await action();
  } finally {
    Object.assign(writable, { get, entries });
  }
  return reads;
}

/** A deposit whose sealing never reaches a provider: it stays linked everywhere. */
async function leaveLinked(): Promise<Uint8Array> {
  const { transport } = world.user;
  let tokenId: Uint8Array | undefined;
  const ask: Transport["ask"] = async (to, protocol, method, body, options) => {
    if (method === "seal" || method === "abandon") throw new IntercloudError("GONE", "unreachable", "the line is dead");
    if (method === "link") tokenId = (body as { tokenId: Uint8Array }).tokenId;
    return await transport.ask(to, protocol, method, body, options);
  };
  const failing = world.put(MESSAGE, { route: "fanout" }, { ...world.user, transport: { ...transport, ask } });
  await expect(failing).rejects.toThrow();
  return tokenId!;
}

test("a sweep reads nothing of the deposits that are sealed", async () => {
  const { custody } = world.providers[0]!;
  await world.put(MESSAGE, { route: "fanout" });
  await sweep(custody); // the first one reads what was here before this process
  for (let i = 0; i < 5; i += 1) await world.put(MESSAGE, { route: "fanout" });
  expect(await readsOf(custody.store, () => sweep(custody))).toBe(0);
});

test("what is not sealed is found by every sweep, until it is over", async () => {
  const { custody } = world.providers[0]!;
  await sweep(custody);
  const tokenId = await leaveLinked();
  expect((await findDeposit(custody.store, tokenId))?.record.state).toBe("linked");
  await sweep(custody);
  expect((await findDeposit(custody.store, tokenId))?.record.state).toBe("linked");
  skewMs = 2 * DEAL_LIFETIME_MS;
  await sweep(custody);
  expect(await findDeposit(custody.store, tokenId)).toBeUndefined();
  expect(await readsOf(custody.store, () => sweep(custody))).toBeLessThanOrEqual(1);
});

test("what was there before this process is found by its first sweep", async () => {
  const { custody } = world.providers[0]!;
  const tokenId = await leaveLinked();
  const kept = await world.put(MESSAGE, { route: "fanout" });
  // Another object over the same records: nothing is remembered of it.
  const restarted = { ...custody, store: { ...custody.store } };
  skewMs = 2 * DEAL_LIFETIME_MS;
  await sweep(restarted);
  expect(await findDeposit(custody.store, tokenId)).toBeUndefined();
  expect((await findDeposit(custody.store, parseTokenText(kept.tokenText).tokenId))?.record.state).toBe("sealed");
});
