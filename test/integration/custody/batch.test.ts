/** Many short messages at once: each is a deposit of its own afterwards, and all of them exist or none. */
import { afterEach, expect, test } from "vitest";
import {
  depositLot,
  destroy,
  findProof,
  grant,
  type LotOptions,
  listDeposits,
  MAX_LOT_MESSAGE_BYTES,
  repairDeposit,
} from "../../../protocols/custody/client/index.ts";
import { CUSTODY_PROTOCOL, LOT_LIFETIME_MS } from "../../../protocols/custody/constants.ts";
import { encodeProof, readProof } from "../../../protocols/custody/proof.ts";
import { ciphertextName, loadDeposit, proofParts } from "../../../protocols/custody/server/deposit-record.ts";
import { settleCustody, sweepDeposits } from "../../../protocols/custody/server/index.ts";
import { loadHeldDeal, sweepDeals } from "../../../protocols/dealing/index.ts";
import { parseTokenText } from "../../../protocols/tokens/token-text.ts";
import type { Clock } from "../../../protocols/wire/clock.ts";
import type { Sent } from "../../../protocols/wire/stream-transport.ts";
import type { Channel, Transport } from "../../../protocols/wire/transport.ts";
import { piecesOf } from "../../../protocols/wire/whole-body.ts";
import { systemClock } from "../../../runtime/clock.ts";
import { bytesOf, collect, errorOf } from "../../support/bytes.ts";
import { createWorld, type World, type WorldOptions, type WorldProvider } from "../../support/custody-world.ts";
import { turnInto } from "../../support/turn-into.ts";

const SIGNAL = new AbortController().signal;

let world: World;
let onSent: (sent: Sent) => void;
afterEach(async () => {
  await world.close();
  expect(world.faults).toEqual([]);
});

async function start(options: Partial<WorldOptions> = {}): Promise<void> {
  onSent = () => {};
  world = await createWorld({ providers: 5, observe: (sent) => onSent(sent), ...options });
}

function putAll(messages: readonly Uint8Array[], overrides: Partial<LotOptions> = {}) {
  const candidates = world.user.directory.providers.slice(0, 5);
  return depositLot(world.user, { messages, providers: 5, threshold: 3, copies: 3, candidates, ...overrides });
}

/** Of different lengths. */
const messagesOf = (count: number) => Array.from({ length: count }, (_, i) => bytesOf(1 + ((i * 7) % 41), i));
const tokensOf = (deposits: readonly { readonly tokenText: string }[]) => deposits.map(({ tokenText }) => tokenText);

async function expectAll(tokens: readonly string[], messages: readonly Uint8Array[]): Promise<void> {
  for (const [i, token] of tokens.entries()) expect(await world.get(token)).toEqual(messages[i]);
}

function keysOf({ store }: WorldProvider): string[] {
  return [...store.records.keys()];
}

function expectNothingKept(): void {
  for (const provider of world.providers) {
    expect(keysOf(provider).filter((key) => /^(deposit|lot|deal-lot|deal-open|deal-staging|owner)/.test(key))).toEqual(
      [],
    );
    expect([...provider.store.files.keys()]).toEqual([]);
  }
}

test.each([1, 2, 3, 1000])("%i messages: each has a token, a proof and a place of its own", async (count) => {
  // All peers share one thread here.
  await start({ idleTimeoutMs: 30_000 });
  const messages = messagesOf(count);
  const deposits = await putAll(messages);
  expect(new Set(tokensOf(deposits)).size).toBe(count);
  for (const index of new Set([0, 1 % count, count >> 1, count - 1])) {
    const { tokenText, token, proof } = deposits[index]!;
    const { terms, chain } = readProof(proof());
    expect(chain.valid).toBe(true);
    expect(terms.token).toEqual(token);
    expect(await world.get(tokenText, { route: index % 2 === 0 ? "fanout" : "chain" })).toEqual(messages[index]);
    // What a provider makes of its columns is, byte for byte, what the owner has.
    const { record } = await loadDeposit(world.providers[4]!.store, terms.tokenId);
    expect(Buffer.compare(encodeProof(proofParts(record)!), proof())).toBe(0);
  }
  const { deposits: listed } = await listDeposits(world.user, SIGNAL);
  expect(listed.map(({ tokenText }) => tokenText).sort()).toEqual(tokensOf(deposits).sort());
});

test("no provider keeps a seed from which the shares of two deposits follow", async () => {
  await start();
  let lotSeeds: Uint8Array[] = [];
  onSent = ({ method, protocol }) => {
    if (protocol !== CUSTODY_PROTOCOL || method !== "link-lot" || lotSeeds.length > 0) return;
    lotSeeds = [new Uint8Array(1)]; // once
    void Promise.all(
      world.providers.map(async ({ store }) => {
        const key = [...store.records.keys()].find((each) => each.startsWith("deal-lot/"))!;
        const deal = await loadHeldDeal(store, new Uint8Array(Buffer.from(key.slice("deal-lot/".length), "hex")));
        return new Uint8Array(deal!.seed);
      }),
    ).then((seeds) => {
      lotSeeds = seeds;
    });
  };
  await putAll(messagesOf(3));
  expect(lotSeeds.map(({ length }) => length)).toEqual([32, 32, 32, 32, 32]);
  for (const [i, provider] of world.providers.entries()) {
    for (const value of provider.store.records.values()) {
      expect(Buffer.from(value).includes(Buffer.from(lotSeeds[i]!))).toBe(false);
    }
    expect([...provider.store.files.keys()].some((name) => name.length < "correction-".length + 32)).toBe(false);
  }
});

test("with n-t providers dead, and by a copy when home is among them", async () => {
  await start();
  const messages = messagesOf(3);
  const tokens = tokensOf(await putAll(messages));
  world.kill(1, 4);
  await expectAll(tokens, messages);
  world.revive(1, 4);
  world.kill(2, 3);
  await expectAll(tokens, messages);
});

test("the user may deal for itself, and each token says so", async () => {
  await start();
  const messages = messagesOf(2);
  const deposits = await putAll(messages, { dealer: "self" });
  expect(deposits.map(({ token }) => token.dealer)).toEqual(["self", "self"]);
  expect(readProof(deposits[1]!.proof()).chain.valid).toBe(true);
  await expectAll(tokensOf(deposits), messages);
});

test("messages as long as a batch takes, with short ones among them", async () => {
  await start();
  const messages = [bytesOf(MAX_LOT_MESSAGE_BYTES, 1), bytesOf(1, 2), bytesOf(4_033, 3), bytesOf(4_032, 4)];
  const deposits = await putAll(messages);
  await expectAll(tokensOf(deposits), messages);
  for (const { store } of world.providers) {
    expect([...store.records.keys()].filter((key) => key.startsWith("deal-staging/"))).toEqual([]);
  }
});

test("one destroyed, one refreshed, one moved, one granted: each by itself, and the others stay", async () => {
  await start({ providers: 6 });
  const messages = messagesOf(6);
  const tokens = tokensOf(await putAll(messages));
  const [first, , , fourth] = tokens.map(parseTokenText);
  const reader = world.stranger();

  const { dealId } = (await findProof(world.user, first!, SIGNAL)).proof.placement.manifest;
  const { store } = world.providers[2]!; // a keeper, whose point is corrected
  const { seed } = (await loadHeldDeal(store, dealId))!;
  expect(store.files.has(ciphertextName(first!.tokenId))).toBe(true);
  const { receipts } = await destroy(world.user, first!, SIGNAL);
  expect(receipts.length).toBeGreaterThan(0);
  for (const value of store.records.values()) expect(Buffer.from(value).includes(Buffer.from(seed))).toBe(false);
  const dealHex = Buffer.from(dealId).toString("hex");
  const tokenHex = Buffer.from(first!.tokenId).toString("hex");
  expect([...store.files.keys()].filter((name) => name.includes(dealHex) || name.includes(tokenHex))).toEqual([]);
  expect(await errorOf(world.get(tokens[0]!))).toMatchObject({ code: "DESTROYED" });

  await world.change(tokens[1]!);
  const candidates = [6, 5, 4].map((number) => world.providers[number - 1]!.peer);
  await world.change(tokens[2]!, { destination: { providers: 3, threshold: 2, copies: 2, candidates } });
  await grant(world.user, {
    ...{ token: fourth!, identity: reader.session.identity, purposes: ["retrieve", "show"], expiresAtMs: null },
    signal: SIGNAL,
  });
  expect(await world.get(tokens[3]!, {}, reader)).toEqual(messages[3]);
  expect(await errorOf(world.get(tokens[4]!, {}, reader))).toMatchObject({ status: "refused" });
  await expectAll(tokens.slice(1), messages.slice(1));
  await world.change(tokens[1]!);
  world.kill(1, 2);
  await expectAll(tokens.slice(1), messages.slice(1));
});

test("a provider that lost its disk gets its shares back from the others, one deposit at a time", async () => {
  await start();
  const messages = messagesOf(2);
  const tokens = tokensOf(await putAll(messages));
  const { store } = world.providers[2]!;
  store.records.clear();
  store.files.clear();
  for (const token of tokens) {
    const { providers } = await repairDeposit(world.user, parseTokenText(token), SIGNAL);
    expect(providers[2]).toMatchObject({ repaired: { record: true, share: true, ciphertext: true } });
  }
  world.kill(1, 2);
  await expectAll(tokens, messages);
});

test("a deposit of a lot whose ciphertext was damaged is repaired, and keeps its share", async () => {
  await start();
  const messages = messagesOf(2);
  const tokens = tokensOf(await putAll(messages));
  const { store } = world.providers[1]!;
  store.files.delete(ciphertextName(parseTokenText(tokens[0]!).tokenId));
  const { providers } = await repairDeposit(world.user, parseTokenText(tokens[0]!), SIGNAL);
  expect(providers[1]).toMatchObject({ repaired: { record: false, share: false, ciphertext: true } });
  world.kill(1, 3);
  await expectAll(tokens, messages);
});

/** One bit of the part of the second deposit. */
const lyingOpen =
  (victim: string) =>
  (open: Transport["open"]): Transport["open"] =>
  async (to, protocol, method, header, options) => {
    const channel = await open(to, protocol, method, header, options);
    if (method !== "lot-part" || to !== victim) return channel;
    const sendBody: Channel["sendBody"] = async (source) => {
      const bytes = await collect(source);
      bytes[100]! ^= 1;
      return await channel.sendBody(piecesOf(bytes));
    };
    return { ...channel, sendBody };
  };

test.each([
  ["home", 0],
  ["another keeper", 2],
])("a provider that gives %s another part of one deposit is named, and nothing is kept", async (_, victim) => {
  await start();
  await turnInto(world, 4, { open: lyingOpen(world.providers[victim]!.peer) });
  const error = await errorOf(putAll(messagesOf(3)));
  expect(error).toMatchObject({ status: "integrity" });
  const { peers } = (error as { details: { peers: string[] } }).details;
  // the keeper's word against the provider's is all that there is
  const [home, , third, liar] = world.providers.map(({ peer }) => peer);
  expect(peers).toEqual([liar, victim === 0 ? home : third]);
  expectNothingKept();
});

test.each([
  ["a length", 3],
  ["a digest of a share", 4 * 3 + 5],
  ["its correction of the last deposit", -1],
])("a lot of which a provider gets %s otherwise than signed is refused, and nothing is kept", async (_, at) => {
  await start();
  const { transport } = world.user;
  const victim = world.providers[3]!.peer;
  const lying: Transport = {
    ...transport,
    open: async (to, protocol, method, header, options) => {
      const channel = await transport.open(to, protocol, method, header, options);
      if (method !== "deliver-lot" || to !== victim) return channel;
      const sendBody: Channel["sendBody"] = async (source) => {
        const bytes = await collect(source);
        bytes[at < 0 ? bytes.length + at : at]! ^= 1;
        return await channel.sendBody(piecesOf(bytes));
      };
      return { ...channel, sendBody };
    },
  };
  const candidates = world.user.directory.providers;
  const options = {
    messages: messagesOf(3),
    providers: 5,
    threshold: 3,
    copies: 3,
    candidates,
    dealer: "self",
  } as const;
  const error = await errorOf(depositLot({ ...world.user, transport: lying }, options));
  expect(error).toMatchObject({ code: "NOT_ENOUGH_PROVIDERS", details: { peers: [victim] } });
  expectNothingKept();
});

test.each(["place-lot", "link-lot", "seal-lot"])(
  "a provider that dies in %s leaves nothing of the lot anywhere",
  async (step) => {
    await start();
    let isDead = false;
    onSent = ({ method, to }) => {
      if (isDead || method !== step || to !== world.providers[4]!.peer) return;
      isDead = true;
      world.kill(5);
    };
    expect(await errorOf(putAll(messagesOf(3)))).toMatchObject({ status: "unreachable" });
    expect(isDead).toBe(true);
    // It comes back with what it had on disk.
    const { custody, store } = world.providers[4]!;
    await sweepDeposits(custody, true);
    await sweepDeals(store, systemClock.nowMs());
    world.revive(5);
    // What it has signed it gives up when it hears from the others that the owner has.
    for (const { custody } of world.providers) await settleCustody(custody, SIGNAL);
    const waits = keysOf(world.providers[4]!).filter((key) => key.startsWith("deal-open/"));
    if (step !== "place-lot") expectNothingKept();
    else expect(waits.length).toBeLessThanOrEqual(1); // a lot that was never bound there waits until it expires
  },
);

test("an owner that goes away in the middle leaves nothing", async () => {
  await start();
  const over = new AbortController();
  onSent = ({ method }) => {
    if (method === "link-lot") over.abort();
  };
  expect(await errorOf(putAll(messagesOf(3), { signal: over.signal }))).toMatchObject({ code: "CANCELLED" });
  expectNothingKept();
});

test("a lot that was bound and not sealed is burnt when the provider starts again; a sealed one stays until its last deposit is gone", async () => {
  await start();
  const messages = messagesOf(2);
  const tokens = tokensOf(await putAll(messages));
  const { custody } = world.providers[1]!;
  await sweepDeposits(custody, true);
  await expectAll(tokens, messages);
  const lots = () => keysOf(world.providers[1]!).filter((key) => /^(lot|lot-index|deal-lot)\//.test(key)).length;
  await destroy(world.user, parseTokenText(tokens[0]!), SIGNAL);
  await sweepDeposits(custody, true);
  expect(lots()).toBe(3);
  expect(await world.get(tokens[1]!)).toEqual(messages[1]);
  await destroy(world.user, parseTokenText(tokens[1]!), SIGNAL);
  await sweepDeposits(custody, true);
  expect(lots()).toBe(0);
});

test("an owner that dies while it seals: who has its word gives it to the others", async () => {
  const clock: Clock = {
    nowMs: () => systemClock.nowMs(),
    after: (delayMs, action) => systemClock.after(delayMs === LOT_LIFETIME_MS ? 1_500 : delayMs, action),
  };
  await start({ clock });
  const messages = messagesOf(3);
  const { transport } = world.user;
  const [, second] = world.providers;
  const gone = new Error("dead");
  const dying: Transport = {
    ...transport,
    open: async (to, protocol, method, header, options) => {
      if (method === "seal-lot" && to !== second!.peer) throw gone;
      return await transport.open(to, protocol, method, header, options);
    },
    ask: async (to, protocol, method, body, options) => {
      if (method === "abandon") throw gone;
      return await transport.ask(to, protocol, method, body, options);
    },
  };
  const candidates = world.user.directory.providers;
  const options = { messages, providers: 5, threshold: 3, copies: 3, candidates };
  await errorOf(depositLot({ ...world.user, transport: dying }, options));
  const sealed = ({ store }: WorldProvider) => [...store.records.keys()].some((key) => key.startsWith("lot/"));
  const deadlineMs = systemClock.nowMs() + 10_000;
  while (!world.providers.every(sealed) && systemClock.nowMs() < deadlineMs) {
    await new Promise((resume) => setTimeout(resume, 20));
  }
  expect(world.providers.map(sealed)).toEqual([true, true, true, true, true]);
  world.kill(2, 3);
  const { deposits } = await listDeposits(world.user, SIGNAL);
  expect(deposits).toHaveLength(3);
  const got = await Promise.all(deposits.map(({ tokenText }) => world.get(tokenText)));
  const sorted = (all: readonly Uint8Array[]) => all.map((each) => Buffer.from(each).toString("hex")).sort();
  expect(sorted(got)).toEqual(sorted(messages));
});

test("what a provider has signed for a lot it signs once", async () => {
  await start();
  const { transport } = world.user;
  const answers: unknown[] = [];
  const twice: Transport = {
    ...transport,
    open: async (to, protocol, method, header, options) => {
      const channel = await transport.open(to, protocol, method, header, options);
      if (method === "seal-lot") {
        const { lotId } = header as { lotId: Uint8Array };
        const asked = { lotId, timeMs: systemClock.nowMs(), challenge: bytesOf(32, 1) };
        const again = await transport.open(to, protocol, "link-lot", asked, options);
        answers.push(await errorOf(again.receiveMessage()));
      }
      return channel;
    },
  };
  const candidates = world.user.directory.providers;
  const options = { messages: messagesOf(2), providers: 5, threshold: 3, copies: 3, candidates };
  await depositLot({ ...world.user, transport: twice }, options);
  expect(answers).toHaveLength(5);
  for (const answer of answers) expect(answer).toMatchObject({ status: "conflict" });
});

test("over a limit nothing is deposited, and it says which", async () => {
  await start();
  const big = (count: number) => Array.from({ length: count }, () => new Uint8Array(60_000));
  for (const [messages, code] of [
    [[bytesOf(1, 1), new Uint8Array()], "EMPTY_MESSAGE"],
    [[new Uint8Array(MAX_LOT_MESSAGE_BYTES + 1)], "MESSAGE_TOO_LONG"],
    [big(140), "LOT_TOO_LARGE"],
    [messagesOf(4_097), "LOT_TOO_LARGE"],
  ] as const) {
    expect(await errorOf(putAll(messages))).toMatchObject({ code });
  }
  expectNothingKept();
  expect(await putAll([])).toEqual([]);
});

test("an owner that has as much as it may is refused, and nothing is kept", async () => {
  await start({ limits: { maxOwnerBytes: 500 } });
  expect(await errorOf(putAll(messagesOf(20)))).toMatchObject({ code: "NO_ROOM", status: "full" });
  expectNothingKept();
  await putAll(messagesOf(2));
});

test("the request of one deposit of a lot is of no use to bind it again", async () => {
  await start();
  const [one] = await putAll(messagesOf(2));
  const { request, manifest } = readProof(one!.proof()).parts;
  const asking = world.user.transport.ask(
    ...([world.providers[4]!.peer, CUSTODY_PROTOCOL, "bind", { request, manifest }] as const),
    { timeoutMs: 5_000 },
  );
  expect(await errorOf(asking)).toMatchObject({ name: expect.any(String), status: "replayed" });
});
