/** What a user does when providers have more to do than they can, or when it is asked for too much itself. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { createClient } from "../../../client/client.ts";
import { withDefaults } from "../../../client/deposit-plan.ts";
import { memoryShares } from "../../../client/shares.ts";
import { RETRIEVAL_TURNS } from "../../../client/turns.ts";
import { peerNameOf } from "../../../protocols/crypto/peer-name.ts";
import { newSigner } from "../../../protocols/crypto/signing.ts";
import { createHedges } from "../../../protocols/custody/client/hedges.ts";
import type { CustodyUser } from "../../../protocols/custody/client/user.ts";
import { IntercloudError, RemoteError } from "../../../protocols/wire/errors.ts";
import type { PeerName, Transport } from "../../../protocols/wire/transport.ts";
import { systemClock } from "../../../runtime/clock.ts";
import { bytesOf, collect, errorOf } from "../../support/bytes.ts";
import { createWorld, entropy, type World } from "../../support/custody-world.ts";

let world: World;
beforeEach(async () => {
  world = await createWorld({ providers: 5 });
});
afterEach(async () => {
  await world.close();
  expect(world.faults).toEqual([]);
});

const MESSAGE = bytesOf(100, 3);
type Ask = (to: PeerName, method: string, really: () => ReturnType<Transport["ask"]>) => ReturnType<Transport["ask"]>;

/** The user, with a limit of hedges as a client has it, whose asks go through `ask`; `asked` counts them. */
function userOver(ask: Ask): { readonly user: CustodyUser; readonly asked: Map<string, number> } {
  const { transport } = world.user;
  const asked = new Map<string, number>();
  const counting: Transport["ask"] = (to, protocol, method, body, options) => {
    asked.set(method, (asked.get(method) ?? 0) + 1);
    return ask(to, method, () => transport.ask(to, protocol, method, body, options));
  };
  const user = { ...world.user, hedges: createHedges(systemClock), transport: { ...transport, ask: counting } };
  return { user, asked };
}

const QUESTIONS = ["ready", "show"];

/** Providers with these numbers answer "busy" to what a retrieval begins with. */
function whileBusy(numbers: readonly number[]) {
  const busy = new Set(numbers.map((number) => world.providers[number - 1]!.peer));
  return userOver(async (to, method, really) => {
    if (!busy.has(to) || !QUESTIONS.includes(method)) return await really();
    throw new RemoteError(to, "busy", { retryAfterMs: 3_000 });
  });
}

test("when all are busy the user is told so, and nobody is asked in their place", async () => {
  const { tokenText } = await world.put(MESSAGE, { route: "fanout" });
  const { user, asked } = whileBusy([1, 2, 3, 4, 5]);
  const error = await errorOf(world.get(tokenText, {}, user));
  expect(error).toMatchObject({ code: "BUSY", status: "busy", details: { retryAfterMs: 3_000 } });
  // home and two more for the proof, all of them for who is there
  expect(Object.fromEntries(asked)).toEqual({ show: 3, ready: 5 });
});

test.each([[[1, 2]], [[2, 5]], [[4, 5]]])("providers %j being busy is nothing that a user notices", async (numbers) => {
  const { tokenText } = await world.put(MESSAGE, { route: "fanout" });
  expect(await world.get(tokenText, {}, whileBusy(numbers).user)).toEqual(MESSAGE);
});

test("one too few that are not busy: busy, and not that they are away", async () => {
  const { tokenText } = await world.put(MESSAGE, { route: "fanout" });
  const { user } = whileBusy([3, 4, 5]);
  expect(await errorOf(world.get(tokenText, {}, user))).toMatchObject({ code: "BUSY" });
  world.kill(4, 5);
  expect(await errorOf(world.get(tokenText, {}, user))).toMatchObject({ code: "BUSY" });
});

test("too few even if nobody were busy: they are away", async () => {
  const { tokenText } = await world.put(MESSAGE, { route: "fanout" });
  const { user } = whileBusy([3]);
  world.kill(2, 4, 5);
  expect(await errorOf(world.get(tokenText, {}, user))).toMatchObject({ code: "NOT_ENOUGH_PROVIDERS" });
});

test("when all are slow, few retrievals ask others as well", async () => {
  const { tokenText } = await world.put(MESSAGE, { route: "fanout" });
  const { user, asked } = userOver(async (_, method, really) => {
    if (QUESTIONS.includes(method)) await new Promise((resolve) => setTimeout(resolve, 800));
    return await really();
  });
  const retrievals = 60;
  await Promise.all(Array.from({ length: retrievals }, () => world.get(tokenText, {}, user)));
  const hedges = 10 + retrievals / 10;
  expect(asked.get("show")).toBeLessThanOrEqual(3 * retrievals + 2 * hedges);
  expect(asked.get("show")).toBeGreaterThan(3 * retrievals); // some do
});

test("with those that are asked first hanging, each retrieval asks others as well, however many there are", async () => {
  const { tokenText } = await world.put(MESSAGE, { route: "fanout", copies: 5 });
  const hanging = new Set(world.providers.slice(0, 3).map(({ peer }) => peer));
  const { user } = userOver((to, method, really) =>
    hanging.has(to) && method === "show" ? new Promise<never>(() => {}) : really(),
  );
  for (let i = 0; i < 15; i += 1) {
    const startedAtMs = Date.now();
    expect(await world.get(tokenText, {}, user)).toEqual(MESSAGE);
    expect(Date.now() - startedAtMs).toBeLessThan(3_000);
  }
}, 30_000);

test("of more than a client can have under way much is done, and the rest is told so before anybody was asked", async () => {
  const client = createClient({
    ...{ identityKey: newSigner(entropy), shares: memoryShares(), spoolDirectory: "not needed", entropy },
    ...{ clock: systemClock, directory: world.user.directory, settings: withDefaults({ threshold: 3 }, 5) },
    connect: async () => world.network.transport(peerNameOf(newSigner(entropy).publicKey), { clock: systemClock }),
  });
  const { tokenText } = await client.deposit(MESSAGE, { form: "whole", route: "fanout" });
  const get = async () => {
    const { message } = await client.retrieve(tokenText);
    expect(await collect(message)).toEqual(MESSAGE);
  };
  const results = await Promise.all(
    Array.from({ length: 400 }, () =>
      get().then(
        () => "done",
        (error: unknown) => (error instanceof IntercloudError ? error.code : error),
      ),
    ),
  );
  expect(new Set(results)).toEqual(new Set(["done", "BUSY"]));
  expect(results.filter((result) => result === "done").length).toBeGreaterThanOrEqual(RETRIEVAL_TURNS.atOnce);
  await get();
  await client.close();
}, 60_000);
