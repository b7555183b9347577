/** What was said once and is said again: by whom it is not for, to whom it was not said, at another time, about another deposit. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { newSigner } from "../../../protocols/crypto/signing.ts";
import { askAccount } from "../../../protocols/custody/client/ask-account.ts";
import {
  type CustodyUser,
  destroy,
  grant,
  listDeposits,
  type RetrieveWarning,
  repairDeposit,
  retrieve,
  revoke,
} from "../../../protocols/custody/client/index.ts";
import { signedRequest } from "../../../protocols/custody/client/user.ts";
import { CUSTODY_PROTOCOL } from "../../../protocols/custody/constants.ts";
import { ciphertextName, loadDeposit } from "../../../protocols/custody/server/deposit-record.ts";
import { type CustodyProvider, custodyHandlers, settleCustody } from "../../../protocols/custody/server/index.ts";
import { createDealKeeper, DEALING_PROTOCOL } from "../../../protocols/dealing/index.ts";
import { identityOfKey, openSession, PURPOSES } from "../../../protocols/identity/index.ts";
import { checkKeptRequest } from "../../../protocols/identity/request.ts";
import { layeredBytes } from "../../../protocols/tokens/message.ts";
import { parseTokenText } from "../../../protocols/tokens/token-text.ts";
import type { Clock } from "../../../protocols/wire/clock.ts";
import type { CborValue } from "../../../protocols/wire/codec.ts";
import { IntercloudError, type Status } from "../../../protocols/wire/errors.ts";
import type { Channel, Handlers, PeerName, Transport } from "../../../protocols/wire/transport.ts";
import { systemClock } from "../../../runtime/clock.ts";
import { bytesOf } from "../../support/bytes.ts";
import { createWorld, entropy, type World } from "../../support/custody-world.ts";

let world: World;
/** How far the clocks of all are from now, and that of one provider from the others'. */
let skewMs = 0;
beforeEach(async () => {
  skewMs = 0;
  world = await createWorld({ providers: 5, clock: { ...systemClock, nowMs: () => Date.now() + skewMs } });
});
afterEach(async () => {
  await world.close();
  expect(world.faults).toEqual([]);
});

const MESSAGE = bytesOf(300_000, 42);
const CALL = { timeoutMs: 5_000 };
const signal = () => new AbortController().signal;

/** A message of a user, as whoever it went to can say it again. */
interface Said {
  readonly to: PeerName;
  readonly method: string;
  readonly body: CborValue;
  readonly isChannel: boolean;
}

/** The user, with all that it says to providers written down. */
function recorded(user: CustodyUser): { readonly user: CustodyUser; readonly said: Said[] } {
  const said: Said[] = [];
  const note = (to: PeerName, protocol: string, method: string, body: CborValue, isChannel: boolean) => {
    if (protocol === CUSTODY_PROTOCOL) said.push({ to, method, body, isChannel });
  };
  const { transport } = user;
  const recording: Transport = {
    ...transport,
    ask(to, protocol, method, body, options) {
      note(to, protocol, method, body, false);
      return transport.ask(to, protocol, method, body, options);
    },
    open(to, protocol, method, header, options) {
      note(to, protocol, method, header, true);
      return transport.open(to, protocol, method, header, options);
    },
  };
  return { said, user: { ...user, transport: recording } };
}

/** What comes of it when somebody says it again: the status of the refusal, or `answered`. */
async function sayAgain(
  thief: Transport,
  { method, body, isChannel }: Said,
  to: PeerName,
): Promise<Status | "answered"> {
  try {
    if (isChannel) await hear(await thief.open(to, CUSTODY_PROTOCOL, method, body, CALL), method);
    else await thief.ask(to, CUSTODY_PROTOCOL, method, body, CALL);
    return "answered";
  } catch (error) {
    if (error instanceof IntercloudError) return error.status;
    throw error;
  }
}

async function hear(channel: Channel, method: string): Promise<void> {
  try {
    if (method === "retrieve")
      for await (const _ of channel.receiveBody({ lengthBytes: layeredBytes(MESSAGE.length) })) return;
    else await channel.receiveMessage();
  } catch (error) {
    channel.abort(error);
    throw error;
  }
}

/** All that is on the disks, but for the events. */
function onDisk(): string {
  const hex = (entries: Iterable<readonly [string, Uint8Array]>) =>
    [...entries].map(([key, value]) => `${key} ${Buffer.from(value).toString("hex")}`).sort();
  return JSON.stringify(world.providers.map(({ store }) => [hex(store.records), hex(store.files)]));
}

/** Not signed by anybody, and no secret. */
const OPEN_TO_ALL = new Set(["hello", "locate", "ready", "change-status"]);
/** The provider that was asked may answer again: it knew the answer before. Nobody else gets one. */
const QUESTIONS = new Set(["show", "list", "grants", "granted"]);
/** What the owner said to all providers. Said again it is done already. */
const DONE_ALREADY = new Set([
  ...["grant", "destroy", "change-retire", "change-activate", "change-transfer", "change-drop", "seal"],
  "change-prepare",
]);

async function nothingComesOf(said: readonly Said[], thief: Transport): Promise<void> {
  const before = onDisk();
  for (const message of said) {
    for (const { peer } of world.providers) {
      const what = `${message.method} ${peer === message.to ? "to the same" : "to another"}`;
      const came = await sayAgain(thief, message, peer);
      const mayAnswer =
        OPEN_TO_ALL.has(message.method) ||
        DONE_ALREADY.has(message.method) ||
        (QUESTIONS.has(message.method) && peer === message.to);
      const refusals = ["refused", "replayed", "conflict", "not-found", "bad-request", "expired"];
      expect([what, ...(mayAnswer ? ["answered", ...refusals] : refusals)]).toContain(came);
    }
  }
  expect(onDisk()).toBe(before);
}

async function allOf(message: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of message) parts.push(part.slice());
  return new Uint8Array(Buffer.concat(parts));
}

interface Scene {
  readonly as: CustodyUser;
  readonly friend: CustodyUser;
  readonly tokenText: string;
}

const token = ({ tokenText }: Scene) => parseTokenText(tokenText);
const grantFriend = async (scene: Scene) => {
  const { identity } = scene.friend.session;
  const options = { identity, purposes: ["retrieve", "show"], expiresAtMs: null, signal: signal() } as const;
  await grant(scene.as, { token: token(scene), ...options });
};
const retrieveBy = (route: "chain" | "fanout") => async (scene: Scene) => {
  const { message } = await retrieve(scene.as, { token: token(scene), route, userShare: async () => undefined });
  expect(Buffer.compare(await allOf(message), MESSAGE)).toBe(0);
};
const SHORT = bytesOf(500, 3);

const OPERATIONS: Readonly<Record<string, (scene: Scene) => Promise<unknown>>> = {
  "put (chain)": ({ as }) => world.put(MESSAGE, {}, as),
  "put (fanout)": ({ as }) => world.put(MESSAGE, { route: "fanout" }, as),
  "put of a short message (fanout)": ({ as }) => world.put(SHORT, { route: "fanout" }, as),
  "a put that is given up": async ({ as }) => {
    const open = async function* () {
      yield MESSAGE.slice(0, 200_000);
      yield bytesOf(100_000, 8);
    };
    let times = 0;
    const source = {
      lengthBytes: MESSAGE.length,
      open: () =>
        times++ === 0
          ? open()
          : (async function* () {
              yield MESSAGE.slice();
            })(),
    };
    await expect(world.put(MESSAGE, { source }, as)).rejects.toMatchObject({ code: "SOURCE_CHANGED" });
  },
  "get (fanout)": retrieveBy("fanout"),
  "get (chain)": retrieveBy("chain"),
  account: async (scene) => {
    const { terms, placement } = await loadDeposit(world.providers[0]!.store, token(scene).tokenId);
    const located = { tokenId: terms.tokenId, token: terms.token, placement };
    for (const { peer } of world.providers) {
      await askAccount(scene.as, located, peer, { offsetBytes: 0, lengthBytes: 1_000 }, signal());
    }
  },
  list: ({ as }) => listDeposits(as, signal()),
  grant: grantFriend,
  revoke: async (scene) => {
    await grantFriend(scene);
    await revoke(scene.as, { token: token(scene), identity: scene.friend.session.identity, signal: signal() });
  },
  repair: async (scene) => {
    world.providers[2]!.store.records.clear();
    world.providers[2]!.store.files.clear();
    await repairDeposit(scene.as, token(scene), signal());
  },
  refresh: ({ as, tokenText }) => world.change(tokenText, {}, as),
  move: ({ as, tokenText }) => {
    const candidates = world.providers.slice(1).map(({ peer }) => peer);
    return world.change(tokenText, { destination: { providers: 3, threshold: 2, copies: 2, candidates } }, as);
  },
  destroy: (scene) => destroy(scene.as, token(scene), signal()),
};

describe.each(Object.entries(OPERATIONS))("everything that is said in %s", (_, run) => {
  test("again, to the same and to other providers, by one of them and by a stranger: nothing comes of it", async () => {
    const { tokenText } = await world.put(MESSAGE);
    const { user: as, said } = recorded(world.user);
    await run({ as, friend: world.stranger(), tokenText });
    expect(said.length).toBeGreaterThan(0);
    await nothingComesOf(said, world.providers[4]!.transport);
    await nothingComesOf(said, world.stranger().transport);
    // The user's own connection makes no difference.
    await nothingComesOf(said, world.user.transport);
    skewMs = 2 * 60 * 60_000;
    await nothingComesOf(said, world.providers[4]!.transport);
  });
});

/** Everything that somebody can do with the text of a token. */
const WITH_A_TOKEN: readonly string[] = [
  "get (fanout)",
  "get (chain)",
  "grant",
  "revoke",
  "repair",
  "refresh",
  "move",
  "destroy",
];

test("a stolen token without the identity: refused whatever the thief does with it, and it says why", async () => {
  const { tokenText } = await world.put(MESSAGE);
  const before = onDisk();
  const thief = world.stranger();
  for (const name of WITH_A_TOKEN.filter((each) => each !== "repair")) {
    const doing = OPERATIONS[name]!({ as: thief, friend: world.stranger(), tokenText });
    await expect(doing, name).rejects.toMatchObject({ code: "NOT_THE_OWNER", status: "refused" });
  }
  await expect(repairDeposit(thief, parseTokenText(tokenText), signal())).rejects.toMatchObject({
    code: "NOT_THE_OWNER",
  });
  expect((await listDeposits(thief, signal())).deposits).toEqual([]);
  expect(onDisk()).toBe(before);
});

const TWO_HOURS_MS = 2 * 60 * 60_000;

describe.each([
  ["behind", -TWO_HOURS_MS],
  ["ahead", TWO_HOURS_MS],
])("two hours %s", (way, offMs) => {
  const offClock: Clock = { ...systemClock, nowMs: () => Date.now() + skewMs + offMs };

  test("the user's clock: everything is refused, and says that it is the clock", async () => {
    const { tokenText } = await world.put(MESSAGE);
    const before = onDisk();
    const identityKey = newSigner(entropy);
    const session = openSession({
      ...{ identity: identityOfKey(identityKey.publicKey), identityKey, purposes: PURPOSES, entropy },
      ...{ nowMs: offClock.nowMs(), lifetimeMs: 60 * 60_000 },
    });
    const off: CustodyUser = { ...world.user, clock: offClock, session };
    const wrongClock = { status: "expired", message: expect.stringContaining(`its clock is 120 minutes ${way}`) };
    for (const name of [...WITH_A_TOKEN, "put (chain)", "put of a short message (fanout)", "list"]) {
      if (name === "repair") continue;
      await expect(OPERATIONS[name]!({ as: off, friend: world.stranger(), tokenText }), name).rejects.toMatchObject(
        wrongClock,
      );
    }
    await expect(repairDeposit(off, parseTokenText(tokenText), signal())).rejects.toMatchObject(wrongClock);
    expect(onDisk()).toBe(before);
  });

  test("a provider's clock: it refuses, the others hand the message out; a deposit with it fails and names it", async () => {
    const { tokenText } = await world.put(MESSAGE);
    await servedBy(2, (custody) => custodyHandlers({ ...custody, clock: offClock }));
    expect(Buffer.compare(await world.get(tokenText), MESSAGE)).toBe(0);
    const before = onDisk();
    const named = {
      ...{ code: "CLOCK_WRONG", details: { peers: [world.providers[1]!.peer] } },
      message: expect.stringContaining(`that of provider-2 is 120 minutes ${way}`),
    };
    await expect(world.put(MESSAGE)).rejects.toMatchObject(named);
    await expect(world.put(SHORT, { route: "fanout" })).rejects.toMatchObject(named);
    await expect(world.change(tokenText)).rejects.toMatchObject(named);
    expect(withoutDeals(onDisk())).toBe(withoutDeals(before));
  });
});

/** As a new process of the provider that answers in another way. */
async function servedBy(number: number, handlers: (custody: CustodyProvider) => Handlers): Promise<void> {
  const { peer, custody } = world.providers[number - 1]!;
  world.network.kill(peer);
  const transport = world.network.transport(peer, { clock: systemClock, limits: { idleTimeoutMs: 5_000 } });
  await transport.serve(CUSTODY_PROTOCOL, handlers({ ...custody, transport }));
  await transport.serve(DEALING_PROTOCOL, createDealKeeper({ ...custody, peer, keystream: custody.tools.keystream }));
  world.network.revive(peer);
}

/** The ids of deals that were given up stay, and what was dealt and not used, for a day. */
function withoutDeals(disk: string): string {
  const disks = JSON.parse(disk) as string[][][];
  return JSON.stringify(
    disks.map((entries) => entries.map((each) => each.filter((key) => !/^(deal|correction)/.test(key)))),
  );
}

describe.each([
  ["of the generation before", async (tokenText: string) => await world.change(tokenText)],
  ["of another deposit", async () => undefined],
])("home serves an old ciphertext, %s", (which, prepare) => {
  test.each(["chain", "fanout"] as const)(
    "it is found, home is named, and the right message comes (%s)",
    async (route) => {
      const { tokenText } = await world.put(MESSAGE);
      const { tokenId } = parseTokenText(tokenText);
      const home = world.providers[0]!;
      const old = which === "of another deposit" ? (await world.put(bytesOf(300_000, 9))).tokenText : tokenText;
      const stale = home.store.files.get(ciphertextName(parseTokenText(old).tokenId))!.slice();
      await prepare(tokenText);
      const { placement } = await loadDeposit(home.store, tokenId);
      home.store.files.set(ciphertextName(tokenId, placement.generation), stale);
      const warnings: RetrieveWarning[] = [];
      // With one keeper beside home away, home's bytes are asked for sooner or later.
      for (let tries = 0; tries < 20 && warnings.length === 0; tries += 1) {
        const message = await world.get(tokenText, { route, onWarning: (warning) => void warnings.push(warning) });
        expect(Buffer.compare(message, MESSAGE)).toBe(0);
      }
      expect(warnings.flatMap(({ peers }) => peers)).toContain(home.peer);
    },
  );
});

/** The user, with what it says under one method changed on its way. */
function saying(method: string, change: (body: Record<string, CborValue>) => CborValue): CustodyUser {
  const { transport } = world.user;
  const ask: Transport["ask"] = (to, protocol, asked, body, options) => {
    const said = asked === method && protocol === CUSTODY_PROTOCOL ? change(body as Record<string, CborValue>) : body;
    return transport.ask(to, protocol, asked, said, options);
  };
  return { ...world.user, transport: { ...transport, ask } };
}

describe("from another deal", () => {
  let other: { readonly manifest: Uint8Array; readonly links: Uint8Array[]; readonly keeping: Uint8Array };
  let tokenText: string;
  let otherToken: string;
  let before: string;
  beforeEach(async () => {
    ({ tokenText } = await world.put(MESSAGE));
    otherToken = (await world.put(MESSAGE)).tokenText;
    const { tokenId } = parseTokenText(otherToken);
    const { record } = await loadDeposit(world.providers[0]!.store, tokenId);
    other = { manifest: record.manifest, links: [...record.links], keeping: record.keeping! };
    before = withoutDeals(onDisk());
  });
  afterEach(async () => {
    for (const { custody } of world.providers) await settleCustody(custody, signal());
    expect(withoutDeals(onDisk())).toBe(before);
    expect(Buffer.compare(await world.get(tokenText), MESSAGE)).toBe(0);
  });

  test.each([
    ["bind", "chain", MESSAGE],
    ["place", "fanout", SHORT],
  ] as const)("a manifest in %s: refused, and nothing is kept", async (method, route, message) => {
    const liar = saying(method, (body) => ({ ...body, manifest: other.manifest }));
    await expect(world.put(message, { route }, liar)).rejects.toMatchObject({ status: "bad-request" });
  });

  test.each(["links", "keeping"] as const)("%s in a seal: refused, and nothing is kept", async (part) => {
    const liar = saying("seal", (body) => ({ ...body, [part]: other[part] }));
    await expect(world.put(MESSAGE, {}, liar)).rejects.toMatchObject({ status: "integrity" });
  });

  test("a manifest in a change: refused, and the deposit stays as it was", async () => {
    const liar = saying("change-prepare", (body) => {
      const { content } = checkKeptRequest(body["request"] as Uint8Array, "change");
      const { manifest } = other;
      return { ...body, request: signedRequest(world.user, "change", { ...(content as object), manifest }) };
    });
    await expect(world.change(tokenText, {}, liar)).rejects.toMatchObject({ status: "bad-request" });
  });

  test("a change of another deposit: refused, and the deposit stays as it was", async () => {
    const liar = saying("change-prepare", (body) => {
      const { content } = checkKeptRequest(body["request"] as Uint8Array, "change");
      const { tokenId } = parseTokenText(otherToken);
      return { ...body, request: signedRequest(world.user, "change", { ...(content as object), tokenId }) };
    });
    await expect(world.change(tokenText, {}, liar)).rejects.toMatchObject({ status: "bad-request" });
  });
});
