/** Slow is not dead, and dead is not slow: what one provider costs that does not answer. */
import { afterEach, beforeEach, expect, test } from "vitest";
import type { RetrieveWarning } from "../../../protocols/custody/client/index.ts";
import { CUSTODY_PROTOCOL } from "../../../protocols/custody/constants.ts";
import { custodyHandlers } from "../../../protocols/custody/server/index.ts";
import type { Handlers } from "../../../protocols/wire/transport.ts";
import { systemClock } from "../../../runtime/clock.ts";
import { bytesOf } from "../../support/bytes.ts";
import { createWorld, type World } from "../../support/custody-world.ts";

let world: World;
const stopped = new AbortController();
beforeEach(async () => {
  world = await createWorld({ providers: 5 });
});
afterEach(async () => {
  stopped.abort();
  await world.close();
  expect(world.faults).toEqual([]);
});

const SHORT = bytesOf(1_000, 1);
const LONG = bytesOf(3_000_000, 2);
const never = () => new Promise<never>(() => {});

/** From now on the provider answers nothing of the kinds named. */
async function hang(number: number, ...methods: string[]): Promise<void> {
  const { peer, custody } = world.providers[number - 1]!;
  world.network.kill(peer);
  const transport = world.network.transport(peer, { clock: systemClock });
  const honest = custodyHandlers({ ...custody, transport });
  const handlers: Handlers = {
    asks: { ...honest.asks, ...Object.fromEntries(methods.map((method) => [method, never])) },
    channels: { ...honest.channels, ...Object.fromEntries(methods.map((method) => [method, never])) },
  };
  await transport.serve(CUSTODY_PROTOCOL, handlers);
  world.network.revive(peer);
}

async function timed(tokenText: string) {
  const warnings: RetrieveWarning[] = [];
  const startedAtMs = Date.now();
  const message = await world.get(tokenText, { onWarning: (warning) => void warnings.push(warning) });
  return { message, warnings, tookMs: Date.now() - startedAtMs };
}

test.each([1, 2, 3])("with provider %i answering nothing at all, a retrieval does not wait for it", async (number) => {
  const { tokenText } = await world.put(SHORT, { threshold: 3 });
  await hang(number, "show", "ready", "read", "retrieve");
  const { message, tookMs, warnings } = await timed(tokenText);
  expect(message).toEqual(SHORT);
  expect(warnings).toEqual([]);
  // Idle and ask timeouts are 5 and 10 seconds.
  expect(tookMs).toBeLessThan(2_000);
});

test.each([
  ["short", SHORT, "read"],
  ["long", LONG, "retrieve"],
] as const)(
  "a member that says it is there and then hangs is done without (%s)",
  async (_, message, method) => {
    const { tokenText } = await world.put(message, { threshold: 3, copies: 5 });
    await hang(1, method);
    await hang(2, method);
    for (let tries = 0; tries < 3; tries += 1) {
      const got = await timed(tokenText);
      expect(Buffer.compare(got.message, message)).toBe(0);
      expect(got.tookMs).toBeLessThan(4_500 + (method === "retrieve" ? 11_000 : 0));
    }
  },
  60_000,
);

test("a slow member is taken when there are not enough others", async () => {
  const { tokenText } = await world.put(SHORT, { threshold: 3, copies: 5 });
  const { peer, custody } = world.providers[0]!;
  world.network.kill(peer);
  const transport = world.network.transport(peer, { clock: systemClock });
  const honest = custodyHandlers({ ...custody, transport });
  const slowly: Handlers = {
    ...honest,
    asks: {
      ...honest.asks,
      read: async (body, context) => {
        await new Promise((resolve) => setTimeout(resolve, 1_500));
        return await honest.asks!["read"]!(body, context);
      },
    },
  };
  await transport.serve(CUSTODY_PROTOCOL, slowly);
  world.network.revive(peer);
  world.kill(4, 5);
  expect((await timed(tokenText)).message).toEqual(SHORT);
});
