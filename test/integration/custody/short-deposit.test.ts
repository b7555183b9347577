/** A short deposit by fanout: three messages to each provider, all keepers add up for themselves, and nothing is kept when one lies. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { freshDeal } from "../../../protocols/custody/client/fresh-deal.ts";
import { CUSTODY_PROTOCOL, MAX_SHORT_BYTES } from "../../../protocols/custody/constants.ts";
import { ciphertextName, loadDeposit } from "../../../protocols/custody/server/deposit-record.ts";
import type { StockedDeal } from "../../../protocols/dealing/stock.ts";
import { decodeLink, readKeeping, signKeeping } from "../../../protocols/tokens/link.ts";
import { layeredBytes } from "../../../protocols/tokens/message.ts";
import { parseTokenText } from "../../../protocols/tokens/token-text.ts";
import { type CborValue, decodeCanonical } from "../../../protocols/wire/codec.ts";
import { IntercloudError } from "../../../protocols/wire/errors.ts";
import type { Transport } from "../../../protocols/wire/transport.ts";
import { bytesOf, errorOf } from "../../support/bytes.ts";
import { createWorld, type World } from "../../support/custody-world.ts";
import { turnInto } from "../../support/turn-into.ts";

let world: World;
let asked: { readonly method: string; readonly kind: string; readonly bytes: Uint8Array }[];
beforeEach(async () => {
  asked = [];
  world = await createWorld({
    providers: 5,
    observe: ({ method, kind, protocol, bytes }) => {
      if (protocol === CUSTODY_PROTOCOL) asked.push({ method, kind, bytes });
    },
  });
});
afterEach(async () => {
  await world.close();
  expect(world.faults).toEqual([]);
});

const MESSAGE = bytesOf(1_000, 7);
const put = (message = MESSAGE) => world.put(message, { route: "fanout", threshold: 3, copies: 3 });

function expectNothingKept(): void {
  for (const { store } of world.providers) {
    expect([...store.records.keys()].filter((key) => key.startsWith("deposit"))).toEqual([]);
    expect([...store.files.keys()]).toEqual([]);
  }
}

test("takes three messages to each provider and one to each keeper from each other provider", async () => {
  const { tokenText } = await put();
  const count = (method: string) => asked.filter((each) => each.method === method && each.kind === "ask").length;
  expect(Object.fromEntries(["place", "place-part", "link", "seal"].map((name) => [name, count(name)]))).toEqual({
    ...{ place: 5, "place-part": 3 * 4, link: 5, seal: 5 },
  });
  expect(new Set(asked.map(({ method }) => method))).toEqual(new Set(["hello", "place", "place-part", "link", "seal"]));
  expect(await world.get(tokenText)).toEqual(MESSAGE);
});

test("only the keepers get the owner's bytes and keep the sum", async () => {
  const { tokenText } = await put();
  const { tokenId } = parseTokenText(tokenText);
  const masked = asked
    .filter(({ method, kind }) => method === "place" && kind === "ask")
    .map(({ bytes }) => {
      return (decodeCanonical(bytes) as { masked: Uint8Array | null }).masked?.length ?? null;
    });
  const length = layeredBytes(MESSAGE.length);
  expect(masked).toEqual([length, length, length, null, null]);
  const files = world.providers.map(({ store }) => store.files.get(ciphertextName(tokenId)));
  expect(files.map((file) => file?.length)).toEqual([length, length, length, undefined, undefined]);
  expect(files[1]).toEqual(files[0]);
  expect(files[2]).toEqual(files[0]);
});

test("the longest short message, and one byte more by streams", async () => {
  const room = MAX_SHORT_BYTES - layeredBytes(1) + 1;
  for (const [lengthBytes, method] of [
    [room, "place"],
    [room + 1, "collect"],
  ] as const) {
    asked.length = 0;
    const message = bytesOf(lengthBytes, lengthBytes);
    const { tokenText } = await put(message);
    expect(asked.some((each) => each.method === method)).toBe(true);
    expect(Buffer.compare(await world.get(tokenText), message)).toBe(0);
  }
});

test("a provider that gives one keeper another part than the others is named, and nothing is kept", async () => {
  const victim = world.providers[2]!.peer;
  await turnInto(world, 4, {
    ask: (ask) => async (to, protocol, method, body, options) => {
      if (method !== "place-part" || to !== victim) return await ask(to, protocol, method, body, options);
      const { tokenId, part } = body as { tokenId: Uint8Array; part: Uint8Array };
      const other = part.slice();
      other[50]! ^= 1;
      return await ask(to, protocol, method, { tokenId, part: other }, options);
    },
  });
  const error = await errorOf(put());
  expect(error).toMatchObject({
    // Its part is not signed: it is the keeper's word against its own.
    ...{ code: "DEPOSIT_SPOILT", status: "integrity", details: { peers: [world.providers[3]!.peer, victim] } },
  });
  expectNothingKept();
});

test("home that says it keeps another sum is named by the other keepers, and nothing is kept", async () => {
  const { signer, peer } = world.providers[0]!;
  await turnInto(world, 1, {
    handlers: (honest) => ({
      ...honest,
      asks: {
        ...honest.asks,
        async link(body, context) {
          const answer = (await honest.asks!["link"]!(body, context)) as { link: Uint8Array; keeping: Uint8Array };
          const { statement } = readKeeping(answer.keeping);
          return { ...answer, keeping: signKeeping({ ...statement, digestKept: new Uint8Array(32) }, signer) };
        },
      },
    }),
  });
  expect(await errorOf(put())).toMatchObject({
    ...{ status: "integrity", details: { peers: [peer] } },
  });
});

test("an owner that sends the keepers different bytes is refused", async () => {
  const { transport } = world.user;
  const user = {
    ...world.user,
    transport: {
      ...transport,
      ask: ((to, protocol, method, body, options) => {
        const { masked } = body as { masked?: Uint8Array | null };
        if (method !== "place" || to !== world.providers[1]!.peer)
          return transport.ask(to, protocol, method, body, options);
        const other = masked!.slice();
        other[0]! ^= 1;
        return transport.ask(to, protocol, method, { ...(body as object), masked: other } as CborValue, options);
      }) as Transport["ask"],
    },
  };
  const error = await errorOf(world.put(MESSAGE, { route: "fanout" }, user));
  expect(error).toMatchObject({
    status: "integrity",
  });
  expectNothingKept();
});

test("a provider that dies after the first message: named, and nothing is kept by the others", async () => {
  await turnInto(world, 5, {
    handlers: (honest) => ({
      ...honest,
      asks: {
        ...honest.asks,
        async link() {
          world.kill(5);
          return await new Promise<CborValue>(() => {});
        },
      },
    }),
  });
  expect(await errorOf(put())).toMatchObject({
    code: "NOT_ENOUGH_PROVIDERS",
    details: { peers: [world.providers[4]!.peer] },
  });
  for (const { store, number } of world.providers) {
    if (number !== 5) expect([...store.records.keys()].filter((key) => key.startsWith("deposit"))).toEqual([]);
  }
});

test("a part is taken from a provider of the federation only, once, and of the right length", async () => {
  const keeper = world.providers[0]!;
  const tokenId = bytesOf(32, 1);
  const send = (from: Transport, part: Uint8Array) =>
    errorOf(from.ask(keeper.peer, CUSTODY_PROTOCOL, "place-part", { tokenId, part }, { timeoutMs: 2_000 }));
  expect(await send(world.user.transport, bytesOf(10, 1))).toMatchObject({ status: "refused" });
  const { transport } = world.providers[1]!;
  await transport.ask(
    keeper.peer,
    CUSTODY_PROTOCOL,
    "place-part",
    { tokenId, part: bytesOf(10, 1) },
    { timeoutMs: 2_000 },
  );
  expect(await send(transport, bytesOf(10, 1))).toMatchObject({ status: "conflict" });
  expect(await send(transport, new Uint8Array(MAX_SHORT_BYTES + 1))).toMatchObject({ status: "bad-request" });
});

test("a part of another length is refused with the name of who sent it", async () => {
  await turnInto(world, 4, {
    ask: (ask) => (to, protocol, method, body, options) => {
      if (method !== "place-part") return ask(to, protocol, method, body, options);
      const { tokenId, part } = body as { tokenId: Uint8Array; part: Uint8Array };
      return ask(to, protocol, method, { tokenId, part: part.slice(1) }, options);
    },
  });
  const error = (await errorOf(put())) as IntercloudError;
  expect(error).toMatchObject({ code: "PROVIDERS_DISAGREE", status: "integrity" });
  // the word of the keeper that says so against its own
  expect(error.details.peers).toHaveLength(2);
  expect(error.details.peers?.[0]).toBe(world.providers[3]!.peer);
  expectNothingKept();
});

test("what a provider signs is its own part, whoever asks", async () => {
  const { transport } = world.user;
  const lying = {
    ...world.user,
    transport: {
      ...transport,
      ask: ((to, protocol, method, body, options) => {
        if (method !== "link") return transport.ask(to, protocol, method, body, options);
        const { statement } = body as { statement: Uint8Array };
        expect(decodeLink(statement).index).toBeGreaterThan(0);
        const other = statement.slice();
        other[other.length - 1]! ^= 1;
        return transport.ask(to, protocol, method, { ...(body as object), statement: other } as CborValue, options);
      }) as Transport["ask"],
    },
  };
  expect(await errorOf(world.put(MESSAGE, { route: "fanout" }, lying))).toMatchObject({
    status: "integrity",
  });
  expectNothingKept();
});

test("after the deposit a provider has nothing of it in its memory, and the same step is refused", async () => {
  const { tokenText, token } = await put();
  const { tokenId } = parseTokenText(tokenText);
  const { record } = await loadDeposit(world.providers[1]!.store, tokenId);
  expect(record).toMatchObject({ state: "sealed", received: null, holdsCiphertext: true });
  const again = world.user.transport.ask(
    ...([token.home, CUSTODY_PROTOCOL, "link"] as const),
    { tokenId, statement: bytesOf(9, 9), last: bytesOf(32, 9), challenge: bytesOf(32, 9) },
    { timeoutMs: 2_000 },
  );
  expect(await errorOf(again)).toMatchObject({ status: "refused" });
});

test("a dealer that is busy is asked again until it has time, and not for ever", async () => {
  const { transport } = world.user;
  let dealsAsked = 0;
  const busyFor = (times: number, retryAfterMs: number) => ({
    ...world.user,
    transport: {
      ...transport,
      ask: ((to, protocol, method, body, options) => {
        if (method !== "deal-short" || ++dealsAsked > times) return transport.ask(to, protocol, method, body, options);
        throw new IntercloudError("BUSY", "busy", "many deals", { retryAfterMs });
      }) as Transport["ask"],
    },
  });
  await world.put(MESSAGE, { route: "fanout" }, busyFor(3, 10));
  expect(dealsAsked).toBe(4);
  dealsAsked = 0;
  const never = world.put(MESSAGE, { route: "fanout" }, busyFor(100, 60_000));
  expect(await errorOf(never)).toMatchObject({ code: "NO_DEAL", status: "unreachable" });
  expect(dealsAsked).toBe(1);
});

test("from a deal in stock nobody is asked before whether it is there; who is away costs a deal and no deposit", async () => {
  const options = { route: "fanout", threshold: 2, providers: 3, copies: 2 } as const;
  const deals: StockedDeal[] = [];
  const stock = { size: 2, deals: async () => [...deals], keep: async () => {} };
  const user = { ...world.user, stock };
  const peers = world.user.directory.providers;
  for (const roster of [peers.slice(0, 3), peers.slice(0, 3)]) {
    const signal = new AbortController().signal;
    const lengthBytes = layeredBytes(MESSAGE.length);
    const deal = await freshDeal(world.user, { providers: roster, threshold: 2, lengthBytes, signal });
    const stocked: StockedDeal = {
      manifest: deal.manifest,
      async take() {
        deals.splice(deals.indexOf(stocked), 1);
        return deal;
      },
    };
    deals.push(stocked);
  }
  asked.length = 0;
  await world.put(MESSAGE, options, user);
  expect(new Set(asked.map(({ method }) => method))).toEqual(new Set(["place", "place-part", "link", "seal"]));
  world.kill(2);
  const { tokenText, token } = await world.put(MESSAGE, options, user);
  expect(deals).toHaveLength(0);
  expect(token.providers).toBe(3);
  world.revive(2);
  expect(await world.get(tokenText)).toEqual(MESSAGE);
});
